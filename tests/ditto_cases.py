"""Inputs of Ditto's golden cases."""

from __future__ import annotations

import pytest
import torch
from motion_goldens import MotionGolden, motion_golden
from torch import Tensor

from playmate_core.diffusion.ditto.layout import BinnedMotion
from playmate_core.diffusion.ditto.source import SourceFace, back_and_forth
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.geometry import place
from playmate_core.values import AudioFeatures, PortraitDetails


@pytest.fixture(scope="module")
def golden() -> MotionGolden:
    return motion_golden("ditto")


def face_of(golden: MotionGolden, prefix: str, eyes: str | None = None) -> SourceFace:
    scale, t, exp, kp, *angles = golden.group(prefix, "scale", "t", "exp", "kp", "pitch", "yaw", "roll")
    motion = BinnedMotion(scale, torch.stack(angles, 1), t, exp.unflatten(-1, (-1, 3)))
    opened, balls = torch.zeros(1, 2), torch.zeros(1, 6)
    if f"{prefix}/eye_open" in golden.about:
        opened, balls = golden.group(prefix, "eye_open", "eye_ball")
    return SourceFace(motion, kp.unflatten(-1, (-1, 3)), opened, balls)


def source_placed(face: SourceFace, frames: Tensor) -> Tensor:
    shown = back_and_forth(frames, len(face))
    rest = face.motion[shown].in_degrees()
    pose = rest.pose
    return place(face.keypoints[shown], pose.rotation, rest.expression, pose.translation, pose.scale)


def asked(face: SourceFace, audio: AudioFeatures, options: SamplingOptions) -> GenerationRequest:
    still = face.motion[:1].in_degrees()
    details = PortraitDetails(face.motion.angles[:1], face.eyes_open, face.eye_balls)
    return GenerationRequest(face.keypoints[0], still, audio, options=options, details=details)
