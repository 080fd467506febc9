"""``python -m training experiment NAME ...``: answer one question by training and measuring; resumable."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import fields

from playmate_core.errors import UserError

EXPERIMENTS = {
    "chain": "train on motion that M read from rendered videos, beside the same training on true motion",
    "augmentation": "train stage 1 with and without noise on the previous motion, and see what noise is carried on",
    "lip_lock": "what an emotion costs the lips, with the lip lock and without it",
    "entanglement": "add a known entanglement to M and fine-tune it with and without Eq. 4",
}


def main(argv: Sequence[str]) -> None:
    """Hand the rest of the line to ``training.experiments.NAME.main``. Raises UserError for an unknown name."""
    if argv and argv[0] in ("-h", "--help"):
        sys.stdout.write(_usage())
        raise SystemExit(0)
    if not argv or argv[0] not in EXPERIMENTS:
        known = "; ".join(f"{name}: {what}" for name, what in EXPERIMENTS.items())
        got = repr(argv[0]) if argv else "no name"
        raise UserError(f"Got {got}, expected the name of an experiment ({known}).")
    importlib.import_module(f"training.experiments.{argv[0]}").main(argv[1:])


def _usage() -> str:
    lines = ["python -m training experiment NAME --help, where NAME is one of"]
    for name, what in EXPERIMENTS.items():
        module = importlib.import_module(f"training.experiments.{name}")
        flags = " ".join("--" + field.name.replace("_", "-") for field in fields(module.CONFIG))
        lines += [f"  {name:12} {what}", f"  {'':12} {flags}"]
    return "\n".join(lines) + "\n"
