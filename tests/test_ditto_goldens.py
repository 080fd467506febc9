"""Ditto's generator is the reference's: every golden case of ../shared/parity, if there."""

from __future__ import annotations

import math

import pytest
import torch
from motion_goldens import MotionGolden, needs, outputs_left

from playmate_core.diffusion.ditto.config import STEPS, DittoConfig
from playmate_core.diffusion.ditto.guidance import guided
from playmate_core.diffusion.ditto.network import DittoNetwork, step_embedding
from playmate_core.diffusion.ditto.rotary import rotated
from playmate_core.diffusion.ditto.schedule import cosine_schedule
from playmate_core.diffusion.samplers import CLEAN, ddim_factors, predicted_noise, sample, truncated_steps

pytestmark = needs("ditto")
SCHEDULE = cosine_schedule(STEPS)


@pytest.fixture(scope="module")
def golden() -> MotionGolden:
    return MotionGolden("ditto")


@pytest.fixture(scope="module")
def network(golden: MotionGolden) -> DittoNetwork:
    shapes = {key: tuple(shape) for key, shape in golden.facts["state_dict"]["parameters"].items()}
    net = golden.filled(DittoNetwork(DittoConfig.of(shapes)))
    golden.check_fill(net)
    return net


def test_the_schedule(golden: MotionGolden) -> None:
    bar = SCHEDULE.alpha_bar.float()  # as the tables are kept
    golden.check("schedule/alphas_cumprod", bar)
    golden.check("schedule/sqrt_recip1m_alphas_cumprod", (1 / (1 - bar)).sqrt())
    golden.check("schedule/sqrt_recipm1_alphas_cumprod", (1 / bar - 1).sqrt())


def test_steps_and_their_factors(golden: MotionGolden) -> None:
    for case in golden.names(r"ddim/\d+"):
        grid = [*truncated_steps(SCHEDULE, int(case.split("/")[1])), CLEAN]
        pairs = list(zip(grid, grid[1:], strict=False))
        golden.check(f"{case}/pairs", torch.tensor(pairs))
        factors = torch.tensor([ddim_factors(SCHEDULE, *pair, eta=1.0) for pair in pairs[:-1]])
        for name, column in zip(("x0_factor", "eps_factor", "noise_factor"), factors.T, strict=True):
            golden.check(f"{case}/{name}", column)


def test_rotary_positions_and_the_step(golden: MotionGolden, network: DittoNetwork) -> None:
    golden.check("rotary/out", rotated(golden("rotary/in")))
    golden.check("time/embedding", step_embedding(golden("time/steps"), network.config.width))
    golden.check("time/hidden", network.hidden(golden("time/steps")))


def test_one_call_of_the_denoiser(golden: MotionGolden, network: DittoNetwork) -> None:
    x, frame, cond, steps = golden.group("dec", "x", "cond_frame", "cond", "steps")
    heard = network(x, frame, network.heard(cond), steps)
    unheard = network(x, frame, network.unheard(len(x)), steps)
    made = unheard + 2 * (heard - unheard)
    golden.check("dec/conditional", heard)
    golden.check("dec/unconditional", unheard)
    golden.check("dec/guided", made)
    golden.check("dec/eps", predicted_noise(SCHEDULE, "x0", made, x, steps))


def test_guided_sampling(golden: MotionGolden, network: DittoNetwork) -> None:
    names = [n for n in golden.cases["ddim_run"]["tensors"] if "/noise_" in n]
    drawn = iter([golden(name) for name in sorted(names)])
    scale = float(golden.cases["ddim_run"]["what"].split("guidance ")[1].split(",")[0])
    made = sample(
        guided(network, golden("dec/cond")[0], golden("dec/cond_frame")[0], scale),
        SCHEDULE,
        golden("ddim_run/x_T"),
        steps=len(names) + 1,
        sampler="ddim",
        spacing="truncated",
        eta=1.0,
        generator=lambda like: next(drawn),
        limit=math.inf,
    )
    golden.check("ddim_run/out", made)


def test_nothing_was_left_out(golden: MotionGolden) -> None:
    """Run after the others: every expected number was compared, and every case of the file has its test."""
    if len(outputs_left(golden)) > len(golden.about) // 4:
        pytest.skip("only some of the cases were run")
    assert outputs_left(golden) == []
