"""Small public generators and requests to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from generator_models import write_ditto, write_joyvasa
from motion_models import rest, voice

from playmate_core.diffusion.request import GenerationRequest
from playmate_core.values import AudioFeatures, Motion
from playmate_core.weights.generators import load_generator

FACE = 0.1 * torch.randn(21, 3, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def joyvasa(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_generator(write_joyvasa(tmp_path_factory.mktemp("joyvasa")))


@pytest.fixture(scope="module")
def ditto(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_generator(write_ditto(tmp_path_factory.mktemp("ditto")))


def heard_by(generator: Any, frames: int, seed: int = 0) -> AudioFeatures:
    width = {"joyvasa": 64, "ditto": 24, "playmate": 0}[generator.name]
    if not width:
        return voice(frames, seed)
    features = torch.randn(frames, 1, width, generator=torch.Generator().manual_seed(seed))
    return AudioFeatures(features, torch.zeros(frames), generator.encoder_name)


def request_for(generator: Any, frames: int = 130, **changes: Any) -> GenerationRequest:
    """A short request in few steps; sampling options by name."""
    own = {name: changes.pop(name) for name in ("emotion", "previous", "audio", "details", "rest") if name in changes}
    options = replace(generator.defaults, **({"steps": 3} | changes))
    audio = own.pop("audio", None)
    audio = heard_by(generator, frames) if audio is None else audio
    return GenerationRequest(FACE, own.pop("rest", rest()), audio, options=options, **own)


def flat(motion: Motion) -> torch.Tensor:
    pose = motion.pose
    return torch.cat([motion.expression.flatten(1), pose.rotation, pose.translation, pose.scale], -1)
