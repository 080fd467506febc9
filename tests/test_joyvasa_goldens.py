"""JoyVASA's generator is the reference's: every golden case of ../shared/parity, if there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from motion_goldens import MotionGolden, needs
from torch import Tensor

from playmate_core.diffusion.joyvasa.config import JoyVasaConfig
from playmate_core.diffusion.joyvasa.network import POSITIONS, JoyVasaNetwork, sinusoids
from playmate_core.diffusion.joyvasa.schedule import noise_tables

pytestmark = needs("joyvasa")


@pytest.fixture(scope="module")
def golden() -> MotionGolden:
    return MotionGolden("joyvasa")


def shapes_of(parameters: dict[str, list[int]]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape in parameters.items()}


@pytest.fixture(scope="module")
def network(golden: MotionGolden) -> JoyVasaNetwork:
    config = JoyVasaConfig.of(shapes_of(golden.facts["state_dict"]["parameters"]))
    net = golden.filled(JoyVasaNetwork(config))
    golden.check_fill(net)
    return net


def test_schedules(golden: MotionGolden) -> None:
    for case in golden.names("schedule/.*"):
        tables = noise_tables(int(case.split("/")[1]))
        for name in ("betas", "alphas", "alpha_bars"):
            golden.check(f"{case}/{name}", getattr(tables, name))
        golden.check(f"{case}/sigmas_inflex", tables.sigmas)
        golden.check(f"{case}/sigmas_flex", tables.betas.sqrt())


def test_the_sinusoidal_table(golden: MotionGolden) -> None:
    golden.check("table/pe", sinusoids(golden("table/rows"), golden.about["table/pe"]["shape"][1]))


@pytest.mark.parametrize("positions", POSITIONS)
def test_one_call_of_the_denoiser(golden: MotionGolden, network: JoyVasaNetwork, positions: str) -> None:
    x, audio, past, heard = golden.group("den", "x", "audio", "prev_motion", "prev_audio")
    rows = len(x)
    start = network.start_motion_feat.expand(rows, -1, -1), network.start_audio_feat.expand(rows, -1, -1)
    null = network.null_audio_feat.expand(rows, x.shape[1], -1)
    calls: dict[str, tuple[Any, ...]] = {
        "first": (x, audio, *start, golden("den/steps_a")),
        "next": (x, audio, past, heard, golden("den/steps_b")),
        "null": (x, null, past, heard, golden("den/steps_a")),
    }
    for name, call in calls.items():
        golden.check(f"den/{name}/{positions}", network(*call, positions=positions))


@pytest.mark.parametrize("positions", POSITIONS)
def test_another_geometry(golden: MotionGolden, network: JoyVasaNetwork, positions: str) -> None:
    listed = shapes_of(golden.cases["geo2"]["parameters"])  # of the layers, which are all alike, only the first
    layers = range(network.config.layers)
    every = {key.replace("layers.0.", f"layers.{i}."): shape for key, shape in listed.items() for i in layers}
    config = JoyVasaConfig.of(every)
    x, audio, steps = golden.group("geo2", "x", "audio", "steps")
    assert (config.motion, config.width) == (x.shape[2], audio.shape[2])
    net = golden.filled(JoyVasaNetwork(config))
    made = net(x, audio, net.start_motion_feat, net.start_audio_feat, steps, positions)
    golden.check(f"geo2/{positions}", made)


def test_training_forward(golden: MotionGolden, network: JoyVasaNetwork) -> None:
    """Noise the clean motion, drop the audio of the first entry; the case was made in mode per_position."""
    motion, eps, steps = golden.group("train", "motion", "eps", "steps")
    audio, past, heard = golden.group("den", "audio", "prev_motion", "prev_audio")
    bars = noise_tables(network.config.steps).alpha_bars[steps][:, None, None]
    noisy = bars.sqrt() * motion + (1 - bars).sqrt() * eps
    dropped: Tensor = torch.cat([network.null_audio_feat.expand(1, audio.shape[1], -1), audio[1:]])
    golden.check("train/target", network(noisy, dropped, past, heard, steps, "per_position"))
