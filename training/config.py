"""Configs: one frozen dataclass a run, each field a flag, one JSON file to read it back from."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from playmate_core.errors import UserError
from training.config_files import from_file, replaced

Config = TypeVar("Config", bound=Any)


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
    workers: int = 0  # processes that draw batches ahead; 0: the training process draws them itself
    validate_every: int = 0  # steps between two measurements on held-out speakers; 0: none
    tensorboard: bool = False  # write the log for TensorBoard as well

    #: What a resumed run may change. A subclass may widen it.
    free: ClassVar[frozenset[str]] = frozenset(
        {"steps", "log_every", "save_every", "max_seconds", "workers", "validate_every", "tensorboard", "out"}
    )


def learning_rate(config: LoopConfig, step: int) -> float:
    """The factor on every group's rate at ``step``: linear warm-up, then a cosine to ``final_lr``, or constant."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    if config.schedule == "constant":
        return 1.0
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def check(config: LoopConfig) -> None:
    """Raise UserError where a value of the loop's own fields is invalid."""
    choices = {"schedule": ("cosine", "constant"), "mixed_precision": ("no", "bf16")}
    for name, allowed in choices.items():
        if (got := getattr(config, name)) not in allowed:
            raise UserError(f"--{name.replace('_', '-')} is {got!r}, expected one of {', '.join(allowed)}.")
    for name in ("steps", "log_every", "save_every"):
        if (got := getattr(config, name)) < 1:
            raise UserError(f"--{name.replace('_', '-')} is {got}, expected at least 1.")
    for name in ("workers", "validate_every"):
        if (got := getattr(config, name)) < 0:
            raise UserError(f"--{name.replace('_', '-')} is {got}, expected 0 or more.")


def parse(
    kind: type[Config], argv: Sequence[str] | None, description: str, positional: str = "", section: str = ""
) -> Config:
    """Resolve ``kind`` from its defaults, then ``--config FILE.json``, then one flag per field (``--save-every 100``).

    A field that is itself a config gives its fields as ``--model-width 128``; the field ``positional`` may also stand
    without its flag; ``section`` names this verb's part of a file that configures several (:mod:`config_files`).
    Raises UserError for an unreadable file, an unknown key in it, and a value that no field takes; argparse refuses
    unknown flags.
    """
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument(
        "--config", metavar="FILE.json", help="a config to start from, or the name of a shipped one; flags override it"
    )
    defaults = kind()
    _add_flags(parser, defaults, "")
    if positional:
        parser.add_argument("positional", metavar=positional.upper(), nargs="?", help=f"the same as --{positional}")
    given = vars(parser.parse_args(argv))
    path = given.pop("config")
    if positional and (value := given.pop("positional")) is not None:
        given[positional] = value
    return _apply(from_file(defaults, path, section) if path else defaults, given, "")


def _add_flags(parser: argparse.ArgumentParser, defaults: Any, prefix: str) -> None:
    for field in dataclasses.fields(defaults):
        default = getattr(defaults, field.name)
        flag = "--" + (prefix + field.name).replace("_", "-")
        options: dict[str, Any] = {"dest": prefix + field.name, "default": argparse.SUPPRESS}
        if dataclasses.is_dataclass(default):
            _add_flags(parser, default, f"{prefix}{field.name}_")
        elif isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=f"default {default}", **options)
        elif isinstance(default, tuple) and default:
            parser.add_argument(flag, type=type(default[0]), nargs=len(default), help=f"default {default}", **options)
        elif isinstance(default, (int, float, str)):
            parser.add_argument(flag, type=type(default), metavar="", help=f"default {default!r}", **options)


def _apply(config: Config, given: Mapping[str, Any], prefix: str) -> Config:
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        key, value = prefix + field.name, getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changed[field.name] = _apply(value, given, f"{key}_")
        elif key in given:
            changed[field.name] = tuple(given[key]) if isinstance(value, tuple) else given[key]
    flags = f"--{prefix}".replace("_", "-") + "..."
    return replaced(config, changed, flags)
