"""The noise schedule: signal and noise levels at every step (docs/method.md 1.8)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: The step after the last one, without noise.
CLEAN = -1


@dataclass(frozen=True, eq=False)
class Schedule:
    """Cumulative signal power ``alpha_bar`` (T,), float64 on the CPU, strictly decreasing inside (0, 1).

    ``precision``: dtype to which coefficients are rounded, to reproduce models that were sampled in single precision.
    """

    alpha_bar: Tensor
    precision: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        bar = self.alpha_bar
        if bar.ndim != 1 or bar.dtype != torch.float64 or bar.device.type != "cpu" or len(bar) == 0:
            raise ValueError(f"alpha_bar must be (T,) float64 on the CPU, got {tuple(bar.shape)} {bar.dtype}.")
        if not (bool((bar > 0).all()) and bool((bar < 1).all()) and bool((bar.diff() < 0).all())):
            raise ValueError("alpha_bar must fall strictly inside (0, 1).")

    def __len__(self) -> int:
        return len(self.alpha_bar)

    @staticmethod
    def linear(steps: int = 1000, first: float = 1e-4, last: float = 2e-2) -> Schedule:
        """DDPM's schedule: noise variances rising linearly from ``first`` to ``last``."""
        return Schedule((1.0 - torch.linspace(first, last, steps, dtype=torch.float64)).cumprod(0))

    @property
    def log_snr(self) -> Tensor:
        """(T,) float64, ``log(alpha_t / sigma_t)``: half the logarithm of the signal-to-noise power ratio."""
        return 0.5 * (self.alpha_bar.log() - torch.log1p(-self.alpha_bar))

    @property
    def sigma(self) -> Tensor:
        """(T,) float64, the standard deviation of the noise at every step."""
        return (1.0 - self.alpha_bar).sqrt()

    def at(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """``alpha`` and ``sigma`` at integer steps ``t`` (B,), float32, shaped to multiply ``like`` (B, ...)."""
        shape = (-1,) + (1,) * (like.ndim - 1)
        # Square roots in float64 on the CPU: not every device has float64, and 1 - alpha_bar cancels in float32.
        alpha, sigma = (table.float().to(like.device)[t] for table in (self.alpha_bar.sqrt(), self.sigma))
        return alpha.reshape(shape), sigma.reshape(shape)

    def pair(self, t: int) -> tuple[float, float]:
        """``alpha`` and ``sigma`` at one step as Python floats; ``CLEAN`` is (1, 0)."""
        if t == CLEAN:
            return 1.0, 0.0
        bar = float(self.alpha_bar[t])
        return math.sqrt(bar), math.sqrt(1.0 - bar)

    def rounded(self, factor: float) -> float:
        """A factor in this schedule's precision."""
        return factor if self.precision == torch.float64 else float(torch.tensor(factor, dtype=self.precision))
