"""Blinks and fades: which row of a table each frame has (docs/motion_models.md 5.7)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import cycle
from random import Random

import torch
from torch import Tensor

#: Frames of a blink in the published table.
BLINK_FRAMES = 15
#: Shortest and longest random distance between blinks, in frames.
DISTANCES = (60, 100)
#: The reference draws blinks for so many frames at set-up and throws them away.
DISCARDED = 3000
NO_BLINKS = -1

Blinks = int | tuple[int, ...]


def blink_rows(frames: int, blinks: Blinks, chance: Random, length: int = BLINK_FRAMES) -> Tensor:
    """Which row of a table of ``length`` each of ``frames`` has, (T,): 0 between blinks.

    ``blinks``: NO_BLINKS, a distance, several in turn, or 0 for random ones.
    """
    rows = torch.zeros(frames, dtype=torch.int64)
    if blinks == NO_BLINKS:
        return rows
    start, margin, distances = _distances(blinks, chance)
    while start < frames - max(margin, length):
        rows[start : start + length] = torch.arange(length)
        start += length + next(distances)
    return rows


def _distances(blinks: Blinks, chance: Random) -> tuple[int, int, Iterator[int]]:
    """The first open frames, those that stay open at the end, and what lies between blinks."""
    if isinstance(blinks, tuple):
        rest = cycle(blinks)
        return next(rest), blinks[-1], rest
    if blinks > 0:
        return blinks, blinks, cycle([blinks])
    return chance.randint(*DISTANCES), chance.randint(*DISTANCES), iter(lambda: chance.randint(*DISTANCES), None)


def fade_shares(frames: int, fade_in: int = -1, fade_out: int = -1) -> Tensor:
    """How much of the motion each frame keeps, (T,), NaN where it is not faded at all: in over ``fade_in`` frames, out
    over ``fade_out``, which wins."""
    shares = torch.full((frames,), math.nan)
    for i in range(min(fade_in, frames)):
        shares[i] = i / fade_in
    for i in range(max(frames - fade_out - 1, 0), frames if fade_out >= 0 else 0):
        shares[i] = max((frames - 1 - i) / fade_out, 0.0) if fade_out else 0.0
    return shares
