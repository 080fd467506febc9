"""A face followed through a video: the same person throughout, gaps filled, one box, and an error that names frames."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from playmate_core.detection.crop import DRIVING_CROP, CropOptions, square_from_box
from playmate_core.detection.detect import Pick, square_of
from playmate_core.detection.detectors import Face
from playmate_core.detection.landmarks import Openings
from playmate_core.detection.tracking import FaceTrack, GapLimits, fill_gaps, follow, gaps
from playmate_core.errors import UserError


def video(frames: int) -> Iterator[Tensor]:
    """Pictures whose first number is their index."""
    for i in range(frames):
        yield torch.full((4, 4, 3), i / 1000)


def seer(lost: tuple[int, ...] = (), other: bool = True):  # type: ignore[no-untyped-def]
    """A face that walks 10 pixels a frame to the right, and somebody larger who stands far below."""

    def detect(image: Tensor) -> tuple[Face, ...]:
        i = round(float(image[0, 0, 0]) * 1000)
        mine = (Face((10.0 * i, 0.0, 10.0 * i + 40, 40.0)),) if i not in lost else ()
        return ((Face((0.0, 500.0, 100.0, 600.0)),) if other else ()) + mine

    return detect


def test_the_face_is_followed_and_gaps_lie_between_their_neighbours() -> None:
    told: list[tuple[int, int]] = []
    track = follow(video(12), seer((4, 5, 11)), Pick("left"), None, 12, lambda *step: told.append(step))
    assert track.points[:, 0, 0].tolist() == pytest.approx([10.0 * i for i in range(11)] + [100.0])
    assert track.points[:, 0, 1].max() == 0  # never the other one
    assert track.seen.tolist() == [i not in (4, 5, 11) for i in range(12)]
    assert told[-1] == (12, 12) and len(told) == 12


def test_too_many_missing_frames_are_named() -> None:
    with pytest.raises(UserError, match=r"5 of 12 frames \(0, 3-5, 11\)"):
        follow(video(12), seer((0, 3, 4, 5, 11), other=False))
    with pytest.raises(UserError, match=r"4 of 40 frames \(10-13\)"):
        follow(video(40), seer((10, 11, 12, 13), other=False), limits=GapLimits(longest=3))
    with pytest.raises(UserError, match="any of the 3 frames"):
        follow(video(3), lambda image: ())
    with pytest.raises(UserError, match="no frame"):
        follow(video(0), seer())
    assert len(follow(video(12), seer((0, 3, 11), other=False))) == 12


def test_one_box_is_the_mean_of_the_upright_squares() -> None:
    track = follow(video(11), seer(other=False))
    square, middle = track.box(), square_from_box((50, 0, 90, 40), DRIVING_CROP)
    assert (square.x, square.y, square.side, square.angle) == pytest.approx((middle.x, middle.y, middle.side, 0.0))


def test_smoothed_squares_shake_less_and_stay_on_the_face() -> None:
    random = torch.Generator().manual_seed(0)
    face = torch.tensor([[100.0, 100], [200, 100], [150, 150], [120, 200], [180, 200]])
    points = face + torch.randn(60, 1, 2, generator=random) * 3 + torch.arange(60.0)[:, None, None]
    track = FaceTrack(points, torch.ones(60, dtype=torch.bool))
    plain, calm = (torch.tensor([[q.x, q.y] for q in track.squares(CropOptions(), s)]) for s in (0.0, 1e-4))
    assert calm.diff(dim=0).diff(dim=0).std() < 0.3 * plain.diff(dim=0).diff(dim=0).std()
    assert (calm - plain).abs().max() < 9 and (calm - plain).mean().abs() < 0.5


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_gaps_and_readings_of_any_video(there: list[bool]) -> None:
    seen = torch.tensor(there)
    missing = [i for first, last in gaps(seen) for i in range(first, last + 1)]
    assert missing == [i for i, known in enumerate(there) if not known]
    first, second, weight = fill_gaps(seen)
    assert seen[first].all() and seen[second].all()
    position = torch.lerp(first.double(), second.double(), weight)
    known = torch.nonzero(seen)[:, 0]
    wanted = torch.arange(len(there)).clamp(int(known[0]), int(known[-1])).double()
    assert torch.allclose(position, wanted)


def test_an_hour_of_meshes_is_not_kept() -> None:
    """What a crop and the openings need of MediaPipe's 478 points, and the openings of lost frames in between."""
    meshes = [torch.rand(478, 2, generator=torch.Generator().manual_seed(i)) * 40 + i for i in range(5)]
    frames = (torch.full((64, 64, 3), i / 10) for i in range(5))

    def sees(image: Tensor) -> tuple[Face, ...]:
        number = round(float(image.mean()) * 10)
        return () if number == 2 else (Face.of(meshes[number]),)

    track = follow(frames, sees, limits=GapLimits(share=0.5))
    assert track.points.shape == (5, 68, 2) and track.seen.tolist() == [True, True, False, True, True]
    assert track.squares(CropOptions())[1] == square_of(Face.of(meshes[1]), CropOptions())
    wanted = Openings.of(torch.stack(meshes))
    assert track.openings is not None and wanted is not None
    assert torch.equal(track.openings.eyes[[0, 1, 3, 4]], wanted.eyes[[0, 1, 3, 4]])
    assert torch.allclose(track.openings.lips[2], (wanted.lips[1] + wanted.lips[3]) / 2)
    assert torch.allclose(track.points[2], (track.points[1] + track.points[3]) / 2)
