"""After F, M, W and G have changed, the stitching network no longer fits them: train it again, with them frozen
(docs/liveportrait.md 3.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from playmate_core.face import FaceModel
from training.data_card import DataCard
from training.face_pairs import losses
from training.face_pairs.clips import FramePairs, PairSource, sized
from training.face_pairs.config import PairsConfig
from training.face_pairs.stage import save_tuned


class StitchingStage:
    """What learns (the stitching network alone), on what (a source and the motion of other people), and the loss."""

    name = "stitching"

    def __init__(self, config: PairsConfig, model: FaceModel, source: PairSource, seen: DataCard | None = None) -> None:
        """Raises ValueError for a model without stitching networks."""
        if model.stitching is None:
            raise ValueError("Expected a model with stitching networks.")
        self.config, self.model, self.source = config, model.eval().requires_grad_(False), source
        self.seen = seen or DataCard()
        self.net = model.stitching
        self.net.stitching.requires_grad_(True)

    def modules(self) -> Mapping[str, nn.Module]:
        return {"stitching": self.net}

    def parameters(self) -> list[nn.Parameter]:
        return list(self.net.stitching.parameters())

    def batch(self, generator: torch.Generator) -> FramePairs:
        """Every picture is driven by the next one's frame, which is another person's as a rule."""
        pairs = self.source.draw(self.config.batch, self.config.min_gap, generator)
        return replace(pairs, driving=pairs.driving.roll(1, 0))

    def loss(self, batch: FramePairs, step: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Outside the head, the driven and stitched picture must be the source drawn without motion."""
        config, model = self.config, self.model
        self.model.to(batch.source.device)
        size = model.config.reading_size
        with torch.no_grad():
            volume = model.appearance(sized(batch.source, model.config.image_size))
            source, driving = model.read(sized(batch.source, size)), model.read(sized(batch.driving, size))
            x_s, x_d = losses.moved(source, source, source), losses.moved(source, driving, driving)
            still = model.draw(volume, x_s, x_s).float()
        stitched = self.net(x_s, x_d)
        drawn = model.draw(volume, x_s, stitched).float()
        outside = losses.outside_head(torch.cat([x_s, x_d], 1), drawn.shape[-1])
        value = losses.stitching_loss(drawn, still, outside, stitched - x_d, config.outside_offset)
        return {"loss": value, "offset": (stitched - x_d).detach().abs().mean()}

    def save(self, run_dir: Path, step: int) -> None:
        save_tuned(self.model, self.config, self.seen, self.name, run_dir, step)
