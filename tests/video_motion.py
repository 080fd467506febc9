"""What the tests of long videos draw, and a machine that always has room for it."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from playmate_core.values import Motion, Pose


def motion(frames: int) -> Motion:
    """In place: 25 MB an hour is what a motion is, and no copy of it belongs to a video's memory."""
    noise = torch.Generator().manual_seed(3)
    turns = torch.randn(frames, 3, generator=noise).mul_(5)
    pose = Pose(turns, torch.zeros(frames, 3), torch.ones(frames, 1))
    return Motion(pose, torch.randn(frames, 21, 3, generator=noise).mul_(0.05))


def plenty_of_memory() -> SimpleNamespace:
    """What psutil says of the memory where nobody else uses it: how much is free decides how W and G are arranged, and
    that decides the last bits of a picture."""
    return SimpleNamespace(available=1 << 40)
