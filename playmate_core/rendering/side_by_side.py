"""Videos that show the source, the driving picture and the result next to each other, all as high as the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..detection.reading_crop import cut_bytes
from ..media.images import Bytes, to_bytes
from ..media.video_reader import read_frames
from ..values import Portrait
from .segments import RenderJob
from .source_video import SourceVideo, shown_pictures

#: Pictures (H, W, 3) uint8 of one column for consecutive frames, beginning with a frame number.
Column = Callable[[int], Iterator[NDArray[np.uint8]]]

#: Seconds by which timestamps may be rounded.
_ROUNDING = 2e-3


def with_columns(job: RenderJob, columns: Sequence[Column]) -> RenderJob:
    """``job`` with its pictures to the right of ``columns``, which are resized to the height of a result."""

    def beside(start: int, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        others = [column(start) for column in columns]
        for batch in batches:
            rows = [[as_high(next(other), batch.shape[1]) for other in others] + [one.numpy()] for one in batch]
            yield torch.from_numpy(np.stack([np.concatenate(row, 1) for row in rows]))

    return replace(job, beside=beside, facts=(job.facts, "side by side", len(columns)))


def picture_column(picture: Bytes | Tensor) -> Column:
    """One picture (H, W, 3) uint8 for all frames."""
    held = np.asarray(picture)
    return lambda start: repeat(held)


def portrait_column(portrait: Portrait, whole: bool) -> Column:
    """The portrait's whole picture, or its face crop."""
    if whole:
        return picture_column(to_bytes(portrait.image))
    return picture_column(cut_bytes(portrait.image, portrait.crop_to_image, portrait.crop_size))


def source_video_column(source_video: SourceVideo) -> Column:
    """The pictures of a source video at its output rate."""
    return lambda start: (np.asarray(picture) for picture in shown_pictures(source_video, start, len(source_video)))


def driving_column(path: Path, fps: float) -> Column:
    """The pictures of a driving video at ``fps``; the last one stays."""
    return lambda start: _held_until_next(path, start, fps)


def _held_until_next(path: Path, start: int, fps: float) -> Iterator[NDArray[np.uint8]]:
    """For every frame from ``start`` on the video's latest picture at that time."""
    number, held = start, None
    for frame in read_frames(path, warn=False):
        while held is not None and frame.time > number / fps + _ROUNDING:
            yield held
            number += 1
        held = frame.picture
    while held is not None:
        yield held


def as_high(picture: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """``picture`` scaled to ``height`` pixels, its width rounded to an even number."""
    import cv2

    if picture.shape[0] == height:
        return picture
    width = max(2, 2 * round(picture.shape[1] * height / picture.shape[0] / 2))
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)
