"""``python -m training face --pairs DATA``: fine-tune F, M, W and G on videos of people, then their stitching.

The paper's first step. ``face.safetensors`` in ``--out`` holds the four networks; where the model has stitching
networks, the one to use is ``stitching/face.safetensors``, whose stitching fits them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training.config import parse
from training.data import MANIFEST
from training.data_card import UNSTATED, DataCard
from training.face_pairs.clips import VideoPairs
from training.face_pairs.config import PairsConfig
from training.face_pairs.stage import PairsStage
from training.face_pairs.stitching import StitchingStage
from training.loop import train

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Fine-tune, then stitch. Raises UserError before anything slow for what cannot be meant."""
    config = parse(PairsConfig, argv, __doc__ or "", section=PairsStage.name)
    if config.batch < 1 or config.stitching_steps < 0:
        raise UserError(
            f"--batch is {config.batch} and --stitching-steps {config.stitching_steps}, expected at least 1 and 0."
        )
    init = Path(config.init or bundled("face.safetensors"))
    source = VideoPairs(Path(config.pairs))
    seen = card_of(Path(config.pairs), init)
    stage = PairsStage(config, _learner(init), source, seen)
    train(stage, config, config.out)
    tuned = Path(config.out) / "face.safetensors"
    if stage.model.stitching is None or config.stitching_steps == 0:
        logger.info("%s: no stitching network is trained.", tuned)
        return
    out = Path(config.out) / "stitching"
    after = replace(config, steps=config.stitching_steps, out=str(out), init=str(tuned))
    train(StitchingStage(after, _learner(tuned), source, seen), after, out)


def _learner(path: Path) -> FaceModel:
    return weights.load_face(path).train().requires_grad_(True)


def card_of(data: Path, init: Path) -> DataCard:
    """What is known of the videos, and the licences of the weights that training begins from."""
    try:
        told = json.loads((data / MANIFEST).read_text(encoding="utf-8"))
        tags = tuple(map(str, told["license_tags"])) or (UNSTATED,)
        card = DataCard(str(told["description"]), float(told["hours"]), int(told["speakers"]), tags)
    except (OSError, ValueError, KeyError, TypeError):
        card = DataCard()
    try:
        return card.on_top_of(weights.describe(init))
    except UserError:  # LivePortrait's public files say nothing of themselves
        return replace(card, license_tags=tuple(sorted({*card.license_tags, f"{init.name}: {UNSTATED}"})))
