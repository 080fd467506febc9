"""``python -m training standin --out FOLDER``: random weights of wav2vec2-base, to try a run where none are at hand.

What a model hears through them is noise of the right shape: a dry run shows that a recipe, its memory and its speed
work, never how well a model speaks. For real training copy ``config.json`` and ``model.safetensors`` of
facebook/wav2vec2-base-960h from a machine that has them, and give that folder to ``--audio-weights``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from playmate_core.atomic_file import write_atomically
from playmate_core.errors import UserError
from training.config import parse
from training.data_card import DataCard

logger = logging.getLogger(__name__)

#: The key in config.json by which such a folder is recognised.
MARK = "playmate_random_weights"


@dataclass(frozen=True)
class StandinConfig:
    """Where the folder goes, and the seed of its numbers."""

    out: str = "data/random_wav2vec2"
    seed: int = 0


def write_random_wav2vec2(folder: Path, seed: int) -> None:
    """Write ``config.json`` and ``model.safetensors`` (94 M numbers, 378 MB) in the layout of ``transformers``.

    Raises UserError for a folder that holds other files, since they may be real weights.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    if folder.exists() and any(folder.iterdir()) and not is_random(folder):
        raise UserError(f"{folder} is not empty, expected a new folder for the random weights; give another --out.")
    state = torch.get_rng_state()
    try:
        torch.manual_seed(seed)
        Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
    finally:
        torch.set_rng_state(state)
    path = folder / "config.json"
    told = json.loads(path.read_text(encoding="utf-8")) | {MARK: True}
    write_atomically(path, json.dumps(told, indent=2).encode())


def is_random(folder: str | Path) -> bool:
    """Whether a folder holds what :func:`write_random_wav2vec2` wrote."""
    try:
        return bool(json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")).get(MARK, False))
    except (OSError, ValueError, AttributeError):
        return False


def heard_through(folder: str, card: DataCard) -> DataCard:
    """``card``, which says so where the audio weights in ``folder`` are random: the model must tell it, too."""
    if not (folder and is_random(folder)):
        return card
    logger.warning("%s holds random numbers: this is a dry run, and the model will say so.", folder)
    return replace(card, description=f"{card.description}; heard through RANDOM audio weights, a dry run")


def main(argv: Sequence[str] | None = None) -> None:
    """Write the folder and say what it is."""
    config = parse(StandinConfig, argv, __doc__ or "")
    write_random_wav2vec2(Path(config.out), config.seed)
    logger.warning("%s holds random numbers: give it to --audio-weights for dry runs only.", config.out)
