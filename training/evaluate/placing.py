"""Where networks compute: pictures and motion stay on the CPU, and go to a network and back with each call."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from playmate_core.rendering.device import require_device
from training.probe import ProbeReading, Reader

Reading = TypeVar("Reading")


def chosen_device(name: str) -> torch.device:
    """The device of a name; "auto" is a GPU where there is one. Raises UserError for one that torch cannot use."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    require_device(name)
    return torch.device(name)


def device_of(module: nn.Module) -> torch.device:
    """Where a network computes."""
    return next(module.parameters()).device


def on_cpu(reading: Reading) -> Reading:
    """A dataclass of tensors, all of them on the CPU."""
    moved = {field.name: getattr(reading, field.name).cpu() for field in fields(reading)}  # type: ignore[arg-type]
    return replace(reading, **moved)  # type: ignore[type-var]


def reader_on(probe: nn.Module, device: torch.device) -> Reader:
    """A probe that computes on ``device`` and takes and gives what lies on the CPU."""
    probe.to(device)

    def read(image: Tensor) -> ProbeReading:
        return on_cpu(probe(image.to(device)))

    return read
