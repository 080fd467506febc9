"""Forward and reverse diffusion around any denoiser (docs/method.md 1.8 and 1.9, docs/performance.md 3).

The noisy sample at step ``t`` is ``alpha_t x0 + sigma_t noise`` with ``alpha_t^2 = alpha_bar_t`` and
``alpha_t^2 + sigma_t^2 = 1``. A sampler sees the network only as ``predict_x0(noisy, t) -> x0``: what the network was
trained to predict, and the guidance around it, are the caller's closure. States are float32, coefficients float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import UserError
from ..progress import Progress
from .schedule import CLEAN, Schedule

TARGETS = ("epsilon", "x0", "v")
#: Clean samples live in standardised space; nothing real lies beyond six standard deviations (docs/method.md 1.9).
X0_LIMIT = 6.0
#: Largest noise that training puts on the previous motion: Hallo2's t < 50 on this schedule (docs/method.md 1.8).
PREVIOUS_SIGMA = 0.17

Denoise = Callable[[Tensor, int], Tensor]
#: Draws unit normal noise with the shape and device of its argument.
DrawNoise = Callable[[Tensor], Tensor]


def add_noise(schedule: Schedule, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """The forward process: ``x0`` (B, ...) at steps ``t`` (B,) with the given unit ``noise``."""
    alpha, sigma = schedule.at(t, x0)
    return alpha * x0 + sigma * noise


def previous_noise(
    schedule: Schedule, previous: Tensor, sigma_max: float = PREVIOUS_SIGMA, generator: torch.Generator | None = None
) -> Tensor:
    """Noise augmentation of the previous window's motion (B, P, C), corrected Eq. 9 (square root; docs/method.md 1.8).

    Each sample draws its own step uniformly from 0 up to the step whose noise is nearest to ``sigma_max``; every frame
    and channel its own noise. Parametrised by sigma, so that it means the same for every schedule.
    """
    last = int((schedule.sigma - sigma_max).abs().argmin())
    t = torch.randint(0, last + 1, (len(previous),), generator=generator).to(previous.device)
    return add_noise(schedule, previous, _normal(previous, generator), t)


def training_target(schedule: Schedule, target: str, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """The training target (Eq. 7): the noise, the clean sample, or ``v`` = alpha noise - sigma x0."""
    _known("prediction target", target, TARGETS)
    if target == "epsilon":
        return noise
    if target == "x0":
        return x0
    alpha, sigma = schedule.at(t, x0)
    return alpha * noise - sigma * x0


def predicted_x0(schedule: Schedule, target: str, prediction: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
    """The clean sample that a ``prediction`` of ``target`` implies for ``noisy`` (B, ...) at steps ``t`` (B,)."""
    _known("prediction target", target, TARGETS)
    if target == "x0":
        return prediction
    alpha, sigma = schedule.at(t, noisy)
    if target == "epsilon":
        return (noisy - sigma * prediction) / alpha
    return alpha * noisy - sigma * prediction


def clamp_x0(x0: Tensor, limit: float = X0_LIMIT) -> Tensor:
    """``x0`` inside plus and minus ``limit`` standard deviations."""
    return x0.clamp(-limit, limit)


# Spacing: the steps at which the network is evaluated, decreasing from T - 1.


def uniform_steps(schedule: Schedule, count: int) -> list[int]:
    """``count`` steps evenly spaced in t, ending one stride before the clean sample."""
    total = len(schedule)
    return [-(-total * k // count) - 1 for k in range(count, 0, -1)]


def log_snr_steps(schedule: Schedule, count: int) -> list[int]:
    """``count`` distinct steps evenly spaced in log-SNR from T - 1 to 0, each rounded to the nearest."""
    ratio, top = schedule.log_snr, len(schedule) - 1
    rising: list[int] = []
    for k, wanted in enumerate(torch.linspace(float(ratio[0]), float(ratio[top]), count, dtype=torch.float64)):
        nearest = int((ratio - wanted).abs().argmin()) if count > 1 else top
        free = nearest if not rising else max(nearest, rising[-1] + 1)
        # Many steps round to the same one at the clean end: each moves to the next free step, leaving enough for the
        # rest.
        rising.append(min(free, top - (count - 1 - k)))
    return rising[::-1]


def truncated_steps(schedule: Schedule, count: int) -> list[int]:
    """``count`` of the count + 1 numbers evenly spaced from T - 1 to -1, without the last, cut to whole steps."""
    # Single precision on purpose: the published grids are truncated in it.
    return torch.linspace(-1, len(schedule) - 1, count + 1).int().flip(0)[:-1].tolist()


SPACINGS: dict[str, Callable[[Schedule, int], list[int]]] = {
    "uniform": uniform_steps,
    "logsnr": log_snr_steps,
    "truncated": truncated_steps,
}


# Samplers: from noise at the first step of the grid to the clean sample, one evaluation per step of the grid.


@dataclass(frozen=True)
class NoiseSource:
    """Fresh noise of a sampler: ``eta`` scales it (DDIM), ``draw`` returns it."""

    eta: float
    draw: DrawNoise


def ddpm(predict: Denoise, schedule: Schedule, x: Tensor, grid: Sequence[int], noise_source: NoiseSource) -> Tensor:
    """Ancestral sampling with the posterior variance (Ho et al. 2020, Eq. 6 and 7), over any falling grid."""
    for t, following in pairwise([*grid, CLEAN]):
        (alpha, sigma), (alpha_next, sigma_next) = schedule.pair(t), schedule.pair(following)
        kept = alpha / alpha_next
        added = 1.0 - kept**2
        x0 = predict(x, t)
        x = (alpha_next * added / sigma**2) * x0 + (kept * sigma_next**2 / sigma**2) * x
        if following != CLEAN:
            x = x + (sigma_next / sigma * math.sqrt(added)) * noise_source.draw(x)
    return x


def ddim_factors(schedule: Schedule, t: int, following: int, eta: float) -> tuple[float, float, float]:
    """Coefficients of a DDIM step: of the predicted clean sample, the predicted noise and the fresh noise."""
    (alpha, sigma), (alpha_next, sigma_next) = schedule.pair(t), schedule.pair(following)
    fresh = schedule.rounded(eta * sigma_next / sigma * math.sqrt(1.0 - (alpha / alpha_next) ** 2))
    kept = schedule.rounded(sigma_next**2) - schedule.rounded(fresh**2)
    return alpha_next, math.sqrt(max(kept, 0.0)), fresh


def ddim(predict: Denoise, schedule: Schedule, x: Tensor, grid: Sequence[int], noise_source: NoiseSource) -> Tensor:
    """DDIM (Song et al. 2021, Eq. 12): ``eta`` 0 is deterministic, 1 is DDPM."""
    for t, following in pairwise([*grid, CLEAN]):
        alpha, sigma = schedule.pair(t)
        clean, noise, fresh = ddim_factors(schedule, t, following, noise_source.eta)
        x0 = predict(x, t)
        x = clean * x0 + (noise / sigma) * (x - alpha * x0)
        if fresh > 0.0:
            x = x + fresh * noise_source.draw(x)
    return x


def dpm_solver_2m(
    predict: Denoise, schedule: Schedule, x: Tensor, grid: Sequence[int], noise_source: NoiseSource
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2): second order, one evaluation per step, deterministic.

    The first step has no history and is first order. The last runs to the clean sample, where log-SNR is infinite and
    the exact limit of the update is the prediction itself.
    """
    ratio = [float(v) for v in schedule.log_snr]
    before: Tensor | None = None
    width_before = 0.0
    for t, following in pairwise([*grid, CLEAN]):
        x0 = predict(x, t)
        if following == CLEAN:
            return x0
        sigma, (alpha_next, sigma_next) = schedule.pair(t)[1], schedule.pair(following)
        width = ratio[following] - ratio[t]
        data = x0 if before is None else x0 + (0.5 * width / width_before) * (x0 - before)
        x = (sigma_next / sigma) * x - (alpha_next * math.expm1(-width)) * data
        before, width_before = x0, width
    return x


SAMPLERS: dict[str, Callable[[Denoise, Schedule, Tensor, Sequence[int], NoiseSource], Tensor]] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "dpm++2m": dpm_solver_2m,
}


def sample(
    predict_x0: Denoise,
    schedule: Schedule,
    noise: Tensor,
    *,
    steps: int,
    sampler: str,
    spacing: str,
    eta: float = 0.0,
    generator: torch.Generator | DrawNoise | None = None,
    limit: float = X0_LIMIT,
    progress: Progress | None = None,
    initial: Tensor | None = None,
    strength: float = 1.0,
) -> Tensor:
    """Denoise ``noise`` (B, W, C), unit variance, in exactly ``steps`` evaluations of ``predict_x0(x_t, t)``.

    With an ``initial`` clean sample and a ``strength`` below 1 the process begins from that sample with noise on it:
    the last ``steps`` of a grid of steps / strength are taken.

    ``sampler`` is a name in SAMPLERS, ``spacing`` one in SPACINGS; ``eta`` concerns ``ddim`` alone. The prediction is
    clamped to plus and minus ``limit``. Fresh noise (``ddpm``, or ``eta`` > 0) comes only from ``generator``: a CPU
    generator or a :data:`DrawNoise`. ``progress(done, steps)`` is called after each evaluation and may raise to cancel.
    Raises UserError for an unknown name, a step count outside 1..T, or an eta outside [0, 1].
    """
    _known("sampler", sampler, SAMPLERS)
    _known("spacing", spacing, SPACINGS)
    if not 1 <= steps <= len(schedule):
        raise UserError(f"Got {steps} sampling steps; choose a whole number from 1 to {len(schedule)}.")
    if not 0.0 <= eta <= 1.0:
        raise UserError(f"Got eta {eta:g}; choose a number from 0 (deterministic) to 1 (as random as DDPM).")
    if not 0.0 < strength <= 1.0:
        raise ValueError(f"Expected a strength above 0 and up to 1, got {strength:g}.")
    if generator is None and (sampler == "ddpm" or (sampler == "ddim" and eta > 0)):
        raise ValueError(f"The {sampler} sampler draws noise: give it a torch.Generator.")
    done = 0

    def predict(x: Tensor, t: int) -> Tensor:
        nonlocal done
        x0 = clamp_x0(predict_x0(x, t).float(), limit)
        done += 1
        if progress is not None:
            progress(done, steps)
        return x0

    grid = SPACINGS[spacing](schedule, min(round(steps / strength), len(schedule)))[-steps:]
    x = noise.float()
    if initial is not None and strength < 1.0:
        alpha, sigma = schedule.pair(grid[0])
        x = alpha * initial.float() + sigma * x
    draw = generator if callable(generator) else drawn_from(generator)
    return SAMPLERS[sampler](predict, schedule, x, grid, NoiseSource(eta, draw))


def drawn_from(generator: torch.Generator | None) -> DrawNoise:
    """Unit normal noise from one stream on the CPU."""
    return lambda like: _normal(like, generator)


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Unit normal noise shaped and placed like ``like``, drawn on the CPU: the same numbers on every device."""
    return torch.randn(like.shape, generator=generator, dtype=torch.float32).to(like.device)


def _known(what: str, name: str, names: Iterable[str]) -> None:
    options = tuple(names)
    if name not in options:
        raise UserError(f"Unknown {what} {name!r}; choose one of {', '.join(options)}.")
