"""Rotary positions over the whole width, before the projections (docs/motion_models.md 5.4)."""

from __future__ import annotations

import torch
from torch import Tensor


def rotated(x: Tensor) -> Tensor:
    """``x`` (B, T, d) with adjacent pairs of channels rotated by the angle of their position and frequency."""
    length, width = x.shape[1:]
    pitch = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * pitch
    cos, sin = angle.cos().to(x), angle.sin().to(x)
    one, other = x[..., 0::2], x[..., 1::2]
    return torch.stack([one * cos - other * sin, other * cos + one * sin], -1).flatten(-2)
