"""What the training loop asks of a stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class Stage(Protocol):
    """What a stage answers. ``batch`` must draw from the generator alone; ``loss`` returns at least the key "loss"."""

    @property
    def name(self) -> str: ...

    def modules(self) -> Mapping[str, nn.Module]:
        """What learns; placed, saved, restored and averaged by the loop."""
        ...

    def parameters(self) -> Iterable[nn.Parameter] | Iterable[dict[str, Any]]:
        """The parameters that learn, or optimizer groups of them (a group's "lr" replaces the config's)."""
        ...

    def batch(self, generator: torch.Generator) -> Any:
        """A frozen dataclass of CPU tensors; the loop moves it."""
        ...

    def loss(self, batch: Any, step: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Scalars by name, for the log; "loss" is what is minimised. ``generator`` lives on the CPU."""
        ...

    def save(self, run_dir: Path, step: int) -> None:
        """Write the deliverable. Called with the averaged weights in place and the modules in eval mode."""
        ...


@dataclass(frozen=True)
class Scores:
    """What validation measured. Of two states of a run, the one with the higher ``score`` is the better."""

    score: float
    figures: Mapping[str, float]


@runtime_checkable
class Validated(Protocol):
    """A stage that can be measured on clips of speakers it does not train on."""

    def validate(self, device: torch.device) -> Scores:
        """Called with the averaged weights in place and the modules in eval mode. Must change nothing, and must give
        the same figures for the same weights."""
        ...
