"""Causal smoothing filters for JoyVASA's head pose (docs/motion_models.md 4.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

#: Published weight of a new frame in the exponential average: a time constant of four seconds, an almost still head.
PUBLISHED = 0.01
#: Window lengths in frames.
MEDIAN_FRAMES, MEAN_FRAMES = 3, 10


class Smoother(Protocol):
    """A stateful filter: takes the next frames (T, C) and returns them smoothed."""

    def __call__(self, frames: Tensor) -> Tensor: ...


class Exponential:
    """s = share v + (1 - share) s, starting with the first frame; a share of 1 changes nothing."""

    def __init__(self, share: float = PUBLISHED) -> None:
        self.share = share
        self._state: Tensor | None = None

    def __call__(self, frames: Tensor) -> Tensor:
        if self.share == 1.0 or not len(frames):
            return frames
        calm, state = torch.empty_like(frames), self._state
        for i, frame in enumerate(frames):
            state = frame if state is None else self.share * frame + (1 - self.share) * state
            calm[i] = state
        self._state = state
        return calm


class Trailing:
    """A statistic of the last ``length`` frames, fewer at the beginning: ``reduce`` takes (n, C) to (C,)."""

    def __init__(self, reduce: Callable[[Tensor], Tensor], length: int) -> None:
        self.reduce, self.length = reduce, length
        self._before: Tensor | None = None

    def __call__(self, frames: Tensor) -> Tensor:
        before = frames[:0] if self._before is None else self._before
        row = torch.cat([before, frames])
        ends = range(len(before) + 1, len(row) + 1)
        self._before = row[max(len(row) - self.length + 1, 0) :]
        return torch.stack([self.reduce(row[max(end - self.length, 0) : end]) for end in ends])


def _median(frames: Tensor) -> Tensor:
    return frames.quantile(0.5, dim=0)  # the mean of the middle two for an even number of frames


def _mean(frames: Tensor) -> Tensor:
    return frames.mean(0)


#: Factories by name; their argument is the weight of "exponential", which the others ignore.
SMOOTHERS: dict[str, Callable[[float], Smoother]] = {
    "exponential": Exponential,
    "median": lambda share: Trailing(_median, MEDIAN_FRAMES),
    "mean": lambda share: Trailing(_mean, MEAN_FRAMES),
    "none": lambda share: Exponential(1.0),
}
