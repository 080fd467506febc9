"""Motions for the tests of what edits them, and whether two are the same in every bit."""

from __future__ import annotations

import torch
from torch import Tensor

from playmate_core.keypoint_space import LIVEPORTRAIT, PLAYMATE_DEMO
from playmate_core.motion.directions import Y, directions
from playmate_core.motion.expression_layer import lid_apertures
from playmate_core.values import LIDS, Motion, Pose

SPACES = (LIVEPORTRAIT, PLAYMATE_DEMO)
FRAMES = 100


def moving(seed: int, space: str = LIVEPORTRAIT, frames: int = FRAMES) -> Motion:
    draw = torch.Generator().manual_seed(seed)
    expression = 0.002 * torch.randn(frames, 21, 3, generator=draw)
    expression[:, 9] = -0.0
    rotation = 15.0 * torch.randn(frames, 3, generator=draw)
    rotation[0] = -0.0
    return Motion(Pose(rotation, torch.randn(frames, 3, generator=draw), torch.ones(frames, 1)), expression, space)


def blinking(space: str, at: tuple[int, ...], frames: int = FRAMES) -> Motion:
    """Open, still eyes that shut for five frames from each frame of ``at``."""
    motion = moving(0, space, frames)
    shut = torch.zeros(frames)
    for first in at:
        shut[first : first + 5] = torch.tensor([0.4, 0.9, 1.0, 0.7, 0.3])[: frames - first]
    for lids in LIDS:
        motion.expression[:, list(lids)] = 0.0
        motion.expression[:, lids[0], Y] = shut * directions(space).lid_travel
    return motion


def same(first: Motion, second: Motion) -> bool:
    """Bit for bit, the pose as well."""
    pairs = [(first.expression, second.expression)]
    pairs += [(getattr(first.pose, part), getattr(second.pose, part)) for part in ("rotation", "translation", "scale")]
    return all(torch.equal(a.view(torch.int32), b.view(torch.int32)) for a, b in pairs) and first.fps == second.fps


def closed(motion: Motion) -> Tensor:
    """How shut the eyes are, (T, 2), in shares of the lid travel."""
    return -lid_apertures(motion) / directions(motion.keypoint_space).lid_travel
