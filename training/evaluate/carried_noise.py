"""Whether noise on the previous frames (Eq. 9) is carried on from window to window or forgotten.

Training disturbs previous motion with zero-mean noise, so zero-mean noise is what it can help against: N(0, sigma) is
put on the previous frames of one window, or of every one, and the motion is compared with the same one undisturbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from playmate_core.diffusion.generate import checked_plan
from playmate_core.diffusion.known_frames import KnownFrames
from playmate_core.diffusion.noise import FreshNoise
from playmate_core.diffusion.normalisation import EXPRESSION_CHANNELS, MOTION_CHANNELS
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.diffusion.window_sampling import WindowTask, sample_window
from playmate_core.diffusion.windows import last_frames
from training.evaluate.subjects import Subject, System
from training.evaluate.table import Row, number

SIGMAS = (0.1, 0.3, 1.0)
#: Windows that follow the first one, whose previous frames are the first to be disturbed.
WINDOWS = 8


def chain(system: System, subject: Subject, sigma: float, every: bool, windows: int, seed: int) -> Tensor:
    """The live channels of the windows that follow the first one, (windows, W, C), in deviations of the corpus.

    Windows do not overlap: what they take over, they take over by their previous frames. The noise of sampling is the
    same for every ``sigma``.
    """
    options = replace(system.options, overlap=0, seed=seed)
    plan = checked_plan(
        system.denoiser, None, GenerationRequest(subject.clip.keypoints, subject.rest, subject.audio, None, options)
    )
    config, chance = system.denoiser.config, torch.Generator().manual_seed(seed)
    free, past, made = KnownFrames.leading(torch.zeros(0, MOTION_CHANNELS), config.window), plan.past, list[Tensor]()
    for index in range(min(windows + 1, plan.windows.count)):
        if past is not None:
            noise = sigma * torch.randn(past.shape, generator=chance)
            past = past + noise if every or index == 1 else past
        window = sample_window(WindowTask(plan, plan.windows.begin(index), past, free, FreshNoise(seed).window(index)))
        past = last_frames(window, config.previous)
        made.append(window)
    live = system.denoiser.statistics.live
    return torch.stack(made[1:])[..., :EXPRESSION_CHANNELS][..., live]


def carried(system: System, subject: Subject, sigma: float, every: bool, windows: int, seed: int) -> list[float]:
    """RMS difference from the undisturbed motion at the end of each window, over sigma."""
    clean, disturbed = (chain(system, subject, s, every, windows, seed) for s in (0.0, sigma))
    last = (disturbed - clean)[:, -system.denoiser.config.previous :]
    return (last.square().mean((1, 2)).sqrt() / sigma).tolist()


def carried_rows(
    name: str, system: System, subjects: Sequence[Subject], seeds: Sequence[int], windows: int = WINDOWS
) -> list[Row]:
    """For each sigma, on one and on every previous: what is left after one window and after the last, over sigma.

    Mean and standard error over subjects and seeds: a difference between two models below two such errors is none.
    """
    rows = []
    for sigma in SIGMAS:
        for every in (False, True):
            runs = np.array([carried(system, s, sigma, every, windows, seed) for s in subjects for seed in seeds])
            where = "every previous" if every else "one previous"
            for column, when in ((0, "1 window"), (-1, f"{runs.shape[1]} windows")):
                mean, error = float(runs[:, column].mean()), float(runs[:, column].std() / len(runs) ** 0.5)
                text = f"{number(mean)} +- {number(error)}"
                rows.append(Row(f"{name}: N(0, {sigma:g}) on {where}, left after {when}, over sigma", text))
    return rows
