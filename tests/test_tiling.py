"""Small faces: a detector that knows only large ones finds all in windows, each once, and a video's by its place."""

from __future__ import annotations

import pytest
import torch
from mesh_models import mesh_model, no_models  # noqa: F401
from torch import Tensor

from playmate_core.detection.detect import Pick, select_face
from playmate_core.detection.detectors import Face
from playmate_core.detection.tiling import TiledDetector, full_search, local_search
from playmate_core.detection.tracking import follow
from playmate_core.media.images import read_picture


def near_sighted(image: Tensor) -> tuple[Face, ...]:
    """Finds squares of one colour each whose side is a sixth of the picture or more, cut ones too."""
    faces = []
    for colour in image.flatten(0, 1).unique():
        rows, columns = torch.nonzero(image[..., 0] == colour).T
        if colour and len(rows) and 6 * (rows.max() - rows.min() + 1) >= max(image.shape[:2]):
            box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
            faces.append(Face(box, torch.tensor([box[:2], box[2:]])))
    return tuple(faces)


def picture(*faces: tuple[int, int, int], height: int = 400, width: int = 900) -> Tensor:
    image = torch.zeros(height, width, 3)
    for i, (x, y, side) in enumerate(faces):
        image[y : y + side, x : x + side] = (i + 1) / 10
    return image


FACES = ((20, 30, 40), (400, 300, 100), (700, 150, 200), (860, 360, 40))


def test_every_face_is_found_once_and_where_it_is() -> None:
    image, detector = picture(*FACES), TiledDetector(near_sighted)
    assert len(detector(image)) == 1
    found = full_search(detector)(image)
    wanted = [(x, y, x + side, y + side) for x, y, side in sorted(FACES, key=lambda face: -face[2])]
    assert sorted(face.box for face in found) == sorted(wanted)
    assert [face.area for face in found] == sorted((face.area for face in found), reverse=True)
    for face in found:
        assert face.landmarks is not None and face.landmarks.flatten().tolist() == list(face.box)
    assert full_search(near_sighted) is near_sighted and local_search(near_sighted)(image, found[0]) == ()


@pytest.mark.parametrize(("pick", "first"), [("largest", 700), ("left", 20), ("1", 400), ("870,390", 860)])
def test_a_video_of_several_faces_follows_the_one_that_is_meant(pick: str, first: int) -> None:
    """Also where the whole frame shows only another, and in frames of which it is gone."""
    frames = [picture(*((x + 3 * i, y, side) for x, y, side in FACES), width=930) for i in range(6)]
    frames[3] = picture()
    track = follow(frames, TiledDetector(near_sighted), Pick.read(pick))
    assert track.seen.tolist() == [True] * 3 + [False] + [True] * 2
    assert track.points[:, 0, 0].tolist() == pytest.approx([first + 3 * i for i in range(6)])


@pytest.mark.usefixtures("mesh_model")
def test_mediapipe_finds_three_portraits_in_a_wide_plate() -> None:
    from shared_facts import MEDIA

    plate = torch.full((1080, 1920, 3), 0.6)
    for name, x, y in (
        ("portrait_painting_1", 40, 20),
        ("portrait_painting_2", 600, 300),
        ("portrait_cartoon", 1400, 400),
    ):
        portrait = read_picture(MEDIA / f"{name}.jpg", 500)
        plate[y : y + portrait.shape[0], x : x + portrait.shape[1]] = portrait
    eyes = ((178, 134), (845, 473), (1650, 636))  # read off the pictures
    for i, (x, y) in enumerate(eyes):
        for words in (str(i), f"{x},{y}"):
            found = select_face(plate, "mediapipe", Pick.read(words)).face
            assert found is not None and found.landmarks is not None
            between = found.landmarks[[33, 133, 362, 263]].mean(0)
            assert (between - torch.tensor([x, y])).norm() < 0.15 * (found.box[2] - found.box[0])
