"""Noise sources: the initial noise of each window, and the noise that samplers add at each step.

All noise is drawn on the CPU from generators seeded by (seed, index), so it is the same on every device and does not
depend on earlier draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .options import window_noise
from .samplers import DrawNoise, drawn_from


@dataclass(frozen=True)
class WindowNoise:
    """The noise of one window: ``start(shape)`` once, then ``draw(like)`` for every step that adds some."""

    start: Callable[[tuple[int, ...]], Tensor]
    draw: DrawNoise


class ClipNoise(Protocol):
    """The noise of a whole clip, window by window."""

    def window(self, index: int) -> WindowNoise:
        """The noise of window ``index``, the same at every call."""
        ...


@dataclass(frozen=True)
class FreshNoise:
    """Every window has its own random stream, for its initial noise and its steps."""

    seed: int

    def window(self, index: int) -> WindowNoise:
        """See :meth:`ClipNoise.window`."""
        generator = window_noise(self.seed, index)
        return WindowNoise(_starting(generator), drawn_from(generator))


@dataclass(frozen=True)
class SharedStart:
    """All windows start from the same noise; the noise of the steps differs (docs/motion_models.md, JoyVASA)."""

    seed: int

    def window(self, index: int) -> WindowNoise:
        """See :meth:`ClipNoise.window`."""
        return WindowNoise(_starting(window_noise(self.seed, 0)), drawn_from(window_noise(self.seed, 1 + index)))


@dataclass(frozen=True)
class SharedSteps:
    """Every window starts from its own noise; the noise of the steps is the same in all (docs/motion_models.md,
    Ditto)."""

    seed: int

    def window(self, index: int) -> WindowNoise:
        """See :meth:`ClipNoise.window`."""
        return WindowNoise(_starting(window_noise(self.seed, 1 + index)), drawn_from(window_noise(self.seed, 0)))


def together(noises: Sequence[WindowNoise]) -> WindowNoise:
    """The noise of the windows of several takes, one row each, every row as it is alone."""

    def start(shape: tuple[int, ...]) -> Tensor:
        return torch.cat([noise.start((1, *shape[1:])) for noise in noises])

    def draw(like: Tensor) -> Tensor:
        return torch.cat([noise.draw(row) for noise, row in zip(noises, like.split(1), strict=True)])

    return WindowNoise(start, draw)


def _starting(generator: torch.Generator) -> Callable[[tuple[int, ...]], Tensor]:
    return lambda shape: torch.randn(shape, generator=generator)
