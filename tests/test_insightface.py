"""insightface's own code, from its FaceAnalysis to our crop, on stand-in networks with buffalo_l's names and shapes.

The stand-ins answer what was painted: a cell of 32 pixels in a picture of 512 is a face, the redder the surer, its half
side 256 times its green; its 106 points lie always alike in the box. ``landmark.onnx`` finds 203 points around what is
blue in its crop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from playmate_core.detection import detectors
from playmate_core.detection.crop import DRIVING_CROP, CropOptions, square_from_landmarks
from playmate_core.detection.detect import Pick, find_crop, select_face, square_of
from playmate_core.detection.landmarks import Openings
from playmate_core.detection.tracking import follow
from playmate_core.errors import UserError
from playmate_core.rendering.source_image import read_source_portrait
from playmate_core.weights.files import load_face

for _package in ("insightface", "onnx", "onnxruntime"):
    pytest.importorskip(_package, reason=f"{_package} is not installed")
RANDOM = np.random.default_rng(0)
#: Where the stand-ins have a face's points: in the box seen 1.5 times as wide, from -1 to 1; around what is blue.
ROUGH = RANDOM.uniform(-0.6, 0.6, (106, 2)).astype(np.float32)
FINE = RANDOM.uniform(-0.2, 0.2, (203, 2)).astype(np.float32)


def model(path: Path, nodes: list[Any], inputs: dict[str, list], outputs: dict[str, list], numbers: dict) -> None:
    from onnx import TensorProto, checker, helper, numpy_helper, save

    def told(names: dict[str, list]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in names.items()]

    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, path.stem, told(inputs), told(outputs), weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(made)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(made, str(path))


def write_detector(path: Path) -> None:
    """det_10g: input.1 (1, 3, ?, ?) -> scores, box distances and five points of two anchors at strides 8, 16, 32."""
    from onnx.helper import make_node

    ints = {"three": [3], "red": [0], "green": [1], "blue": [2], "scores": [-1, 1], "boxes": [-1, 4]}
    ints |= {"points": [-1, 10], "eight": [1, 1, 1, 8], "twenty": [1, 1, 1, 20]}
    numbers: dict[str, Any] = {name: np.array(value, np.int64) for name, value in ints.items()}
    floats = {"half": 128 / 255, "full": 127.5 / 255, "none": 0.0, "sides": 8.0}
    numbers |= {name: np.array(value, np.float32) for name, value in floats.items()}
    nodes, outputs = [make_node("Mul", ["input.1", "half"], ["scaled"])], dict[str, list]()
    nodes.append(make_node("Add", ["scaled", "full"], ["shown"]))
    names = iter(("448", "471", "494", "451", "474", "497", "454", "477", "500"))
    kinds: list[list[str]] = [[next(names) for _ in range(3)] for _ in range(3)]
    for stride, score, box, points in zip((8, 16, 32), *kinds, strict=True):
        size = [stride, stride]
        nodes.append(make_node("AveragePool", ["shown"], [f"cells{stride}"], kernel_shape=size, strides=size))
        nodes.append(make_node("Transpose", [f"cells{stride}"], [f"last{stride}"], perm=[0, 2, 3, 1]))
        for start, stop in (("red", "green"), ("green", "blue")):
            part = [f"last{stride}", start, stop]
            nodes.append(make_node("Slice", [*part, "three"], [f"{start}{stride}"]))
        nodes.append(make_node("Mul", [f"red{stride}", "none"], [f"zero{stride}"]))
        sure = f"red{stride}" if stride == 32 else f"zero{stride}"
        nodes.append(make_node("Concat", [sure, f"zero{stride}"], [f"pair{stride}"], axis=3))
        nodes.append(make_node("Reshape", [f"pair{stride}", "scores"], [score]))
        nodes.append(make_node("Mul", [f"green{stride}", "sides"], [f"far{stride}"]))
        for what, source, times, shape in (
            (box, f"far{stride}", "eight", "boxes"),
            (points, f"zero{stride}", "twenty", "points"),
        ):
            nodes.append(make_node("Tile", [source, times], [f"{what}.tiled"]))
            nodes.append(make_node("Reshape", [f"{what}.tiled", shape], [what]))
    widths = (1, 4, 10)
    for width, group in zip(widths, kinds, strict=True):
        outputs |= {name: ["n" + name, width] for name in group}
    model(path, nodes, {"input.1": [1, 3, "height", "width"]}, outputs, numbers)


def write_fixed(path: Path, name: str, size: int, outputs: dict[str, np.ndarray]) -> None:
    """A network of one picture (1, 3, size, size) that always answers the same."""
    from onnx.helper import make_node

    numbers = {"none": np.zeros((1, 1), np.float32)} | {f"{n}.is": v.reshape(1, -1) for n, v in outputs.items()}
    nodes = [make_node("ReduceMean", [name], ["mean"], axes=[1, 2, 3], keepdims=0)]
    nodes.append(make_node("Mul", ["mean", "none"], ["nothing"]))
    nodes += [make_node("Add", ["nothing", f"{n}.is"], [n]) for n in outputs]
    model(path, nodes, {name: [1, 3, size, size]}, {n: [1, v.size] for n, v in outputs.items()}, numbers)


def write_landmark_net(path: Path) -> None:
    """landmark.onnx: input (1, 3, 224, 224) -> two that nobody asks for and 203 points in units of the crop."""
    from onnx.helper import make_node

    across = (np.arange(224, dtype=np.float32) / 224)[None, None, None]
    numbers: dict[str, Any] = {"x": across, "y": across.transpose(0, 1, 3, 2), "few": np.float32([1e-6])}
    numbers |= {"two": np.int64([2]), "three": np.int64([3]), "one": np.int64([1]), "flat": np.int64([1, 406])}
    numbers["points"] = FINE[None]
    nodes = [make_node("Slice", ["input", "two", "three", "one"], ["blue"])]
    nodes.append(make_node("ReduceMean", ["blue"], ["mean"], axes=[1, 2, 3]))
    nodes.append(make_node("Add", ["mean", "few"], ["some"]))
    for axis in "xy":
        nodes.append(make_node("Mul", ["blue", axis], [f"moment_{axis}"]))
        nodes.append(make_node("ReduceMean", [f"moment_{axis}"], [f"mean_{axis}"], axes=[1, 2, 3]))
        nodes.append(make_node("Div", [f"mean_{axis}", "some"], [f"at_{axis}"]))
    nodes.append(make_node("Concat", ["at_x", "at_y"], ["at"], axis=3))
    nodes.append(make_node("Squeeze", ["at", "one"], ["centre"]))
    nodes.append(make_node("Add", ["centre", "points"], ["all"]))
    nodes.append(make_node("Reshape", ["all", "flat"], ["landmarks"]))
    nodes += [make_node("Flatten", ["mean"], [name]) for name in ("first", "second")]
    outputs = {"first": [1, 1], "second": [1, 1], "landmarks": [1, 406]}
    model(path, nodes, {"input": [1, 3, 224, 224]}, outputs, numbers)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A models folder with buffalo_l in it, and nothing anywhere else."""
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path))
    pack = tmp_path / "models" / "insightface" / "models" / "buffalo_l"
    write_detector(pack / "det_10g.onnx")
    write_fixed(pack / "2d106det.onnx", "data", 192, {"fc1": ROUGH})
    detectors.DETECTORS["insightface"].cache_clear()  # type: ignore[attr-defined]
    yield tmp_path / "models"
    detectors.DETECTORS["insightface"].cache_clear()  # type: ignore[attr-defined]


def painted(*faces: tuple[int, int, float, float], side: int = 512) -> Tensor:
    """A black picture with cells of faces: column, row, score and half side in cells of 32 pixels at a side of 512."""
    picture, cell = torch.zeros(side, side, 3), side // 16
    for column, row, score, half in faces:
        spot = picture[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
        spot[..., 0], spot[..., 1] = score, half / 8
    return picture


def rough_points(column: int, row: int, half: float, side: int = 512) -> Tensor:
    """Where the 106 points of such a face lie: insightface counts an anchor from its cell's corner."""
    cell = side / 16
    return torch.tensor([column, row]) * cell + 1.5 * half * cell * torch.from_numpy(ROUGH)


#: Two faces, 1 and 2 cells in their half side but for what bytes can say.
LEFT, RIGHT = (3, 5, 0.6, 8 * 32 / 255), (11, 8, 0.9, 8 * 64 / 255)


@pytest.mark.parametrize("side", [512, 1024])
def test_from_insightface_to_the_crop(models: Path, side: int) -> None:
    picture = painted(LEFT, RIGHT, (7, 14, 0.1, 3.0), side=side)  # the last is below the threshold of 0.15
    large, small = detectors.DETECTORS["insightface"]()(picture)
    cell = side / 16
    assert large.box == pytest.approx(
        [(at + by * RIGHT[3]) * cell for by in (-1, 1) for at in (11, 8)], abs=1e-3 * cell
    )
    assert large.score == pytest.approx(0.9, abs=0.01) and small.score == pytest.approx(0.6, abs=0.01)
    for face, (column, row, _, half) in ((large, RIGHT), (small, LEFT)):
        assert face.landmarks is not None and face.fine is None
        wanted = rough_points(column, row, half, side)
        assert float((face.landmarks - wanted).abs().max()) < 0.01 * cell
        got, square = square_of(face), square_from_landmarks(wanted)
        assert (got.x, got.y, got.side) == pytest.approx((square.x, square.y, square.side), abs=0.02 * cell)
    assert find_crop(picture, 512).equal(find_crop(picture, 512, large.landmarks))  # type: ignore[arg-type]
    for words, wanted in (("left", small), ("0", small), ("1", large), ("3,5", small), (f"{side},{side}", large)):
        found = select_face(picture, "insightface", Pick.read(words)).face
        assert found is not None and found.box == wanted.box
    with pytest.raises(UserError, match="No face was found"):
        select_face(painted(side=side), "insightface")


def test_pictures_are_cropped_by_106_points_and_videos_by_203(models: Path, tiny_face: Path) -> None:
    """docs/liveportrait.md 6.5, and the openings of both are measured on the 203."""
    write_landmark_net(models / "liveportrait" / "landmark.onnx")
    picture = painted(RIGHT)
    picture[250:254, 340:344, 2] = 1
    face = select_face(picture, "insightface").face
    assert face is not None and face.landmarks is not None and face.fine is not None
    assert face.landmarks.shape == (106, 2) and face.fine.shape == (203, 2)
    assert face.fine.mean(0).tolist() == pytest.approx([341.5, 251.5], abs=8)
    rough = rough_points(*RIGHT[:2], RIGHT[3])
    side = square_from_landmarks(rough, CropOptions(1.5, -0.1)).side  # of the 224 crop the net was given
    told = torch.from_numpy(FINE)
    spread = (face.fine - face.fine.mean(0)).norm(dim=1) / (told - told.mean(0)).norm(dim=1)
    assert spread.tolist() == pytest.approx([side] * 203, rel=0.01)
    assert square_of(face) == square_of(detectors.Face.of(face.landmarks))
    assert square_of(face.in_video()) == square_of(detectors.Face.of(face.fine))
    track = follow([picture, picture], detectors.DETECTORS["insightface"]())
    assert astuple(track.box())[:3] == pytest.approx(astuple(square_from_landmarks(face.fine, DRIVING_CROP))[:3])
    subject = read_source_portrait(load_face(tiny_face), picture, "insightface")
    opened = Openings.of(face.fine[None])
    assert subject.openings is not None and opened is not None and track.openings is not None
    assert torch.equal(subject.openings.eyes, opened.eyes) and torch.equal(track.openings.lips[:1], opened.lips)
    assert torch.equal(subject.portrait.crop_to_image, find_crop(picture, 64, face.landmarks))


@pytest.mark.parametrize("name", ["det_10g.onnx", "2d106det.onnx"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", None])
def test_a_model_that_is_none_is_said(models: Path, name: str, content: bytes | None) -> None:
    pack = models / "insightface" / "models" / "buffalo_l"
    other = pack / {"det_10g.onnx": "2d106det.onnx", "2d106det.onnx": "det_10g.onnx"}[name]
    (pack / name).write_bytes(other.read_bytes() if content is None else content)
    with pytest.raises(UserError, match=f"{name}.*fetch"):
        select_face(painted(LEFT), "insightface")


@pytest.mark.parametrize("content", [b"", b"no network", None])
def test_a_landmark_net_that_is_none_is_said(models: Path, content: bytes | None) -> None:
    path = models / "liveportrait" / "landmark.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(
        (models / "insightface/models/buffalo_l/2d106det.onnx").read_bytes() if content is None else content
    )
    with pytest.raises(UserError, match="landmark.onnx"):
        select_face(painted(LEFT), "insightface")
