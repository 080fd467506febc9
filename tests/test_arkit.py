"""ARKit's blend shapes in: tables of other programs are read, exported shapes come back, faces make what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edited_motions import SPACES
from motion_models import rest
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.geometry import rotation_matrix
from playmate_core.motion.arkit import ARKIT_SHAPES, arkit_shapes
from playmate_core.motion.arkit_import import HEAD_CHOICES, head_rotation, motion_from_shapes, on_face
from playmate_core.motion.arkit_tables import ShapeClip, shapes_of_names
from playmate_core.motion.expression_layer import lid_apertures
from playmate_core.motion.motion_tables import holds_shapes, load_motion_table, save_motion_table
from playmate_core.values import Motion

#: Shapes that sliders move, as the export writes them: both sides of gaze, brows and corners go together.
PAIRS = [
    ("eyeBlinkLeft",),
    ("eyeBlinkRight",),
    ("jawOpen",),
    ("mouthPucker",),
    ("mouthSmileLeft", "mouthSmileRight"),
    ("mouthFrownLeft", "mouthFrownRight"),
    ("mouthUpperUpLeft", "mouthUpperUpRight"),
    ("browDownLeft", "browDownRight"),
    ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    ("eyeLookOutLeft", "eyeLookInRight"),
    ("eyeLookUpLeft", "eyeLookUpRight"),
]


def acted(*names: str, value: float = 0.6, frames: int = 100) -> Tensor:
    """Neutral, then these shapes in the last two fifths."""
    shapes = torch.zeros(frames, 52, dtype=torch.float64)
    shapes[3 * frames // 5 :, [ARKIT_SHAPES.index(name) for name in names]] = value
    return shapes


def made(shapes: Tensor, space: str = "playmate-demo", fps: float = 25.0) -> Motion:
    turned = torch.linspace(-20.0, 20.0, len(shapes))[:, None] * torch.tensor([0.5, 1.0, 0.25])
    return motion_from_shapes(shapes, turned, fps, space)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("names", PAIRS, ids=lambda names: names[0])
def test_shapes_that_go_in_come_out(space: str, names: tuple[str, ...]) -> None:
    shapes = acted(*names)
    assert float((arkit_shapes(made(shapes, space)) - shapes).abs().max()) < 0.065


@pytest.mark.parametrize("form", ["arkit", "arkit-json"])
@pytest.mark.parametrize("fps", [24.0, 25.0, 29.97, 12.5])
def test_an_exported_motion_comes_back(form: str, fps: float, tmp_path: Path) -> None:
    motion = made(
        torch.maximum(acted("jawOpen", "eyeBlinkLeft", frames=250), acted("mouthPucker", frames=250)), fps=fps
    )
    path = tmp_path / ("m.json" if form == "arkit-json" else "m.csv")
    save_motion_table(motion, path, form)
    assert holds_shapes(path)
    back = load_motion_table(path, motion.keypoint_space)
    assert (len(back), back.fps, back.keypoint_space) == (250, fps, "playmate-demo")
    assert torch.allclose(back.pose.rotation, motion.pose.rotation, atol=1e-3)
    assert float((back.expression - motion.expression).abs().max()) < 0.003, "the jaw opens by 0.06"
    assert float(motion.expression.abs().max()) > 0.05


LIVE_LINK = """Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,\
EyeSquintLeft,EyeWideLeft,EyeBlinkRight,JawOpen,MouthClose,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw
{rows}"""


def live_link(frames: list[int], fps: int = 60) -> str:
    """A recording that holds only some frames; jaw and head move evenly."""
    rows = [
        f"17:33:{26 + frame // fps:02d}:{frame % fps:02d}.421,61,0,0,0,0,0,0,0,0,{frame / 100},0,{frame / 1000},0,0,0"
        for frame in frames
    ]
    return LIVE_LINK.format(rows="\n".join(rows))


def test_a_recording_with_dropped_frames_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "iphone.csv"
    kept = [frame for frame in range(30, 200) if frame % 7 or frame in (30, 199)]
    path.write_text(live_link(kept), encoding="utf-8-sig")
    motion = load_motion_table(path, "playmate-demo")
    assert (len(motion), motion.fps) == (170, 60.0)
    assert torch.allclose(motion.pose.rotation[:, 1].deg2rad(), torch.arange(30, 200) / 1000, atol=1e-5)
    opened = (motion.expression[:, 19, 1] - motion.expression[:, 20, 1]).double()
    assert float(opened[50] / opened[40]) == pytest.approx(80 / 70, abs=0.01), "the jaw of frames 80 and 70"


def test_a_short_recording_has_the_next_usual_rate(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(live_link(list(range(40))))
    assert load_motion_table(tmp_path / "a.csv", "playmate-demo").fps == 50.0


NAMED = {"eyeBlink_L": 1.0, "eyeBlink_R": 1.0, "jawOpen": 0.5} | {f"mouth{way}_L": 0.0 for way in ("Smile", "Frown")}
NAMED |= {"browInnerUp": 0.0, "mouthPucker": 0.0, "cheekPuff": 0.3, "unknownShape": 3.0}


@pytest.mark.parametrize(
    "document",
    [
        {"fps": 30, "frames": [NAMED, NAMED]},
        {"fps": 30, "frames": [{"time": 0.0, "blendShapes": NAMED}] * 2},
        {"fps": 30, "frames": [{"categories": [{"categoryName": k, "score": v} for k, v in NAMED.items()]}] * 2},
        {"exportFps": 30, "facsNames": list(NAMED), "weightMat": [list(NAMED.values())] * 2},
    ],
    ids=["names", "blendShapes", "mediapipe", "audio2face"],
)
def test_json_of_other_programs_is_read(document: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document))
    motion = load_motion_table(tmp_path / "a.json", "playmate-demo")
    assert (len(motion), motion.fps) == (2, 30.0)
    assert lid_apertures(motion)[0].tolist() == pytest.approx([-0.0840, -0.0840], abs=1e-3), "both eyes shut"


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("a.csv", LIVE_LINK.format(rows=""), "no motion table"),
        ("b.csv", live_link([5, 4]), "no motion table"),
        ("c.csv", live_link([1, 2]).replace("17:33", "x"), "no motion table"),
        ("d.csv", live_link([1, 2]).replace(",61,0", ",61,nan"), "NaN"),
        ("e.json", '{"exportFps": 0, "facsNames": [], "weightMat": [[]]}', "no motion table"),
        ("f.json", '{"frames": [{"jawOpen": 1}]}', "no motion table"),
        ("g.json", json.dumps({"fps": -1, "frames": [NAMED]}), "a second"),
    ],
)
def test_broken_tables_are_refused(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        load_motion_table(tmp_path / name, "playmate-demo")


def test_a_face_matrix_is_our_angles() -> None:
    angles = torch.tensor([[10.0, -25.0, 5.0], [0.0, 30.0, 0.0]], dtype=torch.float64)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    matrices = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    matrices[:, :3, :3] = 1.7 * (flip @ rotation_matrix(angles).transpose(-1, -2) @ flip)
    assert torch.allclose(head_rotation(matrices), angles, atol=1e-6)


def test_the_portrait_keeps_its_own_face_and_place() -> None:
    acting = made(acted("jawOpen"))
    own = replace(rest(), keypoint_space="playmate-demo")
    relative, absolute, still = (on_face(acting, own, head) for head in HEAD_CHOICES)
    for motion in (relative, absolute, still):
        assert torch.equal(motion.expression[0], own.expression[0] + acting.expression[0])
        assert torch.equal(motion.pose.scale, own.pose.scale.expand(100, -1))
        assert torch.equal(motion.pose.translation, own.pose.translation.expand(100, -1))
    assert torch.allclose(relative.pose.rotation[0], own.pose.rotation[0], atol=1e-4)
    assert torch.equal(absolute.pose.rotation, acting.pose.rotation)
    assert torch.equal(still.pose.rotation, own.pose.rotation.expand(100, -1))
    with pytest.raises(UserError, match="relative, absolute, none"):
        on_face(acting, own, "up")


def test_frames_without_a_face_lie_between_their_neighbours() -> None:
    clip = shapes_of_names([NAMED, NAMED | {"jawOpen": 0.1}], torch.tensor([[0.0, 0, 0], [0, 10, 0]]), 25.0)
    whole = clip.spread([1, 3], 5)
    jaw = whole.shapes[:, ARKIT_SHAPES.index("jawOpen")]
    assert jaw.tolist() == pytest.approx([0.5, 0.5, 0.3, 0.1, 0.1])
    assert whole.rotation[:, 1].tolist() == pytest.approx([0.0, 0.0, 5.0, 10.0, 10.0])
    with pytest.raises(UserError, match="no blend shapes"):
        shapes_of_names([{"a": 1.0}], torch.zeros(1, 3), 25.0)
    assert ShapeClip.of(made(acted("jawOpen"))).fps == 25.0
