"""The face of a clip: found in every frame by the core's detectors, cropped by one box that never moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from playmate_core.detection.crop import DRIVING_CROP, Square
from playmate_core.detection.detect import Pick, detector, fills
from playmate_core.detection.detectors import Detector, Face, available
from playmate_core.detection.tiling import full_search, local_search
from playmate_core.detection.tracking import FaceTrack, GapLimits, follow, gaps
from playmate_core.errors import UserError
from playmate_core.media.images import Bytes
from playmate_core.ranges import range_of

from .entry import Entry, Item
from .source_video import frames_between
from .store import Result, Store

#: No face smaller than this share of the largest's area is a second face: a poster, the audience.
_SECOND_FACE = 0.25
#: Heights videos are published in; a box that does not fit a video was measured on the next larger of these.
_HEIGHTS = (240, 360, 480, 720, 1080, 1440, 2160, 4320)
WHOLE = "whole"

MakeDetector = Callable[[], Detector]

#: However often a face is missing; what is too often is for the filters to say.
ANY_GAPS = GapLimits(share=1.0, longest=int(range_of(GapLimits, "longest").most))


@dataclass
class Watched:
    """A detector that counts the faces it finds, the small ones left out."""

    inner: Detector
    counts: list[int] = field(default_factory=list)

    def __call__(self, image: Tensor) -> tuple[Face, ...]:
        return self._counted(self.inner(image))

    def search(self, image: Tensor) -> tuple[Face, ...]:
        return self._counted(full_search(self.inner)(image))

    def near(self, image: Tensor, face: Face) -> tuple[Face, ...]:
        return tuple(local_search(self.inner)(image, face))

    def _counted(self, faces: tuple[Face, ...]) -> tuple[Face, ...]:
        largest = max((face.area for face in faces), default=0.0)
        self.counts.append(sum(face.area >= _SECOND_FACE * largest for face in faces))
        return faces


@cache
def _made(make: MakeDetector) -> Detector:
    return make()


def choose_detector(name: str) -> str:
    """The detector meant by ``name``, "auto" being the best there is. Raises UserError where it cannot work here."""
    if name == WHOLE:
        return name
    if name == "auto":
        ready = available()
        if not ready:
            raise UserError(
                "No face detector works here; install mediapipe or insightface with its model, or give --detector whole"
                " for videos that are face crops already."
            )
        name = ready[0]
    detector(name)
    return name


@dataclass(frozen=True)
class Track:
    """The face by ``detector``, made in each process by ``make``; for "whole" the picture is the face crop."""

    root: Path
    detector: str
    make: MakeDetector
    name: str = "track"
    version: int = 1
    gpu: bool = False

    def inputs(self, item: Item) -> list[Any]:
        return [item.digest, item.begin, item.end, item.entry.hint(), self.detector]

    def run(self, item: Item, store: Store) -> list[Result]:
        times: list[float] = []
        pictures = self._pictures(item, times)
        if self.detector == WHOLE:
            frames = sum(1 for _ in pictures)
            return [_whole(item, times, torch.ones(frames, dtype=torch.bool))]
        watched = Watched(_made(self.make))
        pick = annotated_face(item.entry, item.facts["width"], item.facts["height"])
        try:
            track = follow(pictures, watched, pick, ANY_GAPS)
        except UserError as problem:
            return [Result(reason="no_face" if times else "unreadable", detail=str(problem))]
        return [self._result(item, times, track, watched, pick)]

    def _pictures(self, item: Item, times: list[float]) -> Iterator[Bytes]:
        for frame in frames_between(self.root / item.entry.video, item.begin, item.end, item.facts["fps"]):
            times.append(frame.time)
            yield frame.picture

    def _result(self, item: Item, times: list[float], track: FaceTrack, watched: Watched, pick: Pick | None) -> Result:
        box = track.box(DRIVING_CROP)
        sides = (track.points.amax(1) - track.points.amin(1)).amax(1)  # (T,)
        runs = gaps(track.seen)
        scores = {
            "coverage": float(track.seen.float().mean()),
            "gap": float(max((last - first + 1 for first, last in runs), default=0)),
            "face_px": float(sides.median()),
        }
        if pick is None:
            scores["others"] = sum(count > 1 for count in watched.counts) / max(len(watched.counts), 1)
        if fills(box, item.facts["height"], item.facts["width"]):
            return _whole(item, times, track.seen, scores)
        scores["face_share"] = scores["face_px"] / box.side
        return _tracked(times, track.seen, scores, box)


def annotated_face(entry: Entry, width: int, height: int) -> Pick | None:
    """The face a corpus means, in the pixels of a video of this size; None where it does not say."""
    if entry.near is not None:
        return Pick(point=(entry.near[0] * width, entry.near[1] * height))
    if entry.box is None:
        return None
    left, top, right, bottom = entry.box
    if max(entry.box) <= 1.0:
        return Pick(point=((left + right) / 2 * width, (top + bottom) / 2 * height))
    scale = height / (entry.box_height or published_height(right, bottom, width, height))
    return Pick(point=((left + right) / 2 * scale, (top + bottom) / 2 * scale))


def published_height(right: float, bottom: float, width: int, height: int) -> int:
    """The height of the picture a box was measured on: this one's if the box lies in it, else the next that fits."""
    for candidate in (height, *(known for known in _HEIGHTS if known > height)):
        if bottom <= candidate + 1 and right <= width * candidate / height + 1:
            return candidate
    return height


def _whole(item: Item, times: list[float], seen: Tensor, scores: dict[str, float] | None = None) -> Result:
    side = min(item.facts["width"], item.facts["height"])
    square = Square(item.facts["width"] / 2, item.facts["height"] / 2, float(side))
    return _tracked(times, seen, scores or {}, square)


def _tracked(times: list[float], seen: Tensor, scores: dict[str, float], square: Square) -> Result:
    tensors = {"times": torch.tensor(times, dtype=torch.float64), "seen": seen.to(torch.uint8)}
    return Result(
        scores={name: round(value, 4) for name, value in scores.items()},
        facts={"crop": [round(value, 3) for value in (square.x, square.y, square.side)]},
        files={"safetensors": save(tensors)},
    )
