"""Contact sheets show the frames they say; the source doctor finds what was put into a portrait."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.media.images import read_picture
from playmate_core.motion.directions import directions, slider_values
from playmate_core.motion.edit import hold_rest
from playmate_core.motion.takes import Take, Takes
from playmate_core.rendering.contact_sheet import SheetOptions, contact_sheet, sheet_frames
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.render import render
from playmate_core.rendering.source_doctor import examine_source
from playmate_core.values import Motion, Portrait
from playmate_core.weights.files import load_face
from playmate_core.weights.folders import bundled


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face(bundled("face.safetensors"))


@pytest.fixture(scope="module")
def portrait(face: FaceModel) -> Portrait:
    return read_portrait(face, read_picture(bundled("portrait.png")), "whole")


def turning(portrait: Portrait, frames: int = 40) -> Motion:
    motion = hold_rest(portrait.rest, frames, 25.0)
    yaw = torch.linspace(-20, 20, frames)
    pose = replace(motion.pose, rotation=motion.pose.rotation + torch.stack([0 * yaw, yaw, 0 * yaw], -1))
    return replace(motion, pose=pose)


def test_moments_are_the_middles_of_equal_parts() -> None:
    assert sheet_frames(40, 4).tolist() == [5, 15, 25, 35]
    assert sheet_frames(3, 8).tolist() == [0, 1, 2] and sheet_frames(1, 1).tolist() == [0]


def test_every_tile_is_the_rendered_frame(face: FaceModel, portrait: Portrait) -> None:
    import cv2

    motion, told = turning(portrait), []
    rows = [Take("seed 1", motion), Take("seed 2", motion[:1])]
    sheet = contact_sheet(face, portrait, rows, SheetOptions(2, 64), progress=lambda *step: told.append(step))
    assert sheet.shape == (2 * (64 + 24), 2 * 64, 3) and told[-1] == (3, 3)
    [frame] = list(render(face, portrait, motion[30:31]))
    wanted = cv2.resize(frame[0].numpy(), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(sheet[:64, 64:].astype(int) - wanted).max() <= 1
    assert (sheet[88:152, 64:] == 255).all(), "the second take has one frame"


def test_nothing_to_show_is_refused(face: FaceModel, portrait: Portrait) -> None:
    for rows in ([], [Take("", turning(portrait)[:0])]):
        with pytest.raises(UserError, match="no motion to show"):
            contact_sheet(face, portrait, rows)
    with pytest.raises(UserError, match="columns"):
        SheetOptions(columns=0)


def test_takes_are_picked_by_number() -> None:
    takes = Takes((Take("seed 4", hold_rest(_rest(), 3, 25.0)),))
    assert takes.picked(1).name == "seed 4" and len(takes) == 1
    with pytest.raises(UserError, match="no take 2.*1 to 1"):
        takes.picked(2)


def _rest() -> Motion:
    from playmate_core.motion.pose import neutral_pose

    return Motion(neutral_pose(1), torch.zeros(1, 21, 3))


def found(face: FaceModel, portrait: Portrait) -> str:
    return " / ".join(str(problem) for problem in examine_source(face, portrait).problems)


def test_a_good_portrait_has_no_problem(face: FaceModel, portrait: Portrait) -> None:
    report = examine_source(face, portrait)
    assert not report.problems, str(report)
    low, high = report.usable[1]
    assert low + high == pytest.approx(-2 * float(portrait.rest.pose.rotation[0, 1]), abs=1e-3) and high - low == 70.0
    assert "the head can turn from here: pitch" in str(report)


def test_what_was_put_in_is_found(face: FaceModel, portrait: Portrait) -> None:
    def wearing(**sliders: float) -> Portrait:
        offset = directions(portrait.keypoint_space).offset(slider_values(sliders)).float()
        return replace(portrait, rest=replace(portrait.rest, expression=portrait.rest.expression + offset))

    pose = portrait.rest.pose
    aside = replace(pose, rotation=pose.rotation + torch.tensor([[0.0, 30.0, 0.0]]))
    assert "turned away" in found(face, replace(portrait, rest=portrait.rest.with_pose(aside)))
    assert "mouth is open" in found(face, wearing(aaa=60.0))
    assert "eye is closed" in found(face, wearing(blink=-20.0))
    small = replace(portrait, crop_to_image=portrait.crop_to_image * 0.2)
    assert "face is small" in found(face, small)
    noise = torch.rand(512, 512, 3, generator=torch.Generator().manual_seed(0))
    assert "hardly knows" in found(face, read_portrait(face, noise, "whole"))
