"""What calms JoyVASA's head, frame by frame and without looking ahead (docs/motion_models.md 4.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

#: Published share of the new frame in the running average: a time constant of four seconds, a head almost at rest.
PUBLISHED = 0.01
#: A share that leaves nods and turns and takes only the trembling (0.4 s).
MILD = 0.1
#: Frames of the two windows.
MEDIAN_FRAMES, MEAN_FRAMES = 3, 10


class Smoother(Protocol):
    """Takes the next frames (T, C), gives them calmed, and remembers what came before."""

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
    """A figure of the last ``length`` frames, fewer at the beginning: ``reduce`` takes (n, C) to (C,)."""

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
    return frames.quantile(0.5, dim=0)  # the mean of the middle two where their number is even


def _mean(frames: Tensor) -> Tensor:
    return frames.mean(0)


#: By name: made from the share of "exponential", which the others leave alone.
SMOOTHERS: dict[str, Callable[[float], Smoother]] = {
    "exponential": Exponential,
    "median": lambda share: Trailing(_median, MEDIAN_FRAMES),
    "mean": lambda share: Trailing(_mean, MEAN_FRAMES),
    "none": lambda share: Exponential(1.0),
}
