"""Motions and openings of eyes and lips that wander at random."""

from __future__ import annotations

import torch
from torch import Tensor

from playmate_core.detection.landmarks import Openings
from playmate_core.values import Motion, Pose


def wandering(frames: int, seed: int) -> Motion:
    noise = torch.Generator().manual_seed(seed)

    def walk(*size: int) -> Tensor:
        return torch.randn(frames, *size, generator=noise).cumsum(0)

    return Motion(Pose(walk(3) * 4, walk(3) * 0.02, 1.2 + walk(1).tanh() * 0.1), walk(21, 3) * 0.01)


def openings(frames: int, seed: int) -> Openings:
    noise = torch.Generator().manual_seed(seed)
    return Openings(torch.rand(frames, 2, generator=noise), torch.rand(frames, 1, generator=noise))
