"""``python -m training experiment NAME ...``: answer one question by training and measuring; resumable."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from playmate_core.errors import UserError

EXPERIMENTS = {
    "chain": "train on motion that M read from rendered videos, beside the same training on true motion",
    "entanglement": "add a known entanglement to M and fine-tune it with and without Eq. 4",
}


def main(argv: Sequence[str]) -> None:
    """Hand the rest of the line to ``training.experiments.NAME.main``. Raises UserError for an unknown name."""
    known = "; ".join(f"{name}: {what}" for name, what in EXPERIMENTS.items())
    if not argv or argv[0] not in EXPERIMENTS:
        got = repr(argv[0]) if argv else "no name"
        raise UserError(f"Got {got}, expected the name of an experiment ({known}).")
    importlib.import_module(f"training.experiments.{argv[0]}").main(argv[1:])
