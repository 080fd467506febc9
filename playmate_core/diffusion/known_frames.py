"""Frames that are known while others are sampled, as in inpainting (docs/method.md 1.16).

One window continues the last one, a time range is sampled again with both ends held, and the head pose is held while
the expression is sampled: all three are a mask of known frames and their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .normalisation import EXPRESSION_CHANNELS, MOTION_CHANNELS
from .samplers import Denoise, clamp_x0

#: Correlation lengths in frames, over which a free frame follows its known neighbours. Head pose moves like a process
#: that is correlated over half a second; expression changes from one frame to the next (docs/method.md 1.16).
POSE_CORRELATION = 8.0
EXPRESSION_CORRELATION = 1.5
#: Variance of what a known frame may be off by, as a share of the process's: keeps the inverse stable.
JITTER = 1e-4


@dataclass(frozen=True)
class KnownFrames:
    """What is known of a window: ``values`` (W, 69) in model space, and bool (W,) for which frames they hold,
    ``expression`` for the 63 channels of the expression and ``pose`` for the six of the pose. Of a batch of windows of
    which the same frames are known, ``values`` are (B, W, 69)."""

    values: Tensor
    expression: Tensor
    pose: Tensor

    @staticmethod
    def leading(frames: Tensor, window: int) -> KnownFrames:
        """A window of ``window`` frames whose first are ``frames`` (n, 69)."""
        known = torch.arange(window) < len(frames)
        values = torch.cat([frames, frames.new_zeros(window - len(frames), MOTION_CHANNELS)])
        return KnownFrames(values, known, known)

    @staticmethod
    def stacked(windows: Sequence[KnownFrames]) -> KnownFrames:
        """What is known of each window of a batch, the same frames of all. Raises ValueError for other frames."""
        first = windows[0]
        if any(not torch.equal(one.mask, first.mask) for one in windows[1:]):
            raise ValueError("Expected windows of one batch of which the same frames are known.")
        return replace(first, values=torch.stack([one.values for one in windows]))

    def with_pose(self, pose: Tensor) -> KnownFrames:
        """The same with the ``pose`` (W, 6) of every frame known."""
        values = torch.cat([self.values[:, :EXPRESSION_CHANNELS], pose], -1)
        return replace(self, values=values, pose=torch.ones_like(self.pose))

    @property
    def mask(self) -> Tensor:
        """(W, 69) bool, True where a number is known."""
        expression = self.expression[:, None].expand(-1, EXPRESSION_CHANNELS)
        return torch.cat([expression, self.pose[:, None].expand(-1, MOTION_CHANNELS - EXPRESSION_CHANNELS)], -1)

    def over(self, motion: Tensor) -> Tensor:
        """``motion`` (..., W, 69) with the known numbers in their places."""
        return torch.where(self.mask.to(motion.device), self.values.to(motion), motion)


def holding(predict_x0: Denoise, known: KnownFrames) -> Denoise:
    """``predict_x0`` whose clean samples agree with what is known, and change smoothly from there on.

    At every step, what the prediction is off by at the known frames is taken from it, and from the free frames as much
    as their correlation with the known ones says (the mean of a Gaussian process with a Matern 3/2 kernel).
    Overwriting the known frames alone leaves a jump behind them: the level of the head is decided at noise levels at
    which the network learns little of the frames beside.
    """
    if not bool(known.expression.any() or known.pose.any()):
        return predict_x0
    expression = spread_of(known.expression, EXPRESSION_CORRELATION)
    pose = spread_of(known.pose, POSE_CORRELATION)

    def predict(noisy: Tensor, t: int) -> Tensor:
        x0 = clamp_x0(predict_x0(noisy, t).float())
        off = known.over(x0) - x0  # zero where free
        face, head = off.split([EXPRESSION_CHANNELS, MOTION_CHANNELS - EXPRESSION_CHANNELS], -1)
        return known.over(x0 + torch.cat([expression.to(off) @ face, pose.to(off) @ head], -1))

    return predict


def spread_of(known: Tensor, correlation: float) -> Tensor:
    """(W, W) weights with which the values at the frames ``known`` (W,) determine all frames of a smooth process.

    The conditional mean of a Gaussian process with the kernel (1 + d) exp(-d), d in units of ``correlation`` frames
    (Rasmussen and Williams 2006, Eq. 2.23 and 4.17). Known frames are themselves; far from them it is zero.
    """
    place = torch.arange(len(known), dtype=torch.float64)
    distance = (place[:, None] - place).abs() / correlation
    kernel = (1.0 + distance) * torch.exp(-distance)
    at = known.nonzero()[:, 0]
    among = kernel[at][:, at] + JITTER * torch.eye(len(at), dtype=torch.float64)
    weights = torch.zeros_like(kernel)
    weights[:, at] = torch.linalg.solve(among, kernel[at]).T
    weights[at] = torch.eye(len(known), dtype=torch.float64)[at]
    return weights.float()
