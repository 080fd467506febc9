"""Join Ditto's windows: cross-fades, smoothing, and each window's condition frame (docs/motion_models.md 5.6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..windows import cross_fade
from .layout import POSE_COLUMNS


@dataclass(frozen=True)
class Continuation:
    """The condition frame of a window: the frame before it, or every ``reset`` windows (0: never) the source's numbers
    except in the columns ``kept``, which continue."""

    reset: int = 0
    kept: tuple[int, int] | None = None

    def frame(self, before: Tensor, source: Tensor, windows: int) -> Tensor:
        """The condition frame (C,) after ``windows`` windows."""
        if self.reset == 0 or windows % self.reset:
            return before
        frame = source.clone()
        if self.kept is not None:
            columns = slice(*self.kept)
            frame[columns] = before[columns]
        return frame


class Stitcher:
    """Takes consecutive windows (W, C), buffers the frames that the next one may still change, and returns the others.

    Consecutive windows share ``overlap`` frames; the last of them are cross-faded, at most as many as a window has new
    ones. The pose of the first window, and at every seam, is averaged over ``smoothing`` frames.
    """

    def __init__(self, window: int, overlap: int, smoothing: int = 3) -> None:
        self.new = window - overlap
        self.fade = min(overlap, self.new)
        self.overlap, self.half = overlap, smoothing // 2
        self.windows = 0
        self._frames = torch.zeros(0)
        self._given = 0  # how many buffered frames were already returned

    def add(self, window: Tensor) -> None:
        """Take the next window (W, C): cross-fade it with the buffered frames and smooth the pose at the seam."""
        if self.windows == 0:
            self._frames = window.clone()
            self._smooth(0, len(window))
        else:
            share = torch.arange(self.fade) / max(self.fade, 1)
            head = window[self.overlap - self.fade : self.overlap]
            old = self._frames[len(self._frames) - self.fade :]
            joined = cross_fade(old, head, share)
            kept = self._frames[: len(self._frames) - self.fade]
            self._frames = torch.cat([kept, joined, window[self.overlap :]])
            seam = len(self._frames) - self.new
            self._smooth(seam - self.fade, seam + 1)
        self.windows += 1

    @property
    def before_next(self) -> Tensor:
        """The frame (C,) just before the next window."""
        return self._frames[len(self._frames) - self.overlap - 1]

    def final(self) -> Tensor:
        """The frames that no later window can change and that were not returned yet."""
        return self._give(len(self._frames) - self.fade)

    def rest(self) -> Tensor:
        """All frames that were not returned yet."""
        return self._give(len(self._frames))

    def _give(self, end: int) -> Tensor:
        given = self._frames[self._given : end].clone()
        needed = max(self.overlap + 1, self.fade + self.half)
        spare = max(min(len(self._frames) - needed, end), 0)
        self._frames, self._given = self._frames[spare:], end - spare
        return given

    def _smooth(self, begin: int, end: int) -> None:
        if self.half == 0:
            return
        before = self._frames[:, POSE_COLUMNS].clone()
        for i in range(max(begin, 0), min(end, len(before))):
            self._frames[i, POSE_COLUMNS] = before[max(i - self.half, 0) : i + self.half + 1].mean(0)


class PoseMean:
    """Streaming mean of the pose columns over ``frames``, fewer at the ends; output is delayed by half of them."""

    def __init__(self, frames: int) -> None:
        self.half = frames // 2
        self._row: Tensor | None = None
        self._done = 0  # buffered frames that were already returned

    def __call__(self, frames: Tensor, last: bool = False) -> Tensor:
        """Add the next ``frames`` (n, C); returns the frames that are final, all of them if these are the ``last``."""
        row = frames if self._row is None else torch.cat([self._row, frames])
        end = len(row) if last else max(len(row) - self.half, 0)
        calm = row[self._done : end].clone()
        for i in range(self._done, end):
            calm[i - self._done, POSE_COLUMNS] = row[max(i - self.half, 0) : i + self.half + 1, POSE_COLUMNS].mean(0)
        spare = max(end - self.half, 0)
        self._row, self._done = row[spare:], max(end, self._done) - spare
        return calm
