"""``python -m training experiment entanglement``: does Eq. 4 teach M to keep the pose out of its expression?

A known entanglement is added to M (expression += A pose). Then F, M, W and G are fine-tuned on unlabelled pairs as
`face --pairs` does, once with Eq. 4 and once without, all else alike. Measured on people whom no network has met.
Resumed by the same command. ``--steps 0`` measures the state before, and how each loss pulls at the entanglement.
``--repeat 1 --arm with`` trains that one run alone, so that several processes can share a machine; the command without
the two then makes the table.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.face.motion import MotionExtractor
from playmate_core.face.warping import WarpingModule
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training.batches import to_device
from training.config import parse
from training.evaluate.table import Row, Table, number, write_tables
from training.experiments.entangled import (
    EntangledMotion,
    Grid,
    Measured,
    SessionPairs,
    course,
    fit_warping,
    measure,
    pulls,
)
from training.experiments.entangled_pictures import pictures
from training.face_pairs.config import PairsConfig
from training.face_pairs.stage import PairsStage
from training.loop import train
from training.processes import processes
from training.stage import Scores

logger = logging.getLogger(__name__)

#: What is asked: leakage falls by so much against the control, and at most so much picture and range is lost.
LESS, DECIBELS, RANGE = 1.3, 0.3, 0.8
WITH, WITHOUT = "with Eq. 4", "without"
#: The arms, and the folder of each.
ARMS = {WITHOUT: "without", WITH: "with"}


@dataclass(frozen=True)
class EntanglementConfig:
    """``sessions`` of ``frames`` pictures to learn from and ``people`` to measure on. ``strength``: what ten degrees
    add to the expression, in its own spread. ``fitted``: W takes back what it can of that, by a linear layer in closed
    form, as if it had been trained with such an M; ``adapt``: steps in which W and G alone learn before. ``steps``:
    those of the fine-tuning, with ``transfer`` the weight of Eq. 4 against its 0. ``lr`` is that of the added layer,
    whose weights are near one; ``rest`` the rate of the rest of M and ``others`` that of F, W and G, relative to it.
    ``repeats``: seeds. ``pulls``: batches over which the pull of each loss is averaged.
    ``pictures``: the file that keeps what was rendered (empty: in ``out``). ``measure_every`` so many steps both arms
    are measured; the table compares them at the last step that all have reached within ``max_seconds``.
    ``draw_size``: side of F's picture; the drawn one is twice it. There is neither discriminator nor landmark guide:
    the only landmarks at hand are those of the entangled M.
    """

    out: str = "runs/entanglement"
    face: str = ""
    sessions: int = 48
    frames: int = 8
    people: int = 6
    strength: float = 1.5
    fitted: bool = False
    adapt: int = 0
    pulls: int = 16
    pictures: str = ""
    arm: str = ""
    repeat: int = -1
    measure_every: int = 50
    max_seconds: float = 0.0
    steps: int = 400
    batch: int = 8
    lr: float = 0.03
    rest: float = 1e-3
    others: float = 5e-4
    transfer: float = 20.0
    anchor: float = 0.5
    draw_size: int = 64
    repeats: int = 3
    seed: int = 0


class _Pairs(PairsStage):
    """`face --pairs` on a model that keeps its weights for itself, measured on the way where there is a ``grid``."""

    rest = others = 1.0
    grid: Grid | None = None
    unit: Tensor | None = None

    def parameters(self) -> list[dict[str, Any]]:
        model, lr = self.model, self.config.lr
        motion = cast("EntangledMotion", model.motion)
        nets = (model.appearance, model.warping, model.generator)
        return [
            {"params": [motion.leak]},
            {"params": list(motion.detector.parameters()), "lr": self.rest * lr},
            {"params": [p for net in nets for p in net.parameters()], "lr": self.others * lr},
        ]

    def validate(self, device: torch.device) -> Scores:
        """See Validated: the less the pose shows in the expression, the better."""
        assert self.grid is not None and self.unit is not None, "only an arm is measured on the way"
        measured = measure(self.model, self.grid, self.unit, self.config.draw_size)
        return Scores(-measured.leakage, asdict(measured))

    def save(self, run_dir: Path, step: int) -> None:
        """Nothing: an entangled M is no face model anybody could load; ``state.pt`` holds what is needed."""


#: What `experiment --help` lists.
CONFIG = EntanglementConfig


def main(argv: Sequence[str]) -> None:
    """Train what is missing, print and store the table. Raises UserError for counts that cannot be meant."""
    config = parse(EntanglementConfig, argv, __doc__ or "")
    check(config)
    out = Path(config.out)
    kept = Path(config.pictures or out / "pictures.safetensors")
    shown = pictures(kept, config.sessions, config.frames, config.people)
    source = SessionPairs(shown.sessions)
    given = weights.load_face(config.face or bundled("face.safetensors")).to(processes().device)
    unit = _unit(given)
    for repeat in range(config.repeats) if config.repeat < 0 else (config.repeat,):
        learn(config, repeat, given, source, shown.grid, unit)
    if config.arm or config.repeat >= 0:
        return
    found: dict[str, list[Measured]] = {"given": [measure(given, shown.grid, unit, config.draw_size)]}
    found["entangled"] = [
        measure(entangle(config, repeat, given, source), shown.grid, unit, config.draw_size)
        for repeat in range(config.repeats)
    ]
    reached = last_step(config)
    for name, folder in ARMS.items() if reached else ():
        found[name] = [course(run_folder(config, repeat, folder))[reached] for repeat in range(config.repeats)]
    table = report(config, found, reached)
    if config.pulls:
        table = replace(table, rows=(*table.rows, *pull_rows(config, given, source)))
    write_tables([table], out, {"face": weights.tensor_hash(given)[:12], "config": repr(config)})
    sys.stdout.write(table.markdown())


def check(config: EntanglementConfig) -> None:
    """Raises UserError for values that cannot be meant."""
    for name in ("sessions", "frames", "people", "batch", "repeats", "steps", "measure_every"):
        least = 0 if name == "steps" else 1
        if getattr(config, name) < least:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(config, name)}, expected at least {least}.")
    if config.arm not in ("", *ARMS.values()):
        raise UserError(f"--arm is {config.arm!r}, expected one of {', '.join(ARMS.values())}, or none for both.")
    if config.repeat >= config.repeats:
        raise UserError(f"--repeat is {config.repeat}, expected less than --repeats, which is {config.repeats}.")


def _unit(model: FaceModel) -> Tensor:
    spread = getattr(model.motion.detector, "expression_spread", None)
    keypoints = model.config.keypoints
    return torch.full((keypoints, 3), 0.01) if spread is None else spread.clone().unflatten(0, (keypoints, 3))


def run_folder(config: EntanglementConfig, repeat: int, folder: str) -> Path:
    """Where the run of an arm lies."""
    return Path(config.out) / f"seed{repeat}" / folder


def learn(
    config: EntanglementConfig, repeat: int, given: FaceModel, source: SessionPairs, grid: Grid, unit: Tensor
) -> None:
    """One seed: entangle, let W and G follow, then the arms asked for from there."""
    if not config.steps:
        return
    model = entangle(config, repeat, given, source)
    recipe = _recipe(config, repeat)
    if config.adapt:
        adapting = _Pairs(replace(recipe, steps=config.adapt, transfer=0.0, appearance_from=1.0), model, source)
        adapting.others = config.others
        model.motion.requires_grad_(False)
        train(adapting, adapting.config, run_folder(config, repeat, "adapt"))
    for name, folder in ARMS.items():
        if config.arm not in ("", folder):
            continue
        transfer = config.transfer if name == WITH else 0.0
        told = replace(recipe, transfer=transfer, validate_every=config.measure_every, max_seconds=config.max_seconds)
        arm = _Pairs(told, copy.deepcopy(model), source)
        arm.rest, arm.others, arm.grid, arm.unit = config.rest, config.others, grid, unit
        run = run_folder(config, repeat, folder)
        train(arm, arm.config, run)
        logger.info("seed %d, %s: %s", repeat, name, course(run))


def last_step(config: EntanglementConfig) -> int:
    """The last step at which every run was measured; 0 where there is none."""
    runs = [course(run_folder(config, repeat, arm)) for repeat in range(config.repeats) for arm in ARMS.values()]
    return max(set(runs[0]).intersection(*runs[1:]), default=0)


def entangle(config: EntanglementConfig, repeat: int, given: FaceModel, source: SessionPairs) -> FaceModel:
    """A copy of the given networks with the entanglement of a seed."""
    model = copy.deepcopy(given)
    entangled = EntangledMotion(given.motion, config.strength, config.seed + repeat).eval()
    model.motion = cast("MotionExtractor", entangled)
    if config.fitted:
        model.warping = cast("WarpingModule", fit_warping(given, entangled, source.sessions))
    return model


def pull_rows(config: EntanglementConfig, given: FaceModel, source: SessionPairs) -> list[Row]:
    """How each loss pulls at A before any training: its derivative as A grows as a whole, in per cent of its value.

    Positive: descending makes A smaller. The mean over batches and its standard error.
    """
    stage = _Pairs(_recipe(replace(config, steps=1), 0), entangle(config, 0, given, source), source)
    stage.model.eval().requires_grad_(True)
    stage.settle(next(stage.model.parameters()).device)
    leak = cast("EntangledMotion", stage.model.motion).leak
    found: dict[str, list[float]] = {}
    for index in range(config.pulls):
        batch = to_device(stage.batch(torch.Generator().manual_seed(index)), leak.device)
        for name, value in pulls(stage, batch, leak).items():
            found.setdefault(name, []).append(100.0 * value)
    rows = []
    for name, values in found.items():
        error = float(np.std(values)) / max(1, len(values) - 1) ** 0.5
        rows.append(Row(f"pull at A before training, {name}, %", f"{np.mean(values):.2f} +- {error:.2f}"))
    return rows


def _recipe(config: EntanglementConfig, repeat: int) -> PairsConfig:
    return PairsConfig(
        steps=config.steps,
        lr=config.lr,
        warmup=5,
        ema=0.0,
        log_every=10,
        save_every=50,
        seed=config.seed + repeat,
        batch=config.batch,
        appearance_from=0.0,
        perceptual="given",
        scales=1,
        look_size=128,
        draw_size=config.draw_size,
        gan=0.0,
        landmarks=0.0,
        anchor=config.anchor,
    )


def report(config: EntanglementConfig, found: dict[str, list[Measured]], reached: int = 0) -> Table:
    """What was ``reached`` after so many steps and what is asked: means over seeds, half the range beside them."""
    before = [
        Row("leakage of the given M", number(found["given"][0].leakage)),
        Row("leakage, entangled", _spread([one.leakage for one in found["entangled"]])),
        Row("PSNR of the given networks, dB", number(found["given"][0].psnr, 2)),
        Row("PSNR, entangled, dB", _spread([one.psnr for one in found["entangled"]], 2)),
    ]
    how = (
        f"{config.sessions} sessions of {config.frames} pictures, {config.people} unseen people; {config.adapt} steps"
        f" of W and G alone, then {reached} of {config.steps} of all networks, batch {config.batch}, Eq. 4 weighted"
        f" {config.transfer:g}; W {'fitted to the entangled M' if config.fitted else 'as given'};"
        f" {len(found['entangled'])} seeds."
    )
    title = "Eq. 4 on an M with a known entanglement"
    if WITH not in found:
        return Table(title, how, tuple(before))
    entangled, with_it, without = found["entangled"], found[WITH], found[WITHOUT]
    less = [b.leakage / a.leakage for a, b in zip(with_it, without, strict=True)]
    lost = [b.psnr - a.psnr for a, b in zip(with_it, without, strict=True)]
    kept = [a.spread / b.spread for a, b in zip(with_it, entangled, strict=True)]
    rows = [
        *before,
        *(Row(f"leakage, {n}", _spread([one.leakage for one in found[n]])) for n in (WITHOUT, WITH)),
        Row("leakage without Eq. 4 over with it", _spread(less), f">= {LESS}", float(np.mean(less)) >= LESS),
        *(Row(f"PSNR, {n}, dB", _spread([one.psnr for one in found[n]], 2)) for n in (WITHOUT, WITH)),
        Row("PSNR lost to Eq. 4, dB", _spread(lost, 2), f"<= {DECIBELS}", float(np.mean(lost)) <= DECIBELS),
        Row("expression range over that before", _spread(kept), f">= {RANGE}", float(np.mean(kept)) >= RANGE),
    ]
    return Table(title, how, tuple(rows))


def _spread(values: Sequence[float], digits: int = 3) -> str:
    half = (max(values) - min(values)) / 2.0
    return f"{number(float(np.mean(values)), digits)} +- {number(half, digits)}"
