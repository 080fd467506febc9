"""Tiled detection: small faces are searched again in overlapping windows of the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..host import HOST
from .detectors import Detector, Face

#: Sides of the windows relative to the picture's short side; consecutive windows overlap by half.
SIDES = (1.0, 0.5)
#: Least side of a window in pixels: in smaller ones faces are not larger for the detector.
LEAST = 192
#: Side of the window around a lost face, in sides of its box.
WINDOW_SIZE = 3.0


@dataclass(frozen=True)
class TiledDetector:
    """Wraps a detector that finds only large faces, a sixth of the picture or more, such as MediaPipe's.

    A plain call runs it on the whole picture, which is enough for tracking in a video.
    """

    look: Detector

    def __call__(self, image: Tensor) -> tuple[Face, ...]:
        return self.look(image)

    def search(self, image: Tensor) -> tuple[Face, ...]:
        """The faces in the picture and in all its windows, without duplicates, the largest first."""
        found = list(self.look(image))
        for window in HOST.interruptible(_windows(image)):
            found += [face for face in self._seen(image, window) if not any(_same(face, other) for other in found)]
        return tuple(sorted(found, key=lambda face: -face.area))

    def near(self, image: Tensor, face: Face) -> tuple[Face, ...]:
        """The faces in a window around the previous position ``face``."""
        (x, y), half = face.centre, WINDOW_SIZE / 2 * math.sqrt(face.area)
        height, width = image.shape[:2]
        across, down = (
            slice(max(0, int(at - half)), min(size, math.ceil(at + half))) for at, size in ((x, width), (y, height))
        )
        return tuple(self._seen(image, (down, across)))

    def _seen(self, image: Tensor, window: tuple[slice, slice]) -> Iterator[Face]:
        """The faces that lie completely inside a window, in picture coordinates."""
        down, across = window
        height, width = image.shape[:2]
        for face in self.look(image[down, across].contiguous()):
            left, top, right, bottom = face.box
            box = (left + across.start, top + down.start, right + across.start, bottom + down.start)
            ends = ((box[0], across.start, 0), (box[1], down.start, 0), (-box[2], -across.stop, -width))
            if all(at > edge or edge == border for at, edge, border in (*ends, (-box[3], -down.stop, -height))):
                shift = torch.tensor([across.start, down.start, 0])
                landmarks = None if face.landmarks is None else face.landmarks + shift[:2]
                yield replace(face, box=box, landmarks=landmarks, mesh=None if face.mesh is None else face.mesh + shift)


def full_search(detector: Detector) -> Detector:
    """The detector's exhaustive search for small faces, or the detector itself if it has none."""
    return getattr(detector, "search", detector)


def local_search(detector: Detector) -> Callable[[Tensor, Face], tuple[Face, ...]]:
    """The detector's local search around a previous face; for other detectors a search that finds nothing."""
    return getattr(detector, "near", lambda image, face: ())


def _windows(image: Tensor) -> Iterator[tuple[slice, slice]]:
    height, width = image.shape[:2]
    for share in SIDES:
        side = int(min(height, width) * share)
        if side >= LEAST:
            yield from ((down, across) for down in _spans(height, side) for across in _spans(width, side))


def _spans(size: int, side: int) -> Iterable[slice]:
    steps = max(1, math.ceil(2 * (size - side) / side) + 1) if size > side else 1
    starts = [round(i * (size - side) / max(1, steps - 1)) for i in range(steps)]
    return [slice(start, start + side) for start in starts]


def _same(one: Face, other: Face) -> bool:
    """Whether two detections are the same face: their centres are closer than half the larger one's size."""
    return math.dist(one.centre, other.centre) < math.sqrt(max(one.area, other.area)) / 2
