"""How few steps do: distance of a window to the same window in many steps, and what it costs.

    python -m benchmarks.generator_steps [FILE ...]

Without files, full-size networks of JoyVASA and Ditto are filled with seeded random numbers: what is measured is the
sampler on a network of that size, not how a trained one looks. The distance is the root mean square difference to the
deterministic many-step result from the same noise, as a share of that result's own deviation over time.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser, WindowContext
from playmate_core.diffusion.ditto import guidance as ditto_guidance
from playmate_core.diffusion.ditto.config import STEPS, DittoConfig
from playmate_core.diffusion.ditto.network import DittoNetwork
from playmate_core.diffusion.ditto.schedule import cosine_schedule as ditto_schedule
from playmate_core.diffusion.guidance import Scales, as_clean, guided
from playmate_core.diffusion.joyvasa import guidance as joyvasa_guidance
from playmate_core.diffusion.joyvasa.config import JoyVasaConfig
from playmate_core.diffusion.joyvasa.network import JoyVasaNetwork
from playmate_core.diffusion.joyvasa.schedule import cosine_schedule as joyvasa_schedule
from playmate_core.diffusion.normalisation import MOTION_CHANNELS
from playmate_core.diffusion.samplers import sample
from playmate_core.diffusion.schedule import Schedule
from playmate_core.weights.generators import load_generator

#: Sampler, spacing and steps that are compared with the many-step result.
CHOICES = [(s, spacing, n) for s, spacing in (("ddim", "truncated"), ("dpm++2m", "logsnr")) for n in (5, 8, 10, 15, 20)]
MANY = 100
DenoiserCall = Callable[[Tensor, int], Tensor]


def randomised(network: nn.Module, seed: int = 0) -> Any:
    """Random numbers of which outputs depend visibly: fan-in scaling, small closing layers of residual branches."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            closing = 0.25 if name.split(".")[-2:][0] in ("out_proj", "linear2") else 1.0
            if value.ndim < 2:
                value.copy_(float(name.endswith("weight")) + 0.1 * torch.randn(value.shape, generator=generator))
            else:
                scale = closing * math.sqrt(2.0 / math.prod(value.shape[1:]))
                value.copy_(scale * torch.randn(value.shape, generator=generator))
    return network.eval().requires_grad_(False)


def joyvasa(network: JoyVasaNetwork) -> tuple[DenoiserCall, Schedule, tuple[int, int]]:
    config, generator = network.config, torch.Generator().manual_seed(1)
    audio = torch.randn(config.window, config.width, generator=generator)
    start = network.start_motion_feat[0], network.start_audio_feat[0]
    predict = joyvasa_guidance.guided(network, audio, *start, 2.8, "constant")
    return predict, joyvasa_schedule(config.steps), (config.window, config.motion)


def ditto(network: DittoNetwork) -> tuple[DenoiserCall, Schedule, tuple[int, int]]:
    config, generator = network.config, torch.Generator().manual_seed(1)
    rows = 0.5 * torch.randn(config.window, config.condition, generator=generator)
    predict = ditto_guidance.guided(network, rows, torch.zeros(config.motion), 2.0)
    return predict, ditto_schedule(STEPS), (config.window, config.motion)


def playmate(network: MotionDenoiser) -> tuple[DenoiserCall, Schedule, tuple[int, int]]:
    """Speech alone: an emotion adds a small network after the Conformer."""
    config, generator = network.config, torch.Generator().manual_seed(1)
    frames, off = config.previous + config.window, torch.zeros(1, dtype=torch.bool)
    audio = torch.randn(1, frames, config.audio_layers, config.audio_width, generator=generator)
    past, identity = torch.zeros(1, config.previous, MOTION_CHANNELS), torch.zeros(1, config.identity_width)
    valid = torch.ones(1, config.window, dtype=torch.bool)
    context = WindowContext(audio, past, identity, off, off, off, valid)
    schedule = Schedule.linear()
    predict = as_clean(network, schedule, guided(network, None, context, None, Scales(1.5, 1.5, 1.5)))
    return predict, schedule, (config.window, MOTION_CHANNELS)


MAKERS: dict[str, Any] = {"playmate": playmate, "joyvasa": joyvasa, "ditto": ditto}


def full_size() -> dict[str, Any]:
    """Networks of the published size by model, filled with random numbers."""
    return {
        "playmate": randomised(MotionDenoiser(MotionConfig())),
        "joyvasa": randomised(JoyVasaNetwork(JoyVasaConfig())),
        "ditto": randomised(DittoNetwork(DittoConfig())),
    }


def rows_of(name: str, predict: DenoiserCall, schedule: Schedule, shape: tuple[int, int]) -> list[str]:
    """The table's lines for one model."""
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(2))

    def made(sampler: str, spacing: str, steps: int) -> tuple[Tensor, float]:
        begin = time.perf_counter()
        with torch.inference_mode():
            window = sample(predict, schedule, noise, steps=steps, sampler=sampler, spacing=spacing, limit=math.inf)
        return window[0], time.perf_counter() - begin

    many = min(MANY, len(schedule))
    wanted, seconds = made("ddim", "uniform", many)
    own = float(wanted.std(0).square().mean().sqrt())
    lines = [f"| {name} | ddim | {many} | - | {seconds:.2f} |"]
    for sampler, spacing, steps in CHOICES:
        window, seconds = made(sampler, spacing, steps)
        distance = float((window - wanted).square().mean().sqrt()) / own
        lines.append(f"| {name} | {sampler} ({spacing}) | {steps} | {100 * distance:.2f} % | {seconds:.2f} |")
    return lines


def main(files: list[str]) -> None:
    networks: dict[str, Any] = {}
    for file in files:
        generator = load_generator(file)
        networks[generator.name] = generator.modules[0]
    if not files:
        networks = {name: network for name, network in full_size().items() if name != "playmate"}
    out = ["| model | sampler | steps | distance | seconds a window |", "| --- | --- | --- | --- | --- |"]
    for name, network in networks.items():
        if name in MAKERS:
            out += rows_of(name, *MAKERS[name](network))
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
