"""Configs: one frozen dataclass a run, each field a flag, one JSON file to read it back from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from playmate_core.errors import UserError


@dataclass(frozen=True)
class LoopConfig:
    """How to descend. A stage's config inherits from this, so that one flat object is the whole resolved run."""

    steps: int = 1000
    lr: float = 1e-3
    warmup: int = 100  # steps of linear rise
    schedule: str = "cosine"  # or "constant"
    final_lr: float = 0.02  # what the cosine ends at, relative to lr
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    grad_clip: float = 1.0  # 0: off
    ema: float = 0.999  # decay of the averaged weights that are shipped; 0: off
    log_every: int = 50
    save_every: int = 250
    seed: int = 0
    mixed_precision: str = "no"  # or "bf16"
    max_seconds: float = 0.0  # stop cleanly and save after this wall time; 0: never

    #: What a resumed run may change. A subclass may widen it.
    free: ClassVar[frozenset[str]] = frozenset({"steps", "log_every", "save_every", "max_seconds", "out"})


def learning_rate(config: LoopConfig, step: int) -> float:
    """The factor on every group's rate at ``step``: linear warm-up, then a cosine to ``final_lr``, or constant."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    if config.schedule == "constant":
        return 1.0
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def check(config: LoopConfig) -> None:
    """Raise UserError where a value of the loop's own fields cannot be meant."""
    choices = {"schedule": ("cosine", "constant"), "mixed_precision": ("no", "bf16")}
    for name, allowed in choices.items():
        if (got := getattr(config, name)) not in allowed:
            raise UserError(f"--{name.replace('_', '-')} is {got!r}, expected one of {', '.join(allowed)}.")
    for name in ("steps", "log_every", "save_every"):
        if (got := getattr(config, name)) < 1:
            raise UserError(f"--{name.replace('_', '-')} is {got}, expected at least 1.")
