"""Convert JoyVASA's normalised numbers to motion in degrees: training-set statistics (docs/motion_models.md 4.6).

Columns: 63 expression, scale, three of translation, pitch, yaw, roll; any further columns are unused and only fed back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...values import FPS, KEYPOINTS, Motion, Pose

EXPRESSION_COLUMNS = slice(0, 3 * KEYPOINTS)
#: scale, t_x, t_y, t_z, pitch, yaw, roll
POSE_COLUMNS = slice(3 * KEYPOINTS, 3 * KEYPOINTS + 7)
#: Required entries of a template, and their lengths; others are ignored.
ENTRIES = {
    "mean_exp": 63,
    "std_exp": 63,
    **{f"{end}_{name}": length for name, length in (("scale", 1), ("t", 3), ("pitch", 1), ("yaw", 1), ("roll", 1))
       for end in ("min", "max")},
}  # fmt: skip
_RANGES = ("scale", "t", "pitch", "yaw", "roll")
#: Added to denominators by the normalisation of training.
STATISTICS_EPSILON = 1e-9


@dataclass(frozen=True)
class MotionTemplate:
    """``mean`` and ``std`` (63,) of the expression, ``low`` and ``high`` (7,) of scale, translation and angles."""

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor

    @staticmethod
    def of(entries: Mapping[str, Tensor]) -> MotionTemplate:
        """From the named ENTRIES. Raises ValueError naming what is missing or of another length."""
        missing = [name for name in ENTRIES if name not in entries]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        wrong = [name for name, length in ENTRIES.items() if entries[name].numel() != length]
        if wrong:
            raise ValueError(f"{wrong[0]} has {entries[wrong[0]].numel()} numbers instead of {ENTRIES[wrong[0]]}")
        low, high = (torch.cat([entries[f"{end}_{name}"].flatten() for name in _RANGES]) for end in ("min", "max"))
        return MotionTemplate(entries["mean_exp"].flatten(), entries["std_exp"].flatten(), low, high)

    @property
    def entries(self) -> dict[str, Tensor]:
        """The inverse of :meth:`of`."""
        lengths = [ENTRIES[f"min_{name}"] for name in _RANGES]
        ends = {"min": self.low.split(lengths), "max": self.high.split(lengths)}
        ranges = {f"{end}_{name}": v for end, parts in ends.items() for name, v in zip(_RANGES, parts, strict=True)}
        return {"mean_exp": self.mean, "std_exp": self.std, **ranges}

    def decode(self, numbers: Tensor, fps: float = FPS) -> Motion:
        """Normalised ``numbers`` (T, at least 70) as motion, angles in degrees."""
        expression = numbers[:, EXPRESSION_COLUMNS] * self.std + self.mean
        pose = numbers[:, POSE_COLUMNS] * (self.high - self.low) + self.low
        return Motion(pose_of(pose, fps), expression.unflatten(-1, (KEYPOINTS, 3)))

    def encode(self, motion: Motion, columns: int) -> Tensor:
        """The inverse of :meth:`decode`, (T, columns); unused columns are 0."""
        expression = (motion.expression.flatten(1) - self.mean) / (self.std + STATISTICS_EPSILON)
        pose = (columns_of(motion.pose) - self.low) / (self.high - self.low + STATISTICS_EPSILON)
        return torch.nn.functional.pad(torch.cat([expression, pose], -1), (0, columns - POSE_COLUMNS.stop))


def columns_of(pose: Pose) -> Tensor:
    """A pose as columns (T, 7): scale, translation, pitch, yaw, roll."""
    return torch.cat([pose.scale, pose.translation, pose.rotation], -1)


def pose_of(columns: Tensor, fps: float) -> Pose:
    """The inverse of :func:`columns_of`."""
    return Pose(columns[:, 4:], columns[:, 1:4], columns[:, :1], fps)
