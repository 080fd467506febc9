"""The toy stage in several processes whose clocks differ: ``toy_in_processes OUT MAX_SECONDS``."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from toy_stage import CONFIG, Toy, ToyBatch

from training.loop import train
from training.processes import leave

RANK, OUT = int(os.environ["RANK"]), Path(sys.argv[1])


class Telling(Toy):
    """Keeps what each step lost in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[int, float] = {}

    def loss(self, batch: ToyBatch, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        values = super().loss(batch, step, generator)
        self.told[step] = float(values["loss"].detach())
        return values


real = time.monotonic
reads = 0


def uneven() -> float:
    """A clock that gains an hour at every look in the main process, and stands still in the others."""
    global reads
    reads += 1
    return 3600.0 * reads if RANK == 0 else 0.0


if __name__ == "__main__":
    limit = float(sys.argv[2])
    if limit:
        time.monotonic = uneven
    toy = Telling()
    train(toy, dataclasses.replace(CONFIG, max_seconds=limit), OUT)
    time.monotonic = real
    (OUT / f"told-{RANK}.json").write_text(json.dumps(toy.told))
    leave()
