"""Inputs of JoyVASA's golden cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from motion_goldens import GoldenNoise, MotionGolden, motion_golden
from torch import Tensor

from playmate_core.diffusion.joyvasa.config import JoyVasaConfig
from playmate_core.diffusion.joyvasa.generator import JoyVasaGenerator
from playmate_core.diffusion.joyvasa.network import JoyVasaNetwork
from playmate_core.diffusion.joyvasa.settings import JoyVasaSettings
from playmate_core.diffusion.joyvasa.template import ENTRIES, MotionTemplate
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.motion.driving import DrivingOptions
from playmate_core.speech.encoders import ENCODERS, Source
from playmate_core.speech.hubert import make_hubert
from playmate_core.speech.hubert_windows import (
    WindowedHubert,
)
from playmate_core.values import AudioFeatures, Motion, Pose

#: Groups of cases that are about how speech becomes features; they have a test module of their own.
AUDIO = ("audio", "counts", "hubert_tiny", "nopad", "pad")


@pytest.fixture(scope="module")
def golden() -> MotionGolden:
    return motion_golden("joyvasa")


def shapes_of(parameters: dict[str, list[int]]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape in parameters.items()}


@pytest.fixture(scope="module")
def network(golden: MotionGolden) -> JoyVasaNetwork:
    config = JoyVasaConfig.of(shapes_of(golden.facts["state_dict"]["parameters"]))
    net = golden.filled(JoyVasaNetwork(config))
    golden.check_fill(net)
    return net


@pytest.fixture(scope="module")
def encoder(golden: MotionGolden) -> WindowedHubert:
    """The small HuBERT of the golden cases, its geometry read from its tensors."""
    case = golden.cases["hubert_tiny"]
    net = make_hubert({k.removeprefix("audio_encoder."): tuple(v) for k, v in case["keys"].items()})
    told = {name: getattr(net.config, name) for name in case["config"]}
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in told.items()} == case["config"]
    filled = golden.filled(net, "audio_encoder.")
    return WindowedHubert("joyvasa-hubert", ENCODERS["joyvasa-hubert"], Source(module=filled))


def template(golden: MotionGolden, prefix: str) -> MotionTemplate:
    return MotionTemplate.of({name: golden(f"{prefix}/{name}") for name in ENTRIES})


def generator(
    golden: MotionGolden, network: JoyVasaNetwork, case: str, steps: int, **settings: Any
) -> JoyVasaGenerator:
    """The published generator on a schedule of ``steps`` with the noise of a case."""
    short = JoyVasaNetwork(replace(network.config, steps=steps))
    short.load_state_dict(network.state_dict())
    entries = template(golden, "template" if case == "windows" else "e2e/template")
    noise = GoldenNoise(golden, f"{case}/x_T", f"{case}/z", range(steps, 1, -1))
    return JoyVasaGenerator(
        short.eval().requires_grad_(False), entries, settings=JoyVasaSettings(**settings), noise=lambda seed: noise
    )


def request(
    features: Tensor, after: Tensor, steps: int, guidance: float, rest: Motion | None = None
) -> GenerationRequest:
    audio = AudioFeatures(features, torch.zeros(len(features)), "joyvasa-hubert", after=after)
    options = SamplingOptions(
        steps=steps, sampler="ddpm", spacing="uniform", cfg_audio=guidance, cfg_audio_pose=guidance, overlap=0
    )
    pose = Pose(torch.zeros(1, 3), torch.zeros(1, 3), torch.ones(1, 1))
    still = Motion(pose, torch.zeros(1, 21, 3)) if rest is None else rest
    return GenerationRequest(torch.zeros(21, 3), still, audio, options=options)


def motion_of(golden: MotionGolden, prefix: str) -> Motion:
    scale, t, exp, *angles = golden.group(prefix, "scale", "t", "exp", "pitch", "yaw", "roll")
    return Motion(Pose(torch.cat(angles, -1), t, scale), exp)


#: The reference's two front ends in our words.
COMMAND_LINE = DrivingOptions(priority="pose", multiplier=1.1, stitching=False)


WEB_FORM = DrivingOptions(priority="expression", multiplier=1.0, stitching=True)
