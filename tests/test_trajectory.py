"""The course of a portrait made stretch by stretch is the course of the whole, and does not know how long that is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from random_motion import openings, wandering

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.geometry import place_motion
from playmate_core.motion.driving import ANIMAL, DrivingOptions, drive_still
from playmate_core.motion.edit import Regions
from playmate_core.motion.motion_file import MotionClip
from playmate_core.motion.pose import reference_frame
from playmate_core.rendering.retarget import guide_keypoints
from playmate_core.rendering.trajectory import portrait_trajectory
from playmate_core.rendering.write_video import Composition, trajectory_job


@pytest.fixture(scope="module")
def face() -> FaceModel:
    torch.manual_seed(4)
    return FaceModel(FaceConfig.tiny()).eval()


@pytest.fixture(scope="module")
def subject() -> Any:
    keypoints = torch.randn(21, 3, generator=torch.Generator().manual_seed(5)) * 0.3
    portrait = SimpleNamespace(keypoints=keypoints, rest=wandering(1, 6), familiar=True)
    return SimpleNamespace(portrait=portrait, openings=openings(1, 7))


WAYS = {
    "plain": DrivingOptions(),
    "frontal": DrivingOptions(reference="frontal", regions=Regions(lips=0.5, pose=0.7)),
    "absolute": DrivingOptions(mode="absolute", multiplier=1.3),
    "smooth": DrivingOptions(reference="frontal", smoothing=1e-4, priority="pose"),
    "retargeted": DrivingOptions(retarget_eyes=True, retarget_lips=True),
    "animal": DrivingOptions(mode=ANIMAL),
    "closed": DrivingOptions(close_lips=True),
}


@pytest.mark.parametrize("frames", [30, 1])
@pytest.mark.parametrize("fps", [25.0, 60.0])
@pytest.mark.parametrize("way", WAYS)
def test_stretches_make_up_the_whole(face: FaceModel, subject: Any, way: str, fps: float, frames: int) -> None:
    how, portrait = WAYS[way], subject.portrait
    motion_clip = MotionClip(wandering(frames, 1), openings(frames, 2))
    trajectory = portrait_trajectory(face, subject, motion_clip, how, fps)

    whole = motion_clip.at(fps)
    x_s = place_motion(portrait.keypoints, portrait.rest)
    x_d = place_motion(portrait.keypoints, drive_still(portrait.rest, whole.motion, how))
    start = reference_frame(whole.motion.pose, how.reference)
    wanted = guide_keypoints(face, x_s, x_d, how, start, subject.openings, whole.openings)
    wanted = wanted.expand(round(fps), -1, -1) if frames == 1 else wanted

    assert trajectory.fps == fps and trajectory.frames == len(wanted) and torch.equal(trajectory.x_s, x_s)
    got = torch.cat([trajectory.x_d(i, min(i + 7, len(wanted))) for i in range(0, len(wanted), 7)])
    torch.testing.assert_close(got, wanted, atol=2e-6, rtol=1e-6)


def test_what_decides_a_course_is_told(face: FaceModel, subject: Any) -> None:
    def known(motion_clip: MotionClip, how: DrivingOptions, fps: float) -> list[object]:
        trajectory = portrait_trajectory(face, subject, motion_clip, how, fps)
        picture = SimpleNamespace(**vars(subject.portrait), crop_size=64, appearance=torch.zeros(1))
        picture.image, picture.crop_to_image = torch.zeros(64, 64, 3), torch.eye(3)[:2]
        job = trajectory_job(face, picture, trajectory, 4, Composition())  # type: ignore[arg-type]
        return [job.fingerprint(), job.key(0, 3)]

    one = MotionClip(wandering(5, 1), openings(5, 2))
    base = known(one, DrivingOptions(), 25.0)
    assert base == known(one, DrivingOptions(), 25.0)
    assert base != known(one, DrivingOptions(), 30.0) and base != known(one, DrivingOptions(multiplier=1.1), 25.0)
    assert base != known(replace(one, motion=wandering(5, 9)), DrivingOptions(), 25.0)
    retargeted = DrivingOptions(retarget_lips=True)
    assert known(one, retargeted, 25.0) != known(replace(one, openings=openings(5, 9)), retargeted, 25.0)
