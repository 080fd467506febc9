"""``python -m training experiment augmentation``: does noise on the previous motion (Eq. 9) help to forget noise?

Twins of stage 1, which differ in ``--prev-noise-max`` alone, are trained for x0 and for epsilon. Noise is then put on
the previous frames of one window or of every one, and what is left of it is compared between twins, run by run. Weights
are kept every ``round`` steps, so that twins can be compared at equal steps wherever training was stopped.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from playmate_core.diffusion.options import SamplingOptions
from playmate_core.errors import UserError
from playmate_core.weights import files as weights
from training import stage1
from training.config import parse
from training.data import corpus_config
from training.evaluate.ablations import rollout_subjects
from training.evaluate.carried_noise import WINDOWS, Disturbance, carried, disturbances, mean_and_error
from training.evaluate.placing import chosen_device
from training.evaluate.subjects import System
from training.evaluate.table import Row, Table, number, write_tables

logger = logging.getLogger(__name__)
STEPS = ("train", "measure", "report")
WITH, WITHOUT = "with", "without"
#: Runs that are sampled as one batch.
BATCH = 128
#: Standard errors by which twins must differ to be told apart, and those of a difference that is found 8 times of 10.
APART, FOUND = 2.0, 2.8


@dataclass(frozen=True)
class AugmentationConfig:
    """Twins of ``targets``, ``seeds`` of each, networks of ``width`` and ``layers``, trained for at most ``steps``.

    ``max_seconds``: of training for each twin, 0: no limit. ``subjects`` people of about ``seconds`` of speech,
    ``takes`` seeds of sampling each. ``step``: train, measure or report, or all. ``only``: a twin's name, such as
    x0-with-0, to make each in a process of its own.
    """

    out: str = "runs/augmentation"
    corpus: str = "data/corpus"
    step: str = "all"
    only: str = ""
    targets: str = "x0 epsilon"
    seeds: int = 1
    steps: int = 6000
    round: int = 500
    width: int = 128
    layers: int = 4
    batch: int = 64
    workers: int = 0
    max_seconds: float = 0.0
    subjects: int = 40
    seconds: float = 20.0
    takes: int = 4
    device: str = "auto"


#: What `experiment --help` lists.
CONFIG = AugmentationConfig


def main(argv: Sequence[str]) -> None:
    """Run the steps asked for. Raises UserError for a step or a twin that there is not."""
    config = parse(AugmentationConfig, argv, __doc__ or "")
    if config.step not in (*STEPS, "all"):
        raise UserError(f"--step is {config.step!r}, expected one of {', '.join((*STEPS, 'all'))}.")
    if config.only and config.only not in names(config):
        raise UserError(f"--only is {config.only!r}, expected one of {', '.join(names(config))}.")
    for step in STEPS if config.step == "all" else (config.step,):
        {"train": train_twins, "measure": measure_twins, "report": report}[step](config)


def name_of(target: str, arm: str, seed: int) -> str:
    return f"{target}-{arm}-{seed}"


def names(config: AugmentationConfig) -> list[str]:
    """Every twin."""
    return [
        name_of(target, arm, seed)
        for target in config.targets.split()
        for seed in range(config.seeds)
        for arm in (WITH, WITHOUT)
    ]


def chosen(config: AugmentationConfig) -> list[str]:
    return [config.only] if config.only else names(config)


def train_twins(config: AugmentationConfig) -> None:
    """Train in rounds, and keep the weights that each ends with."""
    for name in chosen(config):
        began = time.monotonic()
        target, arm, seed = name.split("-")
        folder = Path(config.out) / name
        words = ["--corpus", config.corpus, "--out", str(folder), "--seed", seed, "--model-target", target]
        words += ["--batch", str(config.batch), "--workers", str(config.workers), "--schedule", "constant"]
        words += ["--model-width", str(config.width), "--model-layers", str(config.layers)]
        words += ["--save-every", str(config.round), *(["--prev-noise-max", "0"] if arm == WITHOUT else [])]
        for steps in range(config.round, config.steps + 1, config.round):
            if (kept := weights_at(config, name, steps)).exists():
                continue
            left = config.max_seconds - (time.monotonic() - began) if config.max_seconds else 0.0
            if left < 0.0:
                break
            stage1.main([*words, "--steps", str(steps), "--max-seconds", str(left)])
            if config.max_seconds and time.monotonic() - began > config.max_seconds:
                break  # stopped on the way
            kept.parent.mkdir(exist_ok=True)
            shutil.copy2(folder / "motion.safetensors", kept)


def weights_at(config: AugmentationConfig, name: str, steps: int) -> Path:
    """Where a twin's weights of a step lie."""
    return Path(config.out) / name / "at" / f"{steps}.safetensors"


def common_steps(config: AugmentationConfig) -> int:
    """The most steps of which the weights of every twin are there. Raises UserError where there are none."""
    for steps in range(config.steps, 0, -config.round):
        if all(weights_at(config, name, steps).exists() for name in names(config)):
            return steps
    raise UserError(f"No weights of all of {', '.join(names(config))} in {config.out}; give --step train first.")


def measure_twins(config: AugmentationConfig) -> None:
    """What is left of the noise in every run and window, a file for each twin."""
    steps, device = common_steps(config), chosen_device(config.device)
    systems = {}
    for name in chosen(config):
        if not measured(config, name, steps).exists():
            denoiser = weights.load_motion(weights_at(config, name, steps)).to(device)
            systems[name] = System(denoiser, None, SamplingOptions())
    if not systems:
        return
    encoder = next(iter(systems.values())).denoiser.config.audio_encoder
    backend = str(corpus_config(Path(config.corpus))["speech"])
    people = rollout_subjects(encoder, config.seconds, backend, config.subjects)
    runs = [(person, seed) for person in people for seed in range(config.takes)]
    for name, system in systems.items():
        parts = [
            carried(system, runs[begin : begin + BATCH], disturbances(), WINDOWS)
            for begin in range(0, len(runs), BATCH)
        ]
        shortest = min(part.shape[-1] for part in parts)
        left = torch.cat([part[..., :shortest] for part in parts], 1)
        measured(config, name, steps).parent.mkdir(exist_ok=True)
        save_file({"left": left.contiguous()}, measured(config, name, steps))
        logger.info("%s at %d steps: %d runs measured.", name, steps, len(runs))


def measured(config: AugmentationConfig, name: str, steps: int) -> Path:
    """Where what was measured of a twin lies: ``left`` (disturbances, runs, windows)."""
    return Path(config.out) / "measured" / f"{name}-{steps}.safetensors"


def by_person(left: Tensor, takes: int) -> Tensor:
    """Means over the takes of each person (disturbances, people, windows): one person's takes are not independent."""
    return left.unflatten(1, (-1, takes)).mean(2)


def report(config: AugmentationConfig) -> None:
    """Compare the twins, print the table and write it."""
    steps = common_steps(config)
    rows = []
    for target in config.targets.split():
        for seed in range(config.seeds):
            with_it, without = (
                by_person(load_file(measured(config, name_of(target, arm, seed), steps))["left"], config.takes)
                for arm in (WITH, WITHOUT)
            )
            rows += twin_rows(f"{target}, seed {seed}", disturbances(), with_it, without)
    how = (
        f"Twins of {steps} steps of {config.batch} windows; {config.subjects} people, {config.takes} takes each; errors"
        " are standard errors over people. What is left of the noise at a window's end, over sigma."
    )
    table = Table("Noise augmentation (Eq. 9)", how, tuple(rows))
    write_tables([table], Path(config.out), {"config": repr(config)})
    sys.stdout.write(table.markdown())


def twin_rows(name: str, asked: Sequence[Disturbance], with_it: Tensor, without: Tensor) -> list[Row]:
    """For each disturbance, after one window and after the last: both twins, and their difference person by person.

    ``with_it`` and ``without`` (disturbances, people, windows). Met where the one without is worse by APART errors.
    """
    rows = []
    for index, disturbance in enumerate(asked):
        for column, when in ((0, "1 window"), (-1, f"{with_it.shape[-1]} windows")):
            a, b = with_it[index, :, column].numpy(), without[index, :, column].numpy()
            error = float((b - a).std(ddof=1) / len(a) ** 0.5)
            difference = float((b - a).mean())
            text = (
                f"{mean_and_error(a)}; without {mean_and_error(b)}; difference {number(difference)} +- {number(error)}"
            )
            told = f">= {number(APART * error)} (8 of 10 times where it is {number(FOUND * error)})"
            label = f"{name}: {disturbance.name}, left after {when}: with"
            rows.append(Row(label, text, told, difference >= APART * error))
    return rows
