"""Detectors: which face is meant, what is said when nothing can look, and real paintings where MediaPipe is there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from mesh_models import mesh_at, mesh_model, no_models  # noqa: F401
from shared_facts import MEDIA
from torch import Tensor

from playmate_core.detection import detectors
from playmate_core.detection.crop import crop_to_image, move_points, whole_to_image
from playmate_core.detection.detect import Face, Pick, find_crop, select_face, square_of
from playmate_core.detection.landmarks import Openings, crop_points, eye_ratios, lip_ratio
from playmate_core.errors import UserError
from playmate_core.media.images import read_picture

#: Three faces: small on the left, large in the middle, medium on the right.
THREE = (Face((300, 100, 400, 200)), Face((10, 10, 30, 40)), Face((700, 50, 760, 120)))


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(detectors.DETECTORS, "three", lambda: lambda image: THREE)


@pytest.mark.parametrize(
    ("words", "x"),
    [("largest", 350), ("left", 20), ("0", 20), ("1", 350), ("2", 730), ("690,300", 730), ("0,0", 20)],
)
def test_which_face_is_meant(three: None, words: str, x: float) -> None:
    found = select_face(torch.zeros(400, 800, 3), "three", Pick.read(words)).face
    assert found is not None and found.centre[0] == x


def test_a_face_that_is_not_there_is_refused_with_those_that_are(three: None) -> None:
    with pytest.raises(UserError, match=r"number 3 .* 3 found, at 20,25; 350,150; 730,85"):
        select_face(torch.zeros(400, 800, 3), "three", Pick.read("3"))
    for nonsense in ("right", "1,2,3", "-1", "1.5"):
        with pytest.raises(UserError, match="counted from the left"):
            Pick.read(nonsense)


def test_landmarks_and_boxes_of_the_caller(three: None) -> None:
    image = torch.zeros(300, 400, 3)
    points = torch.tensor([[100.0, 100], [200, 100], [150, 150], [120, 200], [180, 200]])
    by_points = find_crop(image, 64, points)
    assert torch.equal(by_points, crop_to_image(square_of(Face.of(points)), 64))
    assert select_face(image, (10.0, 20.0, 50.0, 60.0)).face == Face((10.0, 20.0, 50.0, 60.0))
    assert torch.equal(
        select_face(torch.zeros(300, 400, 3), "whole").crop_to_image(300, 400, 64), whole_to_image(300, 400, 64)
    )
    with pytest.raises(UserError, match=r"shape \(N, 2\)"):
        select_face(image, torch.zeros(5, 3))
    with pytest.raises(UserError, match="finite"):
        select_face(image, torch.full((5, 2), float("nan")))


def test_auto_crops_what_is_no_crop_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    image, here = torch.zeros(800, 800, 3), list[Face]()
    monkeypatch.setitem(detectors.DETECTORS, "mine", lambda: lambda image: tuple(here))
    monkeypatch.setattr("playmate_core.detection.detect.available", lambda: ("mine",))
    assert select_face(image).whole  # nobody knows this face; the picture may still be a crop of it
    with pytest.raises(UserError, match="No face was found in the 900 x 800"):
        select_face(torch.zeros(800, 950, 3)[:, :900], "mine")
    with pytest.raises(UserError, match="No face was found in the 950 x 800"):
        select_face(torch.zeros(800, 950, 3))
    here.append(Face((300, 200, 400, 300)))
    assert select_face(image).face == here[0]  # a small face in a square picture
    here[0] = Face((260, 300, 540, 580))
    assert select_face(image).whole  # what would be cropped is the picture
    assert select_face(image, pick=Pick()).face == here[0]
    assert select_face(torch.zeros(800, 950, 3)).face == here[0]


def test_what_is_missing_is_said(no_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.zeros(64, 64, 3)
    for name in ("insightface", "mediapipe"):
        detectors.DETECTORS[name].cache_clear()  # type: ignore[attr-defined]
        monkeypatch.setattr(detectors, "installed", lambda package: False)
        with pytest.raises(UserError, match=f"pip install {name}"):
            select_face(image, name)
        monkeypatch.setattr(detectors, "installed", lambda package: True)
        with pytest.raises(UserError, match=str(no_models)):
            select_face(image, name)
    assert detectors.available() == ()


def test_insightface_sees_bgr_and_its_faces_come_largest_first(
    no_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = no_models / "insightface" / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    for name in ("det_10g.onnx", "2d106det.onnx"):
        (folder / name).write_bytes(b"not looked into here")
    asked: dict[str, object] = {}

    class FaceAnalysis:
        models = ("detection", "landmark_2d_106")

        def __init__(self, **options: object) -> None:
            asked.update(options)

        def prepare(self, **options: object) -> None:
            asked.update(options)

        def get(self, picture: np.ndarray) -> list[SimpleNamespace]:
            asked["pixel"] = picture[0, 0].tolist()
            boxes = [(0, 0, 10, 10), (20, 20, 60, 60)]
            return [SimpleNamespace(bbox=np.array(b), landmark_2d_106=np.ones((106, 2)), det_score=0.9) for b in boxes]

    package, app = ModuleType("insightface"), ModuleType("insightface.app")
    app.FaceAnalysis = FaceAnalysis  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "insightface", package)
    monkeypatch.setitem(sys.modules, "insightface.app", app)
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    detectors.DETECTORS["insightface"].cache_clear()  # type: ignore[attr-defined]
    assert detectors.available()[0] == "insightface"
    red = torch.zeros(80, 80, 3)
    red[..., 0] = 1
    faces = detectors.DETECTORS["insightface"]()(red)
    detectors.DETECTORS["insightface"].cache_clear()  # type: ignore[attr-defined]
    assert asked["pixel"] == [0, 0, 255]
    assert asked["root"] == str(no_models / "insightface") and asked["det_thresh"] == 0.15
    assert [f.box for f in faces] == [(20, 20, 60, 60), (0, 0, 10, 10)]
    assert faces[0].landmarks is not None and faces[0].landmarks.shape == (106, 2)


def test_the_mesh_is_measured_like_other_landmarks() -> None:
    mesh = mesh_at(100, 50, 200)
    assert crop_points(mesh).shape == (68, 2) and Openings.of(mesh[None]) is not None
    assert Openings.of(torch.zeros(3, 68, 2)) is None
    assert eye_ratios(mesh).tolist() == pytest.approx([0.2, 0.3], rel=1e-3)
    assert lip_ratio(mesh).tolist() == pytest.approx([0.2], rel=1e-3)
    assert eye_ratios(mesh.expand(4, -1, -1)).shape == (4, 2)
    with pytest.raises(ValueError, match="203 or 478"):
        eye_ratios(torch.zeros(68, 2))


def test_the_203_point_network_sees_its_crop_and_answers_in_the_picture(
    no_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for onnxruntime that finds the brightest pixel of the 224 crop, 203 times."""
    path = no_models / "liveportrait" / "landmark.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not looked into here")

    class InferenceSession:
        def __init__(self, path: str, providers: list[str]) -> None: ...

        def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            seen = inputs["input"]
            assert seen.shape == (1, 3, 224, 224) and seen.dtype == np.float32 and seen.max() <= 1
            y, x = np.unravel_index(seen[0, 0].argmax(), (224, 224))
            wrong = np.zeros(4, np.float32)
            return [wrong, wrong, np.tile(np.array([x, y], np.float32) / 224, 203)[None]]

    runtime = ModuleType("onnxruntime")
    runtime.InferenceSession = InferenceSession  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    image = torch.zeros(300, 400, 3)
    image[148:153, 208:213] = 1
    rough = torch.tensor([[180.0, 130], [240, 130], [210, 160], [190, 190], [230, 190]])
    (face,) = detectors.refined(lambda image: (Face.of(rough),))(image)
    assert torch.equal(face.landmarks, rough) and face.fine.shape == (203, 2)  # type: ignore[arg-type, union-attr]
    assert face.fine[0].tolist() == pytest.approx([210, 150], abs=4)  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "eyes"),  # the middle between the eyes, read off the pictures
    [("portrait_painting_1", (354, 298)), ("portrait_painting_2", (353, 249)), ("portrait_cartoon", (426, 403))],
)
def test_real_pictures(mesh_model: None, name: str, eyes: tuple[int, int], capfd: pytest.CaptureFixture) -> None:
    image = read_picture(MEDIA / f"{name}.jpg")
    assert select_face(image).whole == (name == "portrait_cartoon")  # which is a crop already
    face = select_face(image, "mediapipe").face
    assert face is not None and face.landmarks is not None
    between = face.landmarks[[33, 133, 362, 263]].mean(0)
    left, top, right, bottom = face.box
    assert (between - torch.tensor(eyes)).norm() < 0.08 * (right - left)
    in_crop = move_points(between, torch.linalg.inv(_square(find_crop(image, 512, "mediapipe")))[:2])
    assert in_crop.tolist() == pytest.approx([256, 235], abs=45)  # where LivePortrait's crop has the eyes
    assert capfd.readouterr().err == ""
    two = torch.cat([image, image.flip(1)], 1)
    others = detectors.DETECTORS["mediapipe"]()(two)
    assert len(others) == 2
    right_one = select_face(two, "mediapipe", Pick.read("1")).face
    assert right_one is not None and right_one.centre[0] > image.shape[1]


def _square(affine: Tensor) -> Tensor:
    return torch.cat([affine, torch.tensor([[0.0, 0.0, 1.0]])])


@pytest.mark.parametrize("pick", [Pick("left", 1), Pick("largest", 99), Pick(point=(3.0, 4.0))])
def test_one_of_several_faces_is_not_ignored_where_nobody_can_look(pick: Pick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playmate_core.detection.detect.available", lambda: ())
    with pytest.raises(UserError, match="no detector is here"):
        select_face(torch.zeros(64, 64, 3), "auto", pick)
    for first in (None, Pick(), Pick("left")):
        assert select_face(torch.zeros(64, 64, 3), "auto", first).whole
