"""Ditto's 265 numbers a frame: angles are logits over bins, not degrees (docs/motion_models.md 5.7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...geometry import ANGLE_BINS, DEGREES_PER_BIN, ZERO_BIN_DEGREES, degrees_from_bins
from ...values import FPS, KEYPOINTS, Motion, Pose

#: Ditto's order of emotions, in our names.
DITTO_EMOTIONS = ("angry", "disgusted", "fear", "happy", "neutral", "sad", "surprised", "contempt")
SCALE = slice(0, 1)
ANGLE_LOGITS = slice(1, 1 + 3 * ANGLE_BINS)
TRANSLATION = slice(ANGLE_LOGITS.stop, ANGLE_LOGITS.stop + 3)
EXPRESSION_COLUMNS = slice(TRANSLATION.stop, TRANSLATION.stop + 3 * KEYPOINTS)
COLUMNS = EXPRESSION_COLUMNS.stop
#: All but the expression: what is smoothed.
POSE_COLUMNS = slice(0, EXPRESSION_COLUMNS.start)
#: Standard deviation in degrees of the Gaussian that encodes an angle as bin logits.
SPREAD = 6.0


@dataclass(frozen=True)
class BinnedMotion:
    """Motion with binned angles: ``scale`` (T, 1), ``angles`` (T, 3, 66) logits of pitch, yaw, roll, ``translation``
    (T, 3), ``expression`` (T, K, 3)."""

    scale: Tensor
    angles: Tensor
    translation: Tensor
    expression: Tensor

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, frames: slice | Tensor) -> BinnedMotion:
        return BinnedMotion(*(getattr(self, name)[frames] for name in self.__dataclass_fields__))

    @staticmethod
    def of(numbers: Tensor) -> BinnedMotion:
        """From the model's numbers (T, 265), which hold scale - 1."""
        angles = numbers[:, ANGLE_LOGITS].unflatten(-1, (3, ANGLE_BINS))
        expression = numbers[:, EXPRESSION_COLUMNS].unflatten(-1, (KEYPOINTS, 3))
        return BinnedMotion(numbers[:, SCALE] + 1, angles, numbers[:, TRANSLATION], expression)

    @property
    def numbers(self) -> Tensor:
        """The inverse of :meth:`of`."""
        return torch.cat([self.scale - 1, self.angles.flatten(1), self.translation, self.expression.flatten(1)], -1)

    @staticmethod
    def in_bins(motion: Motion, angles: Tensor | None = None) -> BinnedMotion:
        """From a motion in degrees; ``angles`` (T, 3, 66) are its logits, where they are known."""
        pose = motion.pose
        logits = bins_from_degrees(pose.rotation) if angles is None else angles
        return BinnedMotion(pose.scale, logits, pose.translation, motion.expression)

    def in_degrees(self, fps: float = FPS) -> Motion:
        """As a motion at ``fps``, with angles in degrees."""
        return Motion(Pose(degrees_from_bins(self.angles), self.translation, self.scale, fps), self.expression)


def bins_from_degrees(degrees: Tensor) -> Tensor:
    """Gaussian logits (..., 66) around each angle, whose expectation is that angle."""
    bins = torch.arange(ANGLE_BINS) * DEGREES_PER_BIN - ZERO_BIN_DEGREES
    return -0.5 * ((bins - degrees[..., None]) / SPREAD) ** 2
