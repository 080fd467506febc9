"""A small network that reads pose, expression, emotion and identity from pixels.

It plays two parts, on different people: trained on the system's own identities its trunk is the perceptual network of
the face losses where VGG19 is not at hand; trained on others, it is the independent judge of `evaluate`
(docs/method.md 4.3).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from playmate_core.atomic_file import write_atomically
from playmate_core.errors import UserError, with_article
from playmate_core.values import EMOTIONS
from training.synthetic.rig import RIG

#: Angles are learned in units of this many degrees.
DEGREES_PER_UNIT = 30.0


@dataclass(frozen=True)
class ProbeConfig:
    """Sizes: picture side, one width per stride-2 stage, identity embedding."""

    size: int = 128
    widths: tuple[int, ...] = (24, 48, 96, 128)
    embedding: int = 32


@dataclass(frozen=True)
class ProbeReading:
    """Outputs of the probe for B pictures."""

    rotation: Tensor  # (B, 3) degrees
    rig: Tensor  # (B, 16)
    emotion: Tensor  # (B, 8) logits over EMOTIONS
    identity: Tensor  # (B, D) unit vectors


#: Anything that reads pictures (B, 3, S, S) in [0, 1] as a probe does.
Reader = Callable[[Tensor], ProbeReading]


class Probe(nn.Module):
    """Stride-2 convolution stages, global average, linear heads; under half a million parameters."""

    def __init__(self, config: ProbeConfig) -> None:
        super().__init__()
        self.config = config
        widths = (3, *config.widths)
        self.stages = nn.ModuleList(halving_stage(a, b, nn.ReLU) for a, b in pairwise(widths))
        width = config.widths[-1]
        self.trunk = nn.Sequential(nn.Linear(width * 16, 128), nn.ReLU())
        self.rotation = nn.Linear(128, 3)
        self.rig = nn.Linear(128, len(RIG))
        self.emotion = nn.Linear(128, len(EMOTIONS))
        self.identity = nn.Linear(128, config.embedding)

    def features(self, image: Tensor) -> list[Tensor]:
        """Feature maps of a picture (B, 3, H, W) in [0, 1], fine to coarse."""
        x, maps = image * 2.0 - 1.0, []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def coarse(self, image: Tensor) -> Tensor:
        """What pictures (B, 3, H, W) of any size leave on the last map, 4 x 4 cells, flat: (B, 16 widths[-1])."""
        sized = F.interpolate(image, size=(self.config.size,) * 2, mode="bilinear", antialias=True)
        return F.adaptive_avg_pool2d(self.features(sized)[-1], 4).flatten(1)

    def read(self, coarse: Tensor) -> ProbeReading:
        """The reading of what :meth:`coarse` gave."""
        pooled = self.trunk(coarse)
        return ProbeReading(
            rotation=self.rotation(pooled) * DEGREES_PER_UNIT,
            rig=self.rig(pooled),
            emotion=self.emotion(pooled),
            identity=F.normalize(self.identity(pooled), dim=-1),
        )

    def forward(self, image: Tensor) -> ProbeReading:
        return self.read(self.coarse(image))


def halving_stage(inside: int, outside: int, bend: type[nn.Module]) -> nn.Sequential:
    """Two normalised convolutions with ``bend`` after each, the first of stride 2."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride=2, padding=1),
        nn.BatchNorm2d(outside),
        bend(),
        nn.Conv2d(outside, outside, 3, padding=1),
        nn.BatchNorm2d(outside),
        bend(),
    )


def load_probe(path: Path) -> Probe:
    """Read a probe saved by the probe stage. Raises UserError when the file is something else."""
    fields, state = read_judge_file(path, "probe")
    probe = Probe(ProbeConfig(**{**fields, "widths": tuple(fields["widths"])}))
    probe.load_state_dict(state)
    return probe.eval().requires_grad_(False)


def save_probe(probe: Probe, path: Path) -> None:
    """Write a probe with its config, under a temporary name first."""
    write_judge_file(probe, asdict(probe.config), path, "probe")


def read_judge_file(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the tensors of a file of :func:`write_judge_file`. Raises UserError when it is something else."""
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"Cannot read {path} ({error}); expected the {kind} that its stage saves.") from None
    if facts.get("playmate.kind") != kind:
        found = facts.get("playmate.kind", "no Playmate model")
        raise UserError(f"{path} holds {found}, expected {with_article(kind)}.")
    return json.loads(facts["playmate.config"]), state


def write_judge_file(module: nn.Module, config: dict[str, Any], path: Path, kind: str) -> None:
    """Write a module's tensors with its config and what it is, under a temporary name first."""
    facts = {"playmate.kind": kind, "playmate.version": "1", "playmate.config": json.dumps(config)}
    write_atomically(path, save({key: value.contiguous() for key, value in module.state_dict().items()}, facts))
