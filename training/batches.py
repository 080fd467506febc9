"""Batches by their step: what step ``n`` sees depends on (seed, n, process) alone, whoever draws it, and when.

So there is no data order to store: a run resumed at step ``n`` draws what the uninterrupted one drew, with any number
of loader workers.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.workers import start_worker

Drawn = tuple[Any, torch.Generator]


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """A 32-bit seed for one step of one process (splitmix64; torch's CPU generator reads the low 32 bits only)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + rank * 0x8CB92BA72F3D8DD7 + 0x632BE59BD9B4E019) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 32


class StepBatches(Dataset[tuple[Any, Tensor]]):
    """Item ``n`` is the batch of step ``n``, and the state of the generator after it was drawn."""

    def __init__(self, draw: Callable[[torch.Generator], Any], seed: int, rank: int) -> None:
        self.draw, self.seed, self.rank = draw, seed, rank

    def __getitem__(self, step: int) -> tuple[Any, Tensor]:
        generator = torch.Generator().manual_seed(step_seed(self.seed, step, self.rank))
        return self.draw(generator), generator.get_state()


def batches(steps: range, data: StepBatches, workers: int) -> Iterator[Drawn]:
    """The batches of ``steps`` in order, drawn ahead by ``workers`` processes, or here where there are none.

    Each comes with the generator that drew it, for what else is random in the step.
    """
    options: dict[str, Any] = {}
    if workers:
        options = {"num_workers": workers, "worker_init_fn": partial(_start, os.getpid())}
    loader = DataLoader(data, batch_size=None, sampler=steps, collate_fn=_as_it_is, **options)
    for batch, state in loader:
        generator = torch.Generator()
        generator.set_state(state)
        yield batch, generator


def _start(parent: int, _worker: int) -> None:
    start_worker(parent)


def _as_it_is(value: Any) -> Any:
    return value


def to_device(value: Any, device: torch.device) -> Any:
    """``value`` with every tensor in it on ``device``; dataclasses, mappings and sequences are walked."""
    if device.type == "cpu":
        return value
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        moved = {f.name: to_device(getattr(value, f.name), device) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **moved)
    if isinstance(value, Mapping):
        return {key: to_device(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_device(item, device) for item in value)
    return value
