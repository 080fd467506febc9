"""Train the probe: supervised on pose, expression rig and emotion, contrastive on identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playmate_core.values import EMOTIONS
from training.data import Session, Sessions
from training.loop import LoopConfig, train
from training.pairs import images
from training.probe import DEGREES_PER_UNIT, Probe, ProbeConfig, ProbeReading, save_probe


@dataclass(frozen=True)
class ProbeStageConfig(LoopConfig):
    """Batch (pairs of frames, one person each) and the weights of the four losses.

    ``softened``: share of batches shown with half the detail, so that a judge reads what a small network draws.
    """

    steps: int = 600
    lr: float = 1e-3
    ema: float = 0.0
    corpus: str = ""
    split: str = "train"
    batch: int = 16
    rotation: float = 2.0
    rig: float = 2.0
    emotion: float = 0.3
    identity: float = 0.1
    temperature: float = 0.1
    softened: float = 0.0


@dataclass(frozen=True)
class ProbeBatch:
    """Two frames of each of B people, stacked first then second: 2B rows."""

    image: Tensor  # (2B, 3, S, S)
    rotation: Tensor  # (2B, 3)
    rig: Tensor  # (2B, 16)
    emotion: Tensor  # (2B, 8) soft target


class ProbeStage:
    """What is trained (the probe), on what (sessions), and the loss."""

    name = "probe"

    def __init__(self, config: ProbeStageConfig, probe: ProbeConfig, sessions: Sessions) -> None:
        self.config, self.sessions, self.probe = config, sessions, Probe(probe)

    def modules(self) -> Mapping[str, nn.Module]:
        return {"probe": self.probe}

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.probe.parameters()

    def batch(self, generator: torch.Generator) -> ProbeBatch:
        people = torch.randperm(len(self.sessions), generator=generator)[: self.config.batch].tolist()
        chosen = [self.sessions[p] for p in people]
        frames = []
        for _ in range(2):
            frames += [(s, int(torch.randint(len(s.rotation), (1,), generator=generator))) for s in chosen]
        rotation = torch.stack([s.rotation[i] for s, i in frames])
        rig = torch.stack([s.rig[i] for s, i in frames])
        return ProbeBatch(images(frames), rotation, rig, emotion_target(frames))

    def loss(self, batch: ProbeBatch, step: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        soft = float(torch.rand(1, generator=generator)) < self.config.softened
        seen: ProbeReading = self.probe(half_detail(batch.image) if soft else batch.image)
        half = len(batch.image) // 2
        alike = seen.identity[:half] @ seen.identity[half:].T / self.config.temperature
        same = torch.arange(half, device=alike.device)
        rotation = F.smooth_l1_loss(seen.rotation / DEGREES_PER_UNIT, batch.rotation / DEGREES_PER_UNIT, beta=0.05)
        rig = F.smooth_l1_loss(seen.rig, batch.rig, beta=0.1)
        emotion = F.cross_entropy(seen.emotion, batch.emotion)
        identity = (F.cross_entropy(alike, same) + F.cross_entropy(alike.T, same)) / 2.0
        total = (
            self.config.rotation * rotation
            + self.config.rig * rig
            + self.config.emotion * emotion
            + self.config.identity * identity
        )
        return {"loss": total, "rotation": rotation, "rig": rig, "emotion": emotion, "identity": identity}

    def save(self, run_dir: Path, step: int) -> None:
        save_probe(self.probe, run_dir / "probe.safetensors")


def emotion_target(frames: Sequence[tuple[Session, int]]) -> Tensor:
    """How much of each emotion frames show, (B, 8): what their intensity leaves is neutral."""
    neutral = F.one_hot(torch.tensor(EMOTIONS.index("neutral")), len(EMOTIONS)).float()
    strength = torch.stack([session.intensity[i] for session, i in frames])[:, None]
    named = F.one_hot(torch.stack([session.emotion[i] for session, i in frames]).long(), len(EMOTIONS)).float()
    return strength * named + (1.0 - strength) * neutral


def half_detail(image: Tensor) -> Tensor:
    """Pictures (B, 3, S, S) of the same size with half the detail."""
    return F.interpolate(F.avg_pool2d(image, 2), size=image.shape[-2:], mode="bilinear")


def train_probe(config: ProbeStageConfig, run_dir: Path) -> Path:
    """Train (or finish training) a probe on the sessions of a split; returns its file."""
    torch.manual_seed(config.seed)
    stage = ProbeStage(config, ProbeConfig(), Sessions(Path(config.corpus), config.split))
    train(stage, config, run_dir)
    return run_dir / "probe.safetensors"
