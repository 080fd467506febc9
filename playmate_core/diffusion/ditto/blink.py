"""Blinks and fades: the blink-table row and fade weight of each frame (docs/motion_models.md 5.7)."""

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
#: The reference samples blinks for this many frames at set-up and discards them.
DISCARDED = 3000
NO_BLINKS = -1

BlinkDistances = int | tuple[int, ...]


def blink_rows(frames: int, blinks: BlinkDistances, rng: Random, length: int = BLINK_FRAMES) -> Tensor:
    """The row of a blink table of ``length`` for each of ``frames``, (T,): 0 between blinks.

    ``blinks``: NO_BLINKS, a distance, several in turn, or 0 for random ones.
    """
    rows = torch.zeros(frames, dtype=torch.int64)
    if blinks == NO_BLINKS:
        return rows
    start, margin, distances = _distances(blinks, rng)
    while start < frames - max(margin, length):
        rows[start : start + length] = torch.arange(length)
        start += length + next(distances)
    return rows


def _distances(blinks: BlinkDistances, rng: Random) -> tuple[int, int, Iterator[int]]:
    """Open frames at the start, open frames at the end, and an iterator of distances between blinks."""
    if isinstance(blinks, tuple):
        rest = cycle(blinks)
        return next(rest), blinks[-1], rest
    if blinks > 0:
        return blinks, blinks, cycle([blinks])
    return rng.randint(*DISTANCES), rng.randint(*DISTANCES), iter(lambda: rng.randint(*DISTANCES), None)


def fade_shares(frames: int, fade_in: int = -1, fade_out: int = -1) -> Tensor:
    """Weight of the motion in each frame, (T,), NaN where it is not faded: in over ``fade_in`` frames, out over
    ``fade_out``, which takes precedence."""
    shares = torch.full((frames,), math.nan)
    for i in range(min(fade_in, frames)):
        shares[i] = i / fade_in
    for i in range(max(frames - fade_out - 1, 0), frames if fade_out >= 0 else 0):
        shares[i] = max((frames - 1 - i) / fade_out, 0.0) if fade_out else 0.0
    return shares
