"""Faces that are small in their picture: looked for once more in windows of it, each of which shows them larger."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..host import HOST
from .detectors import Detector, Face

#: Sides of the windows in short sides of the picture; each half covers its neighbour.
SIDES = (1.0, 0.5)
#: A window smaller than this shows no face larger than the picture did.
LEAST = 192
#: How much of a lost face's surroundings to look at, in sides of its box.
AROUND = 3.0


@dataclass(frozen=True)
class Windowed:
    """A detector that knows only faces that are large in what it is shown, as MediaPipe's does: a sixth or more.

    Called as it is, it sees the whole picture; a film is followed that way.
    """

    look: Detector

    def __call__(self, image: Tensor) -> tuple[Face, ...]:
        return self.look(image)

    def search(self, image: Tensor) -> tuple[Face, ...]:
        """The faces of the picture and of every window of it, each once, the largest first."""
        found = list(self.look(image))
        for window in HOST.interruptible(_windows(image)):
            found += [face for face in self._seen(image, window) if not any(_same(face, other) for other in found)]
        return tuple(sorted(found, key=lambda face: -face.area))

    def near(self, image: Tensor, face: Face) -> tuple[Face, ...]:
        """The faces around where ``face`` was."""
        (x, y), half = face.centre, AROUND / 2 * math.sqrt(face.area)
        height, width = image.shape[:2]
        across, down = (
            slice(max(0, int(at - half)), min(size, math.ceil(at + half))) for at, size in ((x, width), (y, height))
        )
        return tuple(self._seen(image, (down, across)))

    def _seen(self, image: Tensor, window: tuple[slice, slice]) -> Iterator[Face]:
        """The faces that lie whole in a window."""
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


def searching(detector: Detector) -> Detector:
    """The detector as it looks for every face of a picture, however small."""
    return getattr(detector, "search", detector)


def looking_near(detector: Detector) -> Callable[[Tensor, Face], tuple[Face, ...]]:
    """The detector as it looks once more where a face was; those that know small faces need not."""
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
    """Whether two findings are one face: the centre of the smaller lies within the other's middle."""
    return math.dist(one.centre, other.centre) < math.sqrt(max(one.area, other.area)) / 2
