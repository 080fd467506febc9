"""Tables of motions hold every number, and ARKit's shapes say what the sliders said."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from edited_motions import SPACES, blinking, moving, same

from playmate_core.errors import UserError
from playmate_core.motion.arkit import ARKIT_SHAPES, arkit_shapes
from playmate_core.motion.directions import SLIDERS, directions, slider_values
from playmate_core.motion.motion_tables import load_motion_table, save_motion_table
from playmate_core.motion.pose import neutral_pose
from playmate_core.values import Motion


def shown(space: str, **sliders: float) -> Motion:
    """A face that goes from neutral to these sliders in the second half of four seconds."""
    offset = directions(space).offset(slider_values(sliders)).float()
    share = (torch.arange(100) >= 60).float()
    return Motion(neutral_pose(100), share[:, None, None] * offset, space)


def shape(motion: Motion, name: str, frame: int = 99) -> float:
    return float(arkit_shapes(motion)[frame, ARKIT_SHAPES.index(name)])


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_table_reads_back_bit_for_bit(form: str, tmp_path: Path) -> None:
    motion = moving(3)
    motion = replace(motion, pose=replace(motion.pose, fps=29.97))
    path = tmp_path / f"motion.{form}"
    save_motion_table(motion, path, form)
    back = load_motion_table(path)
    assert back.keypoint_space == motion.keypoint_space
    assert same(back, motion)


@pytest.mark.parametrize(
    "name, text", [("a.csv", "a,b\n1,2\n"), ("a.json", "{}"), ("b.json", "[" * 9999), ("c.csv", "")]
)
def test_other_tables_are_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="no motion table"):
        load_motion_table(tmp_path / name)


def test_a_table_with_nan_is_refused(tmp_path: Path) -> None:
    save_motion_table(moving(1), tmp_path / "a.csv", "csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    lines[5] = ",".join(["nan"] * len(lines[5].split(",")))
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match="numbers that are none"):
        load_motion_table(tmp_path / "a.csv")
    with pytest.raises(UserError, match="Unknown motion format"):
        save_motion_table(moving(1), tmp_path / "b.csv", "fbx")


def test_there_are_52_shapes_each_once() -> None:
    assert len(ARKIT_SHAPES) == len(set(ARKIT_SHAPES)) == 52


@pytest.mark.parametrize("space", SPACES)
def test_shapes_say_what_the_sliders_said(space: str) -> None:
    assert shape(shown(space, aaa=60.0), "jawOpen") == pytest.approx(0.6, abs=0.01)
    assert shape(shown(space, smile=1.0), "mouthSmileLeft") == pytest.approx(1.0, abs=0.1)
    assert shape(shown(space, woo=15.0), "mouthPucker") == pytest.approx(1.0, abs=0.1)
    assert shape(shown(space, eyebrow=15.0), "browInnerUp") == pytest.approx(1.0, abs=0.1)
    right = shown(space, pupil_x=15.0)
    assert shape(right, "eyeLookOutLeft") > 0.9 and shape(right, "eyeLookInRight") > 0.9
    assert shape(right, "eyeLookInLeft") == 0.0
    assert not arkit_shapes(shown(space)).any()


def test_a_wink_shuts_the_persons_right_eye() -> None:
    motion = blinking("playmate-demo", (30,))
    winked = motion.expression.clone()
    winked[:, [15, 16]] = winked[:1, [15, 16]]  # the picture's right eye stays open
    motion = replace(motion, expression=winked)
    assert shape(motion, "eyeBlinkRight", 32) == pytest.approx(1.0, abs=0.01)
    assert shape(motion, "eyeBlinkLeft", 32) == 0.0


def test_the_arkit_file_has_one_row_a_frame(tmp_path: Path) -> None:
    motion = shown("liveportrait", aaa=50.0)
    motion = replace(motion, pose=replace(motion.pose, rotation=torch.tensor([[0.0, 90.0, 0.0]]).repeat(100, 1)))
    save_motion_table(motion, tmp_path / "a.csv", "arkit")
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 100 and rows[26]["Timecode"] == "00:00:01:01"
    assert float(rows[-1]["JawOpen"]) == pytest.approx(0.5, abs=0.01)
    assert float(rows[0]["HeadYaw"]) == pytest.approx(1.570796, abs=1e-5)
    assert len(SLIDERS) == 10
