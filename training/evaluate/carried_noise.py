"""Whether noise on the previous frames (Eq. 9) is carried on from window to window or forgotten.

Training disturbs previous motion with zero-mean noise, so zero-mean noise is what it can help against: N(0, sigma) is
put on the previous frames of one window, or of every one, and the motion is compared with the same one undisturbed.
Runs (a person's speech and a seed each) are sampled side by side as one batch, so that a GPU affords enough of them to
tell two models apart; twins, which differ in the augmentation alone, are compared run by run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playmate_core.diffusion.generate import checked_plan
from playmate_core.diffusion.known_frames import KnownFrames
from playmate_core.diffusion.noise import FreshNoise
from playmate_core.diffusion.normalisation import EXPRESSION_CHANNELS, MOTION_CHANNELS
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.diffusion.window_sampling import SamplingPlan, WindowTask, sample_windows
from playmate_core.diffusion.windows import last_frames
from training.evaluate.subjects import Subject, System
from training.evaluate.table import Row, number

SIGMAS = (0.1, 0.3, 1.0)
#: Windows that follow the first one, whose previous frames are the first to be disturbed.
WINDOWS = 8


@dataclass(frozen=True)
class Disturbance:
    """N(0, ``sigma``), in deviations of the corpus, on the previous frames of ``every`` window or of one."""

    sigma: float
    every: bool

    @property
    def name(self) -> str:
        return f"N(0, {self.sigma:g}) on {'every previous' if self.every else 'one previous'}"


#: No noise at all: what the others are compared with.
NONE = Disturbance(0.0, True)


def chains(
    system: System, runs: Sequence[tuple[Subject, int]], disturbance: Disturbance, windows: int = WINDOWS
) -> Tensor:
    """The live channels of the windows that follow the first one, (runs, windows, W, C), in deviations of the corpus.

    A run is a subject and a seed. Windows do not overlap: what they take over, they take over by their previous frames.
    The noise of sampling is the same for every disturbance, and the shortest speech says how many windows there are.
    """
    plans = [_plan(system, subject, seed) for subject, seed in runs]
    config, live = system.denoiser.config, system.denoiser.statistics.live.cpu()
    noises = [torch.Generator().manual_seed(seed) for _, seed in runs]
    free = KnownFrames.leading(torch.zeros(0, MOTION_CHANNELS), config.window)
    past, made = [plan.past for plan in plans], list[Tensor]()
    for index in range(min(windows + 1, *(plan.windows.count for plan in plans))):
        if index:
            hit = disturbance.every or index == 1
            past = [
                _disturbed(frames, disturbance.sigma if hit else 0.0, noise)
                for frames, noise in zip(past, noises, strict=True)
            ]
        tasks = [
            WindowTask(plan, plan.windows.begin(index), frames, free, FreshNoise(plan.options.seed).window(index))
            for plan, frames in zip(plans, past, strict=True)
        ]
        sampled = sample_windows(tasks)
        past = [last_frames(window, config.previous) for window in sampled]
        made.append(sampled[..., :EXPRESSION_CHANNELS][..., live])
    return torch.stack(made[1:], 1)


def _plan(system: System, subject: Subject, seed: int) -> SamplingPlan:
    options = replace(system.options, overlap=0, seed=seed)
    request = GenerationRequest(subject.clip.keypoints, subject.rest, subject.audio, None, options)
    return checked_plan(system.denoiser, None, request)


def _disturbed(frames: Tensor | None, sigma: float, noise: torch.Generator) -> Tensor:
    """Previous frames (P, 69) with noise; the stream goes on as far for every ``sigma``."""
    assert frames is not None  # a window went before
    return frames + sigma * torch.randn(frames.shape, generator=noise)


def carried(
    system: System, runs: Sequence[tuple[Subject, int]], disturbances: Sequence[Disturbance], windows: int = WINDOWS
) -> Tensor:
    """RMS distance from the undisturbed motion at each window's end, over sigma: (disturbances, runs, windows)."""
    clean, width = chains(system, runs, NONE, windows), system.denoiser.config.previous
    found = []
    for disturbance in disturbances:
        off = (chains(system, runs, disturbance, windows) - clean)[:, :, -width:]
        found.append(off.square().mean((2, 3)).sqrt() / disturbance.sigma)
    return torch.stack(found)


def disturbances() -> list[Disturbance]:
    """Every sigma, on one and on every previous."""
    return [Disturbance(sigma, every) for sigma in SIGMAS for every in (False, True)]


def carried_rows(
    name: str, system: System, subjects: Sequence[Subject], seeds: Sequence[int], windows: int = WINDOWS
) -> list[Row]:
    """For each sigma, on one and on every previous: what is left after one window and after the last, over sigma.

    Mean and standard error over subjects and seeds: a difference between two models below two such errors is none.
    """
    asked = disturbances()
    found = carried(system, [(subject, seed) for subject in subjects for seed in seeds], asked, windows).numpy()
    rows = []
    for disturbance, runs in zip(asked, found, strict=True):
        for column, when in ((0, "1 window"), (-1, f"{runs.shape[1]} windows")):
            text = mean_and_error(runs[:, column])
            rows.append(Row(f"{name}: {disturbance.name}, left after {when}, over sigma", text))
    return rows


def mean_and_error(values: NDArray[np.float32]) -> str:
    """Mean and standard error."""
    return f"{number(float(values.mean()))} +- {number(float(values.std() / len(values) ** 0.5))}"
