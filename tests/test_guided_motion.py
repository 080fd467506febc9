"""Retargeting, closed lips and the animal mode as a motion: the keypoints that the command line draws."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_motion import openings, wandering

from playmate_core.detection.landmarks import Openings
from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.geometry import place_motion
from playmate_core.motion.driving import ANIMAL, DrivingOptions, drive_still
from playmate_core.motion.motion_file import MotionClip
from playmate_core.motion.pose import reference_frame
from playmate_core.rendering.guided_motion import guided_motion
from playmate_core.rendering.retarget import OPEN_LIPS, guide_keypoints
from playmate_core.values import Portrait

WAYS = {
    "animal": DrivingOptions(mode=ANIMAL),
    "frontal animal": DrivingOptions(mode=ANIMAL, reference="frontal"),
    "eyes": DrivingOptions(retarget_eyes=True),
    "lips": DrivingOptions(mode="absolute", retarget_lips=True),
    "both": DrivingOptions(retarget_eyes=True, retarget_lips=True),
    "closed": DrivingOptions(close_lips=True),
}


@pytest.fixture(scope="module")
def face() -> FaceModel:
    torch.manual_seed(4)
    return FaceModel(FaceConfig.tiny()).eval()


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    noise = torch.Generator().manual_seed(5)
    keypoints, points = torch.randn(21, 3, generator=noise) * 0.3, torch.rand(203, 2, generator=noise) * 90
    volume, square = torch.zeros(1, 1, 1, 1), torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    return Portrait(torch.zeros(96, 96, 3), square, 64, volume, keypoints, wandering(1, 6), landmarks=points)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("frames", [12, 1])
def test_the_keypoints_are_those_of_the_command_line(
    face: FaceModel, portrait: Portrait, way: str, frames: int
) -> None:
    """All but stitching, which is the renderer's."""
    how, clip = WAYS[way], MotionClip(wandering(frames, 1), openings(frames, 2))
    own = Openings.of(portrait.landmarks[None])  # type: ignore[index]
    assert own is not None and float(own.lips) > OPEN_LIPS
    plain = drive_still(portrait.rest, clip.motion, how)
    x_s, x_d = place_motion(portrait.keypoints, portrait.rest), place_motion(portrait.keypoints, plain)
    start = reference_frame(clip.motion.pose, how.reference)
    wanted = guide_keypoints(face, x_s, x_d, replace(how, stitching=False, priority="pose"), start, own, clip.openings)
    made = guided_motion(face, portrait, clip, how)
    got = place_motion(portrait.keypoints, made)
    torch.testing.assert_close(got, wanted.expand_as(got), atol=2e-6, rtol=1e-5)
    assert way == "animal" and frames == 1 or not torch.equal(made.expression, plain.expression)


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_without_any_of_it_nothing_changes(face: FaceModel, portrait: Portrait, mode: str) -> None:
    clip, how = MotionClip(wandering(9, 1)), DrivingOptions(mode)
    made, plain = guided_motion(face, portrait, clip, how), drive_still(portrait.rest, clip.motion, how)
    assert torch.equal(made.expression, plain.expression) and torch.equal(made.pose.rotation, plain.pose.rotation)


@pytest.mark.parametrize("how", [DrivingOptions(close_lips=True), DrivingOptions(retarget_lips=True)])
def test_without_landmarks_it_is_a_sentence(face: FaceModel, portrait: Portrait, how: DrivingOptions) -> None:
    clip = MotionClip(wandering(3, 1), openings(3, 2))
    with pytest.raises(UserError, match="please choose a detector that tells"):
        guided_motion(face, replace(portrait, landmarks=None), clip, how)
