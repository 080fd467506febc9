"""Minimum precision of intermediate values, independent of the weights' dtype."""

from __future__ import annotations

import torch
from torch import Tensor


def exact(x: Tensor) -> Tensor:
    """``x`` in float32 at least, for sums over a picture and for output."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def finest(like: Tensor) -> torch.dtype:
    """The dtype for coordinates: float64 where the device has it, as float32 leaves too few bits for sub-pixel
    weights."""
    return torch.float32 if like.device.type == "mps" else torch.float64
