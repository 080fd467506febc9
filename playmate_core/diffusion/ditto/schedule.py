"""Ditto's cosine schedule (docs/motion_models.md 5.5)."""

from __future__ import annotations

import math

import torch

from ..samplers import Schedule

OFFSET = 0.008


def cosine_schedule(steps: int) -> Schedule:
    """The schedule of ``steps``, rounded to single precision where the reference rounds, which its first steps show."""
    share = torch.arange(steps + 1, dtype=torch.float64) / steps
    curve = torch.cos((share + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2
    betas = (1 - curve[1:] / curve[:-1]).clamp(0.0, 0.999).float()
    return Schedule((1 - betas).cumprod(0).double(), torch.float32)
