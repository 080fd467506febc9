"""JoyVASA's cosine schedule: steps are numbered from 1, entry 0 is the clean sample (docs/motion_models.md 4.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..samplers import Schedule

OFFSET = 0.008


@dataclass(frozen=True)
class NoiseTables:
    """(T + 1,) float32 each: ``betas``, ``alphas``, their running product ``alpha_bars``, and the posterior deviation
    ``sigmas`` that ancestral sampling adds; entry 0 is the clean sample."""

    betas: Tensor
    alphas: Tensor
    alpha_bars: Tensor
    sigmas: Tensor


def noise_tables(steps: int) -> NoiseTables:
    """The tables of ``steps`` diffusion steps."""
    share = torch.arange(steps + 1) / steps  # single precision throughout, as the weights were trained
    curve = torch.cos((share + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2
    curve = curve / curve[0]
    betas = torch.cat([torch.zeros(1), (1 - curve[1:] / curve[:-1]).clamp(1e-4, 0.999)])
    alphas = 1 - betas
    bars = alphas.log().cumsum(0).exp()
    before = torch.cat([bars[:1], bars[:-1]])
    sigmas = ((1 - before) / (1 - bars) * betas).sqrt().nan_to_num(0.0)
    return NoiseTables(betas, alphas, bars, sigmas)


def cosine_schedule(steps: int) -> Schedule:
    """The schedule in the samplers' numbering: their step t is step t + 1 here, without an entry for the clean
    sample."""
    return Schedule(noise_tables(steps).alpha_bars[1:].double())
