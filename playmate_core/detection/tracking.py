"""Track one face through a video: detect it in every frame, interpolate gaps, and crop by one box or frame by frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UserError
from ..host import HOST
from ..interpolation import smooth_track
from ..media.images import Bytes, from_bytes
from ..progress import Progress
from ..ranges import check_ranges, ranged
from .crop import DRIVING_CROP, CropOptions, Square
from .detect import Pick, square_of
from .detectors import Detector, Face
from .landmarks import Openings, crop_points
from .tiling import full_search, local_search

#: Largest growth of a tracked face from one frame to the next.
_MOST_GROWTH = 2.0


@dataclass(frozen=True)
class GapLimits:
    """Tolerated gaps of a face track: ``share`` of all frames, and ``longest`` consecutive frames."""

    share: float = ranged(0.25, 0.0, 1.0, "of all frames")
    longest: int = ranged(30, 0, 1_000_000, "frames")

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class FaceTrack:
    """``points`` (T, N, 2) in pixels: the landmarks that determine a crop, or the two corners of the face's box;
    ``openings`` of eyes and lips, None for layouts without them. ``seen`` (T,) bool: frames in which the face was
    found; elsewhere points and openings are interpolated linearly."""

    points: Tensor
    seen: Tensor
    openings: Openings | None = None

    def __len__(self) -> int:
        return len(self.points)

    def faces(self) -> Iterator[Face]:
        """The face of every frame."""
        for points in self.points:
            yield Face.of(points) if len(points) > 2 else Face(tuple(points.flatten().tolist()))  # type: ignore[arg-type]

    def squares(self, options: CropOptions, smoothing: float = 0.0) -> list[Square]:
        """The square around the face in every frame, smoothed by ``smoothing`` (an observation variance, in sides)."""
        squares = [square_of(face, options) for face in self.faces()]
        if not smoothing or len(squares) < 3:
            return squares
        scale = sum(square.side for square in squares) / len(squares)
        turns = [(math.cos(square.angle), math.sin(square.angle)) for square in squares]
        rows = [
            (q.x / scale, q.y / scale, q.side / scale, *rotation) for q, rotation in zip(squares, turns, strict=True)
        ]
        calm = smooth_track(torch.tensor(rows, dtype=torch.float64), smoothing).tolist()
        return [Square(x * scale, y * scale, side * scale, math.atan2(sin, cos)) for x, y, side, cos, sin in calm]

    def box(self, options: CropOptions = DRIVING_CROP) -> Square:
        """One upright square for the whole video, the mean of all (docs/liveportrait.md 6.6), which keeps head
        movement."""
        squares = self.squares(options)
        x, y, side = (sum(values) / len(squares) for values in zip(*((q.x, q.y, q.side) for q in squares), strict=True))
        return Square(x, y, side)


def follow(
    frames: Iterable[Bytes | Tensor],
    detector: Detector,
    pick: Pick | None = None,
    limits: GapLimits | None = None,
    total: int = 0,
    progress: Progress | None = None,
) -> FaceTrack:
    """Track one face through the frames of a video, pictures (H, W, 3), uint8 or float in [0, 1], one at a time.

    ``pick`` selects the face in the first frame that has any; afterwards the nearest face is followed. Raises
    UserError, naming the frames, when the face is missing too often.
    """
    points: list[Tensor | None] = []
    openings: list[Openings | None] = []
    search, near = full_search(detector), local_search(detector)
    last, lost = None, 0
    for frame in HOST.interruptible(frames):
        image = frame if isinstance(frame, Tensor) and frame.is_floating_point() else from_bytes(frame)
        face = _next((search if last is None else detector)(image), last, lost, pick)
        if face is None and last is not None:
            face = _next(near(image, last), last, lost, pick)
        # Only the needed points are kept: an hour of full meshes is 340 MB.
        points.append(None if face is None else _points(face))
        openings.append(None if face is None or face.finest is None else Openings.of(face.finest[None]))
        last, lost = face or last, 0 if face else lost + 1
        if progress:
            progress(len(points), max(total, len(points)))
    if not points:
        raise UserError("The driving video has no frame; please give a video of a face.")
    seen = torch.tensor([value is not None for value in points])
    _require(seen, limits or GapLimits())
    return FaceTrack(_filled(points, seen), seen, _openings(openings, seen))


def gaps(seen: Tensor) -> tuple[tuple[int, int], ...]:
    """First and last frame of every run of frames that are not ``seen`` (T,)."""
    edges = torch.nn.functional.pad((~seen).int(), (1, 1)).diff()
    starts, ends = torch.nonzero(edges == 1)[:, 0], torch.nonzero(edges == -1)[:, 0] - 1
    return tuple(zip(starts.tolist(), ends.tolist(), strict=True))


def fill_gaps(seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For every frame the nearest seen frames before and after it, and the weight (T,) of the latter; ends are held."""
    known = torch.nonzero(seen)[:, 0]
    at = torch.arange(len(seen))
    after = torch.searchsorted(known, at).clamp(max=len(known) - 1)
    before = (torch.searchsorted(known, at, right=True) - 1).clamp(min=0)
    first, second = known[before], known[after]
    span = (second - first).clamp(min=1)
    return first, second, ((at - first).double() / span).clamp(0, 1) * (second > first)


def _next(faces: tuple[Face, ...], last: Face | None, lost: int, pick: Pick | None) -> Face | None:
    if not faces:
        return None
    if last is None:
        return (pick or Pick()).of(faces)
    alike = [face for face in faces if _sizes_apart(face, last) <= _MOST_GROWTH * (1 + lost / 4)]
    if not alike:
        return None
    near = min(alike, key=lambda face: math.dist(face.centre, last.centre))
    # A face does not move further than its own size per frame; while it is lost the limit grows.
    reach = math.sqrt(max(last.area, near.area)) * (1 + lost / 4)
    return near if math.dist(near.centre, last.centre) <= reach else None


def _sizes_apart(one: Face, other: Face) -> float:
    """Ratio of the larger to the smaller side length of two faces; infinite if one has no area."""
    small, large = sorted((one.area, other.area))
    return math.sqrt(large / small) if small > 0 else math.inf


def _require(seen: Tensor, limits: GapLimits) -> None:
    runs = gaps(seen)
    missing = int((~seen).sum())
    longest = max((last - first + 1 for first, last in runs), default=0)
    if missing == len(seen):
        raise UserError(f"No face was found in any of the {missing} frames; please give a video of one face, large.")
    if missing > limits.share * len(seen) or longest > limits.longest:
        named = ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs[:8])
        more = f" and {len(runs) - 8} more gaps" if len(runs) > 8 else ""
        raise UserError(
            f"No face was found in {missing} of {len(seen)} frames ({named}{more}); please cut these out, or give a"
            " video in which the face stays in view."
        )


def _points(face: Face) -> Tensor:
    if face.finest is None:
        return torch.tensor(face.box).reshape(2, 2)
    return crop_points(face.finest).clone()  # a view would keep the full mesh in memory


def _openings(found: list[Openings | None], seen: Tensor) -> Openings | None:
    if all(each is None for each in found):
        return None
    eyes = _filled([None if each is None else each.eyes[0] for each in found], seen)
    return Openings(eyes, _filled([None if each is None else each.lips[0] for each in found], seen))


def _filled(values: list[Tensor | None], seen: Tensor) -> Tensor:
    """Values of all frames, with those that were not ``seen`` interpolated."""
    known = next(value for value in values if value is not None)
    held = torch.stack([known if value is None else value for value in values])
    first, second, weight = (part[~seen] for part in fill_gaps(seen))
    held[~seen] = torch.lerp(held[first], held[second], weight.float().reshape(-1, *[1] * known.ndim))
    return held
