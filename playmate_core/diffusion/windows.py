"""Windowing of speech of any length: window positions, cross-fades, and progress over windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UserError
from ..progress import Progress


@dataclass(frozen=True)
class WindowPlan:
    """``frames`` in windows of ``length`` that overlap by ``overlap``; the last may reach beyond the end."""

    frames: int
    length: int
    overlap: int

    @property
    def stride(self) -> int:
        """Frames from the beginning of one window to that of the next."""
        return self.length - self.overlap

    @property
    def count(self) -> int:
        """The number of windows, at least 1."""
        return max(1, -(-(self.frames - self.overlap) // self.stride))

    def begin(self, index: int) -> int:
        """The first frame of window ``index``."""
        return index * self.stride


def stride(window: int, overlap: int) -> int:
    """Frames between the starts of two cross-faded windows. Raises UserError if the overlap is over half a window."""
    if overlap > window // 2:
        raise UserError(f"Got an overlap of {overlap} frames; windows of {window} can share at most {window // 2}.")
    return window - overlap


def held_frames(overlap: int) -> int:
    """How many of the shared frames the later window holds: all but the last two, or two where there are that many.

    The last frames of a window have no audio after them and are rougher than the others (mean acceleration of the
    pose 1.3 times the usual one), so they are sampled again.
    """
    return max(min(overlap, 2), overlap - 2)


def cross_fade(old: Tensor, new: Tensor, share: Tensor) -> Tensor:
    """Blend ``old`` (F, C) and ``new`` (F, C) with the weight ``share`` (F,) of the new."""
    return torch.lerp(old, new, share[:, None])


def counted(progress: Progress | None, index: int, windows: int) -> Progress | None:
    """A callback for window ``index`` that reports progress over the whole clip: evaluations done and their total."""
    if progress is None:
        return None
    return lambda step, steps: progress(index * steps + step, windows * steps)


def last_frames(frames: Tensor, count: int) -> Tensor:
    """The last ``count`` frames of (T, C), with the first one repeated where there are too few."""
    missing = max(count - len(frames), 0)
    return torch.cat([frames[:1].expand(missing, -1), frames])[-count:]
