"""Several faces in one video, on one plate or in a row, each with its own motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from driven_videos import PLAIN, pictures, scene, video  # noqa: F401
from portrait_videos import motion

from playmate_core.detection import detectors
from playmate_core.detection.crop import CropOptions, Patch
from playmate_core.detection.detect import Pick
from playmate_core.detection.plate_masks import PlateMasks, plate_masks
from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.media.images import from_bytes
from playmate_core.media.video_writer import VideoWriter
from playmate_core.motion.edit import hold_rest
from playmate_core.rendering.footage import VideoFile
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.render import RenderOptions
from playmate_core.rendering.several import Arrangement, MovingFace, faces_job
from playmate_core.rendering.source_video import FaceVideoOptions
from playmate_core.rendering.video_portrait import VideoPortrait, read_video_portrait
from playmate_core.rendering.write_video import Composition, portrait_job
from playmate_core.values import Portrait, Transparency
from playmate_core.weights.files import load_face

PAIR = (detectors.Face((20.0, 15.0, 74.0, 80.0)), detectors.Face((120.0, 20.0, 170.0, 80.0)))
HOW = RenderOptions("absolute", batch=2)


@pytest.fixture(autouse=True)
def two_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector for pictures 192 wide: two faces side by side, one a little lower."""
    monkeypatch.setitem(detectors.DETECTORS, "pair", lambda: lambda image: PAIR)


@pytest.fixture(scope="module")
def face(tiny_face: Path) -> FaceModel:
    return load_face(tiny_face)


@pytest.fixture(scope="module")
def plate() -> np.ndarray:
    return np.hstack([scene(1), scene(-1)])


@pytest.fixture
def two(face: FaceModel, plate: np.ndarray) -> list[Portrait]:
    around = CropOptions(scale=1.3)
    return [read_portrait(face, from_bytes(plate), "pair", Pick("left", number), around) for number in (0, 1)]


def drawn(job: object) -> np.ndarray:
    return torch.cat(list(job.pictures())).numpy()  # type: ignore[attr-defined]


def laid(crops: torch.Tensor, colours: list[int], order: tuple[int, ...], masks: Callable[..., list]) -> np.ndarray:
    """A grey picture with crops of one colour each pasted in an order."""
    picture = np.full((200, 300, 3), 100, np.uint8)
    for place, colour, mask in zip(crops[list(order)], order, masks(crops[list(order)], 256), strict=True):
        crop = np.full((256, 256, 3), colours[colour], np.uint8)
        picture = Patch(place, 256, 200, 300, mask).paste(picture, crop)
    return picture


def test_overlapping_crops_share_the_picture_by_the_nearest_face() -> None:
    # Sides of 128 and 96 pixels around (100, 100) and (170, 110).
    crops = torch.tensor([[[0.5, 0, 36], [0, 0.5, 36]], [[0.375, 0, 122], [0, 0.375, 62]]])
    one = laid(crops, [200, 0], (0, 1), plate_masks)[..., 0].astype(int)
    other = laid(crops, [200, 0], (1, 0), plate_masks)[..., 0].astype(int)
    assert one[100, 100] == 200 and one[110, 170] == 0 and one[10, 10] == 100
    assert one[100, 135] > 150 > one[100, 148], "each keeps its own side of the overlap"
    apart = np.abs(one - other)
    assert (apart > 2).mean() < 0.002 and apart.max() <= 16, "the order of the faces hardly shows, of black and white"
    covered = laid(crops, [200, 0], (0, 1), lambda places, size: [None, None])[..., 0].astype(int)
    assert covered[100, 135] < 50, "without the masks the later crop covers the earlier face"
    assert np.abs(np.diff(one[100])).max() < 60, "and without a seam"
    distant = crops.clone()
    distant[1, 0, 2] += 120
    assert plate_masks(distant, 256) == [None, None]
    kept = PlateMasks(256)
    assert kept.at(crops) is kept.at(crops.clone()) and len(kept.at(crops[:1])) == 1


def test_two_faces_of_one_picture_move_each_by_its_own_motion(
    face: FaceModel, two: list[Portrait], plate: np.ndarray
) -> None:
    first, second = motion(7), motion(12)[5:]
    both = drawn(faces_job(face, [MovingFace(two[0], first), MovingFace(two[1], second)], Arrangement(), HOW))
    alone = [
        drawn(portrait_job(face, one, moved, HOW, Composition(True)))
        for one, moved in zip(two, (first, second), strict=True)
    ]
    assert both.shape == (7, 96, 192, 3)
    assert np.array_equal(both[:, :, :80], alone[0][:, :, :80]) and np.array_equal(
        both[:, :, 115:], alone[1][:, :, 115:]
    )
    assert not np.array_equal(both[:, 20:70, 25:70], alone[1][:, 20:70, 25:70])
    assert (both[0] != both[-1])[:, :96].any() and (both[0] != both[-1])[:, 96:].any()


def test_the_shorter_motion_is_held_and_the_rate_is_the_first(face: FaceModel, two: list[Portrait]) -> None:
    short = replace(motion(4), pose=replace(motion(4).pose, fps=12.5))
    job = faces_job(face, [MovingFace(two[0], motion(10)), MovingFace(two[1], short)], Arrangement(), HOW)
    frames = drawn(job)
    assert job.fps == 25.0 and len(frames) == 10
    assert np.array_equal(frames[7, :, 115:], frames[9, :, 115:]) and not np.array_equal(frames[7], frames[9])


def test_one_changed_motion_changes_the_key_of_its_own_parts_only(face: FaceModel, two: list[Portrait]) -> None:
    first = motion(12)
    later = first.expression.clone()
    later[9] += 0.01
    jobs = [
        faces_job(face, [MovingFace(two[0], moved), MovingFace(two[1], first)], Arrangement(), HOW)
        for moved in (first, replace(first, expression=later))
    ]
    assert jobs[0].fingerprint() == jobs[1].fingerprint()
    keys = [[job.key(start, start + 6) for start in (0, 6)] for job in jobs]
    assert keys[0][0] == keys[1][0] and keys[0][1] != keys[1][1]
    swapped = faces_job(face, [MovingFace(two[1], first), MovingFace(two[0], first)], Arrangement("row"), HOW)
    assert swapped.fingerprint() != jobs[0].fingerprint()


@pytest.mark.parametrize("pasted", [False, True])
def test_a_row_shows_each_as_it_is_alone(face: FaceModel, two: list[Portrait], pasted: bool) -> None:
    first, second = motion(5), motion(9)[4:]
    moving = [MovingFace(two[0], first), MovingFace(two[1], second)]
    row = drawn(faces_job(face, moving, Arrangement("row", pasted), HOW))
    alone = [drawn(portrait_job(face, one.portrait, one.motion, HOW, Composition(pasted))) for one in moving]
    assert np.array_equal(row, np.concatenate(alone, 2))


@pytest.mark.parametrize("how", ["plate", "row"])
def test_transparent_pictures_stay_transparent(face: FaceModel, two: list[Portrait], how: str) -> None:
    """This face model draws too badly for an alpha that moves; an opaque picture in a row stays opaque."""
    alpha = torch.zeros(96, 192)
    alpha[:, 40:150] = 1.0
    clear = [replace(one, transparency=Transparency(alpha, (1.0, 1.0, 1.0))) for one in two]
    moving = [MovingFace(clear[0], motion(3)), MovingFace(clear[1] if how == "plate" else two[1], motion(3))]
    job = faces_job(face, moving, Arrangement(how, True, alpha=True), HOW)
    frames = drawn(job)
    whole = np.tile((alpha.numpy() * 255).astype(np.uint8), (3, 1, 1))
    assert np.array_equal(frames[:, :, :192, 3], whole) and (frames[:, :, 192:, 3] == 255).all()
    opaque = drawn(faces_job(face, moving, Arrangement(how, True), HOW))
    shown = frames[..., 3] == 255
    assert frames.shape[-1] == 4 and np.array_equal(frames[shown][:, :3], opaque[shown])
    assert job.fingerprint() != faces_job(face, moving, Arrangement(how, True), HOW).fingerprint()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    with VideoWriter(path, 25.0, None) as writer:
        for i in range(8):
            writer.write(torch.from_numpy(np.hstack([scene(i % 3), scene(-(i % 3))]))[None])
    return path


def read(face: FaceModel, film: Path, number: int, **more: str) -> VideoPortrait:
    options = FaceVideoOptions("pair", Pick("left", number), CropOptions(scale=1.3))
    return read_video_portrait(face, VideoFile(film), options, **more)


def test_two_faces_of_one_video_move_each_by_its_own_motion(face: FaceModel, film: Path) -> None:
    both = [read(face, film, number) for number in (0, 1)]
    still = [MovingFace(one, one.video.motion) for one in both]
    moved = [MovingFace(one, hold_rest(one.video.motion[2:3], 12, 25.0)) for one in both]
    own = np.stack(pictures(film))
    left = drawn(faces_job(face, [moved[0], still[1]], Arrangement(), HOW))
    alone = drawn(portrait_job(face, both[0], moved[0].motion, HOW, Composition(True)))
    assert left.shape == (12, 96, 192, 3), "as long as the longer motion; the video bounces"
    assert np.array_equal(left[:, :, :80], alone[:, :, :80])
    together = drawn(faces_job(face, moved, Arrangement(), HOW))
    assert np.array_equal(together[:, :, :80], left[:, :, :80])
    assert not np.array_equal(together[:, :, 115:], left[:, :, 115:])
    assert np.array_equal(together[:8, 86:], own[:, 86:]), "beyond the crops the video is what it was"


def test_portraits_that_show_no_one_plate_are_refused(face: FaceModel, two: list[Portrait], film: Path) -> None:
    def refused(*portraits: Portrait, how: str = "plate") -> str:
        with pytest.raises(UserError) as refusal:
            faces_job(face, [MovingFace(one, motion(3)) for one in portraits], Arrangement(how), HOW)
        return str(refusal.value)

    assert "different pictures" in refused(two[0], replace(two[1], image=1 - two[1].image))
    assert "one video with one fit" in refused(two[0], read(face, film, 0))
    assert "one video with one fit" in refused(read(face, film, 0), read(face, film, 1, fit="loop"))
    assert "plate, row" in refused(two[0], how="stack")
    fast = read(face, film, 0)
    fast = replace(
        fast,
        video=replace(fast.video, motion=replace(fast.video.motion, pose=replace(fast.video.motion.pose, fps=50.0))),
    )
    assert "25 and 50 frames a second" in refused(read(face, film, 1), fast, how="row")


def test_a_picture_beside_a_video_takes_its_rate(face: FaceModel, two: list[Portrait], video: Path) -> None:  # noqa: F811
    other = read_video_portrait(face, VideoFile(video), PLAIN)
    job = faces_job(
        face, [MovingFace(two[0], motion(25)), MovingFace(other, motion(25))], Arrangement("row", True), HOW
    )
    assert job.fps == 30.0 and drawn(job).shape == (30, 96, 192 + 96, 3)
    cut = replace(other, fit="cut")
    assert (
        faces_job(face, [MovingFace(two[0], motion(25)), MovingFace(cut, motion(25))], Arrangement("row"), HOW).frames
        == 10
    )
