"""A motion of known length that is generated piece by piece, while frames before it are already drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch

from ..diffusion.request import joined
from ..interpolation import FrameInterpolation, resample_frames
from ..values import FPS, Motion
from .edit import interpolate_motion


def first_frame_alone(parts: Iterable[Motion]) -> Iterator[Motion]:
    """The parts of a motion, its first frame as one of its own: it is drawn before a batch of frames would be."""
    rest = iter(parts)
    for part in rest:
        yield from (one for one in (part[:1], part[1:]) if len(one))
        if len(part):
            break
    yield from rest


class MotionStream:
    """``frames`` frames of motion at ``fps``; a piece is taken from ``pieces`` when its first frame is asked for.

    Pieces are kept: motion takes 280 bytes a frame. Whatever ``pieces`` raises, reaches the caller.
    """

    def __init__(self, pieces: Iterator[Motion], frames: int, fps: float = FPS) -> None:
        self.frames, self.fps = frames, fps
        self._pieces, self._kept, self._count = pieces, list[Motion](), 0

    @staticmethod
    def of(motion: Motion) -> MotionStream:
        """A motion that is there already."""
        return MotionStream(iter([motion]), len(motion), motion.fps)

    def __len__(self) -> int:
        return self.frames

    def parts(self, start: int, stop: int) -> Iterator[Motion]:
        """The motion from frame ``start`` up to ``stop``, in parts that end where pieces end."""
        begin = number = 0
        while begin < stop:
            piece = self._piece(number)
            wanted = piece[max(start - begin, 0) : stop - begin]
            if len(wanted):
                yield wanted
            begin, number = begin + len(piece), number + 1

    def first_frame(self) -> Motion:
        """The first frame, which takes the first piece."""
        return self._piece(0)[:1]

    def whole(self) -> Motion:
        """All of it."""
        return joined(list(self.parts(0, self.frames)))

    def resampled(self, fps: float) -> MotionStream:
        """The same movement at another rate, interpolated as far as it is drawn; see :func:`edit.resample_motion`."""
        between = resample_frames(len(self), self.fps, fps)
        return MotionStream(self._interpolated(between, fps), len(between.first), fps)

    def _interpolated(self, between: FrameInterpolation, fps: float) -> Iterator[Motion]:
        made = end = number = 0
        while made < len(between.first):
            end, number = end + len(self._piece(number)), number + 1
            stop = int(torch.searchsorted(between.second, end))  # the frames that need nothing further
            if stop > made:
                begin = int(between.first[made])
                here = replace(
                    between,
                    first=between.first[made:stop] - begin,
                    second=between.second[made:stop] - begin,
                    weight=between.weight[made:stop],
                )
                yield interpolate_motion(joined(list(self.parts(begin, end))), here, fps)
                made = stop

    def _piece(self, number: int) -> Motion:
        while len(self._kept) <= number:
            piece = next(self._pieces, None)
            if piece is None:
                raise ValueError(f"A motion of {self.frames} frames ended after {self._count}.")
            self._kept.append(piece)
            self._count += len(piece)
        return self._kept[number]
