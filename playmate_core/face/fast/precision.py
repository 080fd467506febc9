"""How exact a number has to be, whatever the weights are."""

from __future__ import annotations

import torch
from torch import Tensor


def exact(x: Tensor) -> Tensor:
    """``x`` in float32 at least: what is added up over a picture, or shown."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def finest(like: Tensor) -> torch.dtype:
    """What coordinates are computed in: float64 where the device has it, as a place spends half of a float32."""
    return torch.float32 if like.device.type == "mps" else torch.float64
