"""Train the judge's second look on heads turned to the front by their true pose, disturbed as the first look errs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.close_probe import (
    CORRECTION,
    LOG_SCALE,
    MAX_SHIFT,
    CloseProbe,
    CloseProbeConfig,
    save_close_probe,
)
from training.data import Sessions
from training.loop import LoopConfig, train
from training.pairs import Blur, Truth, about, images, truth
from training.probe import Probe
from training.probe_stage import emotion_target, half_detail


@dataclass(frozen=True)
class CloseStageConfig(LoopConfig):
    """Batch (frames), the weights of the losses, and the spread of the first look's errors: degrees, picture halves,
    and log scale. ``softened`` as in the probe's stage."""

    steps: int = 2000
    lr: float = 2e-3
    ema: float = 0.0
    corpus: str = ""
    split: str = "judge"
    batch: int = 48
    rig: float = 1.0
    emotion: float = 0.1
    correction: float = 1.0
    where: float = 1.0
    turned_by: float = Blur.degrees
    shifted_by: float = Blur.shift
    scaled_by: float = Blur.scale
    softened: float = 0.5


@dataclass(frozen=True)
class CloseBatch:
    """B frames: ``image`` (B, 3, S, S), their ``truth``, ``rig`` (B, 16) and ``emotion`` (B, 8), a soft target."""

    image: Tensor
    truth: Truth
    rig: Tensor
    emotion: Tensor


class CloseStage:
    """What is trained (the second look), on what (frames of identities used for nothing else), and the loss."""

    name = "close"

    def __init__(self, config: CloseStageConfig, close: CloseProbe, sessions: Sessions) -> None:
        self.config, self.sessions, self.close = config, sessions, close
        self.blur = Blur(config.turned_by, config.shifted_by, config.scaled_by)
        rigs = torch.cat([sessions[index].rig for index in range(len(sessions))])
        close.spread.copy_(rigs.std(0).clamp(min=1e-3))

    def modules(self) -> Mapping[str, nn.Module]:
        return {"close": self.close}

    def parameters(self) -> Iterator[nn.Parameter]:
        return (p for p in self.close.parameters() if p.requires_grad)

    def batch(self, generator: torch.Generator) -> CloseBatch:
        people = torch.randint(len(self.sessions), (self.config.batch,), generator=generator).tolist()
        chosen = [self.sessions[p] for p in people]
        frames = [(s, int(torch.randint(len(s), (1,), generator=generator))) for s in chosen]
        rig = torch.stack([s.rig[i] for s, i in frames])
        return CloseBatch(images(frames), truth(frames), rig, emotion_target(frames))

    def loss(self, batch: CloseBatch, step: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        soft = float(torch.rand(1, generator=generator)) < self.config.softened
        image, true = half_detail(batch.image) if soft else batch.image, batch.truth
        guess, _ = self.close.coarse(image)
        flat = torch.tensor([1.0, 1.0, 0.0], device=image.device)
        shift = (guess.translation - true.translation * flat) / MAX_SHIFT
        size = (guess.scale.log() - true.scale.log()) / LOG_SCALE
        where = F.smooth_l1_loss(
            torch.cat([shift, size], -1), torch.zeros_like(true.expression[:, 0, :1]).expand(-1, 4)
        )
        rig, emotion, rotation = self.close.close_look(image, about(true, self.blur, generator))
        terms = {
            "where": self.config.where * where,
            "rig": self.config.rig * ((rig - batch.rig) / self.close.spread).square().mean(),
            "emotion": self.config.emotion * F.cross_entropy(emotion, batch.emotion),
            "correction": self.config.correction
            * F.smooth_l1_loss(rotation / CORRECTION, true.rotation / CORRECTION, beta=0.1),
        }
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def save(self, run_dir: Path, step: int) -> None:
        save_close_probe(self.close, run_dir / "close.safetensors")


def train_close(config: CloseStageConfig, probe: Probe, run_dir: Path) -> Path:
    """Train (or finish training) the second look over a probe; returns its file."""
    torch.manual_seed(config.seed)
    close = CloseProbe(CloseProbeConfig(), probe)
    train(CloseStage(config, close, Sessions(Path(config.corpus), config.split)), config, run_dir)
    return run_dir / "close.safetensors"
