"""A stage of training in a few lines, for tests of the loop around it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from training.config import LoopConfig

CONFIG = LoopConfig(steps=40, lr=0.01, warmup=5, ema=0.9, log_every=7, save_every=10)


class Interrupted(Exception):
    pass


def interrupt() -> None:
    raise Interrupted


@dataclass(frozen=True)
class ToyBatch:
    x: Tensor


class Toy:
    """A small network with dropout, so that the global generator matters too."""

    name = "toy"

    def __init__(self, stop_at: int = -1, stop: Callable[[], object] = interrupt, poison: int = -1) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1))
        self.stop_at, self.stop, self.poison = stop_at, stop, poison

    def modules(self) -> dict[str, nn.Module]:
        return {"net": self.net}

    def parameters(self) -> list[nn.Parameter]:
        return list(self.net.parameters())

    def batch(self, generator: torch.Generator) -> ToyBatch:
        return ToyBatch(torch.randn(16, 4, generator=generator))

    def loss(self, batch: ToyBatch, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        if step == self.stop_at:
            self.stop()
        noise = 0.1 * torch.randn(16, 1, generator=generator)
        loss = (self.net(batch.x) - batch.x.sum(1, keepdim=True) - noise).float().square().mean()
        return {"loss": loss * math.nan if step == self.poison else loss, "twice": 2 * loss}

    def save(self, run_dir: Path, step: int) -> None:
        assert not self.net.training
        torch.save(self.net.state_dict(), run_dir / "net.pt")


def outcome(run_dir: Path) -> tuple[list[Tensor], list[dict[str, float]]]:
    """The delivered tensors, and the log without its clock."""
    lines = [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]
    return list(torch.load(run_dir / "net.pt", weights_only=True).values()), [
        {key: value for key, value in line.items() if key != "seconds"} for line in lines
    ]


def assert_same(first: Path, second: Path) -> None:
    (tensors, log), (other_tensors, other_log) = outcome(first), outcome(second)
    assert all(torch.equal(a, b) for a, b in zip(tensors, other_tensors, strict=True))
    assert log == other_log
