"""Frames of a video in any order, one at a time, for a video that is looped, played back and forth, or held."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from ..errors import UserError
from ..media.images import Bytes
from ..media.video_reader import read_frames

#: How a video becomes as long as a speech; "cut" ends with the shorter of the two.
VIDEO_FITS = ("hold", "bounce", "loop", "cut")
#: Decoded pictures that are kept for a video that plays backwards, in bytes.
KEPT_BYTES = 256 << 20


def fitted_frames(length: int, frames: int, how: str) -> list[int]:
    """Which of ``length`` frames are shown when a video is fitted to ``frames``, by one of VIDEO_FITS.

    Frames are repeated and never blended, so a loop jumps unless the video ends as it begins. A longer video is cut.
    """
    if how not in VIDEO_FITS:
        raise UserError(f"Unknown video fit {how!r}; please choose one of {', '.join(VIDEO_FITS)}.")
    if length < 1:
        raise ValueError("A video without frames cannot be fitted to a length.")
    if how == "cut":
        return list(range(min(length, frames)))
    if how == "loop":
        return [i % length for i in range(frames)]
    if how == "bounce" and length > 1:
        there_and_back = [*range(length), *range(length - 2, 0, -1)]
        return [there_and_back[i % len(there_and_back)] for i in range(frames)]
    return [min(i, length - 1) for i in range(frames)]


def pictures_in_order(path: Path, order: Sequence[int], kept_bytes: int = KEPT_BYTES) -> Iterator[Bytes]:
    """The pictures (H, W, 3) uint8 of the frames ``order`` of a video, one after another.

    The video is decoded forwards. A step back to a picture that is no longer kept begins again at the first frame.
    Numbers after the last frame end the iteration. Nothing is kept where no step goes back.
    """
    if all(first <= second for first, second in pairwise(order)):
        kept_bytes = 0
    frames, at = read_frames(path, warn=False), -1
    kept: deque[tuple[int, Bytes]] = deque()
    for wanted in order:
        if kept and wanted < kept[0][0]:
            frames, at = read_frames(path, warn=False), -1
            kept.clear()
        while at < wanted:
            frame = next(frames, None)
            if frame is None:
                return
            at += 1
            kept.append((at, frame.picture))
            while len(kept) > max(1, kept_bytes // frame.picture.nbytes):
                kept.popleft()
        yield kept[wanted - kept[0][0]][1]
