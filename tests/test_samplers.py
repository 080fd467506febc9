"""The samplers against data whose optimal denoiser is known exactly, and the identities of the forward process."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from playmate_core.diffusion.samplers import (
    PREVIOUS_SIGMA,
    SAMPLERS,
    SPACINGS,
    TARGETS,
    Schedule,
    add_noise,
    clamp_x0,
    predicted_x0,
    previous_noise,
    sample,
    training_target,
)
from playmate_core.errors import UserError

SCHEDULE = Schedule.linear()
VARIANCES = (1.0, 0.3, 0.1, 0.03, 0.01)


def gaussian(variance: float):
    """The optimal denoiser of zero-mean Gaussian data: linear in the noisy sample."""

    def predict(x: Tensor, t: int) -> Tensor:
        alpha, sigma = SCHEDULE.pair(t)
        return (alpha * variance / (alpha**2 * variance + sigma**2)) * x

    return predict


def ratio(variance: float, **options: object) -> float:
    """Standard deviation produced over the true one. A deterministic sampler is linear here: ask it for its factor."""
    start = torch.ones(1, 1, 1)
    return float(sample(gaussian(variance), SCHEDULE, start, **options)) / math.sqrt(variance)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sampler", "spacing", "steps", "expected"),
    [
        ("dpm++2m", "logsnr", 15, (1.02, 1.02, 1.02, 1.02, 1.01)),
        ("dpm++2m", "logsnr", 10, (1.04, 1.03, 1.03, 1.01, 1.00)),
        ("dpm++2m", "uniform", 20, (1.00, 0.97, 0.88, 0.70, 0.49)),
        ("ddim", "uniform", 25, (0.93, 0.90, 0.84, 0.72, 0.55)),
        ("ddim", "uniform", 50, (0.96, 0.95, 0.92, 0.85, 0.74)),
        ("ddim", "logsnr", 25, (0.90, 0.90, 0.90, 0.90, 0.90)),
    ],
)
def test_few_steps_reproduce_the_table(sampler: str, spacing: str, steps: int, expected: tuple[float, ...]) -> None:
    for variance, want in zip(VARIANCES, expected, strict=True):
        assert ratio(variance, sampler=sampler, spacing=spacing, steps=steps) == pytest.approx(want, abs=0.0101)


def test_ddpm_with_all_steps_is_the_oracle() -> None:
    """Five variances as five channels, so that one thousand steps run once."""
    variances = torch.tensor(VARIANCES)

    def predict(x: Tensor, t: int) -> Tensor:
        alpha, sigma = SCHEDULE.pair(t)
        return alpha * variances / (alpha**2 * variances + sigma**2) * x

    generator = torch.Generator().manual_seed(3)
    start = torch.randn(1, 10000, 5, generator=generator)
    made = sample(predict, SCHEDULE, start, steps=1000, sampler="ddpm", spacing="uniform", generator=generator)
    produced = made.std(dim=(0, 1)) / variances.sqrt()
    torch.testing.assert_close(produced, torch.tensor([1.00, 0.99, 0.99, 0.98, 0.96]), atol=0.025, rtol=0)


def test_ddpm_is_ddim_with_full_noise() -> None:
    start = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    made = [
        sample(
            gaussian(0.3),
            SCHEDULE,
            start,
            steps=20,
            sampler=name,
            spacing="logsnr",
            eta=1.0,
            generator=torch.Generator().manual_seed(5),
        )
        for name in ("ddpm", "ddim")
    ]
    torch.testing.assert_close(made[0], made[1], atol=1e-4, rtol=1e-4)


def test_solver_converges_to_the_exact_flow() -> None:
    assert ratio(0.1, sampler="dpm++2m", spacing="logsnr", steps=200) == pytest.approx(1.0, abs=2e-3)
    coarse, fine = (abs(ratio(0.3, sampler="dpm++2m", spacing="logsnr", steps=n) - 1) for n in (10, 40))
    assert fine < coarse / 6  # second order: a factor of about 16, were it not for rounded steps


def test_schedule_known_values() -> None:
    assert len(SCHEDULE) == 1000
    assert float(SCHEDULE.alpha_bar[0]) == pytest.approx(0.9999, abs=1e-12)
    assert float(SCHEDULE.alpha_bar[999]) == pytest.approx(4.0358e-5, rel=1e-3)
    assert float(SCHEDULE.sigma[:50].max()) == pytest.approx(0.170, abs=5e-4)
    assert SCHEDULE.pair(-1) == (1.0, 0.0)
    with pytest.raises(ValueError, match="fall strictly"):
        Schedule(torch.tensor([0.5, 0.6], dtype=torch.float64))
    with pytest.raises(ValueError, match="float64"):
        Schedule(torch.tensor([0.6, 0.5]))


@given(st.integers(0, 999), st.sampled_from(TARGETS), st.integers(0, 2**31))
def test_conversions_invert(step: int, target: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x0, noise = torch.randn(2, 2, 3, 5, generator=generator)
    t = torch.tensor([step, 999 - step])
    noisy = add_noise(SCHEDULE, x0, noise, t)
    prediction = training_target(SCHEDULE, target, x0, noise, t)
    alpha, _ = SCHEDULE.at(t, x0)
    # Dividing by a small alpha magnifies float32 rounding, and nothing else.
    x0_error = (predicted_x0(SCHEDULE, target, prediction, noisy, t) - x0) * alpha
    assert float(x0_error.abs().max()) < 3e-6


@pytest.mark.parametrize("step", [0, 49, 500, 999])
def test_noise_has_the_scheduled_variance(step: int) -> None:
    x0 = torch.full((4, 5000, 10), 2.0)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    noisy = add_noise(SCHEDULE, x0, noise, torch.full((4,), step))
    alpha, sigma = SCHEDULE.pair(step)
    assert float(noisy.mean()) == pytest.approx(2 * alpha, abs=0.01)
    assert float(noisy.std()) == pytest.approx(sigma, rel=0.01)
    assert noisy.dtype == torch.float32


def test_each_row_has_its_own_step() -> None:
    ones, zeros = torch.ones(3, 2, 2), torch.zeros(3, 2, 2)
    noisy = add_noise(SCHEDULE, ones, zeros, torch.tensor([0, 500, 999]))
    for row, step in zip(noisy, (0, 500, 999), strict=True):
        torch.testing.assert_close(row, torch.full((2, 2), SCHEDULE.pair(step)[0]))


def test_previous_noise_follows_the_corrected_equation_nine() -> None:
    """Square root: the largest noise is 0.170, not 0.029; fifty steps, drawn per sample."""
    previous = torch.zeros(4000, 10, 8)
    noisy = previous_noise(SCHEDULE, previous, generator=torch.Generator().manual_seed(2))
    spread = noisy.std(dim=(1, 2))
    assert float(spread.max()) == pytest.approx(PREVIOUS_SIGMA, rel=0.25)
    assert float(spread.min()) < 0.015
    expected = float((1 - SCHEDULE.alpha_bar[:50]).mean().sqrt())
    assert float(noisy.std()) == pytest.approx(expected, rel=0.02)
    assert float(previous.abs().max()) == 0.0
    again = previous_noise(SCHEDULE, previous, generator=torch.Generator().manual_seed(2))
    assert torch.equal(noisy, again)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("count", [1, 2, 3, 7, 15, 25, 333, 999, 1000])
def test_grids_are_distinct_falling_and_exactly_as_long(spacing: str, count: int) -> None:
    grid = SPACINGS[spacing](SCHEDULE, count)
    assert len(grid) == count
    assert grid[0] == 999
    assert all(a > b for a, b in zip(grid, grid[1:], strict=False))
    assert grid[-1] >= 0
    assert all(isinstance(step, int) for step in grid)
    if count == 1000:
        assert grid == list(range(999, -1, -1))


def test_log_snr_grid_is_even_where_steps_are_dense() -> None:
    grid = SPACINGS["logsnr"](SCHEDULE, 15)
    assert grid[-1] == 0
    widths = SCHEDULE.log_snr[grid[:10]].diff()
    assert float(widths.max() / widths.min()) < 1.05


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 15])
def test_evaluations_and_progress_are_counted(sampler: str, spacing: str, steps: int) -> None:
    asked: list[int] = []
    reported: list[tuple[int, int]] = []

    def predict(x: Tensor, t: int) -> Tensor:
        asked.append(t)
        return 0.1 * x

    start = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    kept = start.clone()
    made = sample(
        predict,
        SCHEDULE,
        start,
        steps=steps,
        sampler=sampler,
        spacing=spacing,
        generator=torch.Generator().manual_seed(0),
        progress=lambda done, total: reported.append((done, total)),
    )
    assert asked == SPACINGS[spacing](SCHEDULE, steps)
    assert reported == [(k + 1, steps) for k in range(steps)]
    assert made.shape == start.shape and made.dtype == torch.float32
    assert torch.equal(start, kept)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_perfect_prediction_is_returned(sampler: str) -> None:
    """Whatever the path, the last step lands on the predicted clean sample without leftover noise."""
    truth = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(0))
    made = sample(
        lambda x, t: truth,
        SCHEDULE,
        torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(1)),
        steps=8,
        sampler=sampler,
        spacing="logsnr",
        generator=torch.Generator().manual_seed(2),
    )
    torch.testing.assert_close(made, truth)


@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 0.0), ("ddim", 0.7)])
def test_noise_comes_only_from_the_generator(sampler: str, eta: float) -> None:
    start = torch.randn(1, 4, 3, generator=torch.Generator().manual_seed(1))

    def run(seed: int) -> Tensor:
        torch.manual_seed(torch.randint(0, 1000, ()).item())  # the global stream is somewhere else every time
        generator = torch.Generator().manual_seed(seed)
        return sample(
            gaussian(0.5),
            SCHEDULE,
            start,
            steps=6,
            sampler=sampler,
            spacing="uniform",
            eta=eta,
            generator=generator,
        )

    assert torch.equal(run(4), run(4))
    assert not torch.equal(run(4), run(5))
    with pytest.raises(ValueError, match="Generator"):
        sample(gaussian(0.5), SCHEDULE, start, steps=6, sampler=sampler, spacing="uniform", eta=eta)


def test_wild_predictions_are_clamped() -> None:
    made = sample(
        lambda x, t: torch.full_like(x, 1e9), SCHEDULE, torch.zeros(1, 2, 2), steps=5, sampler="ddim", spacing="logsnr"
    )
    torch.testing.assert_close(made, torch.full((1, 2, 2), 6.0))
    assert torch.equal(clamp_x0(torch.tensor([-9.0, 0.5, 9.0])), torch.tensor([-6.0, 0.5, 6.0]))


def test_progress_may_cancel() -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(
            gaussian(1.0),
            SCHEDULE,
            torch.zeros(1, 1, 1),
            steps=5,
            sampler="ddim",
            spacing="uniform",
            progress=stop,
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampler": "euler"}, "ddpm, ddim, dpm"),
        ({"spacing": "karras"}, "uniform, logsnr"),
        ({"steps": 0}, "1 to 1000"),
        ({"steps": 1001}, "1 to 1000"),
        ({"eta": 1.5}, "from 0"),
    ],
)
def test_bad_options_get_a_sentence(change: dict[str, object], message: str) -> None:
    options = {"steps": 5, "sampler": "ddim", "spacing": "uniform"} | change
    with pytest.raises(UserError, match=message):
        sample(gaussian(1.0), SCHEDULE, torch.zeros(1, 1, 1), **options)  # type: ignore[arg-type]


def test_unknown_target_is_named() -> None:
    zero = torch.zeros(1, 1, 1)
    with pytest.raises(UserError, match="epsilon, x0, v"):
        training_target(SCHEDULE, "score", zero, zero, torch.zeros(1, dtype=torch.long))
