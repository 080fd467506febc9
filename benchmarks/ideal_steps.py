"""How few steps do for each generator's schedule, on the one denoiser that is known exactly.

    python -m benchmarks.ideal_steps

For Gaussian data of variance v the best denoiser is ``x0 = v sqrt(abar) / (v abar + 1 - abar) x``, so a deterministic
sampler is a recursion of scalars and its error is the sampler's alone, no network's. The distance is the difference to
the many-step result from the same noise, as a share of that result's own deviation, at the worst of VARIANCES. It is
told for two of them: every step of the model's own schedule with the same sampler, which is the most that a user of the
model can ask for, and infinitely many steps, whose result is known exactly. What a trained network adds is not known.
Last come the seconds of a step for full-size networks, which hold for trained weights as well.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.clock import alternate
from benchmarks.generator_steps import MAKERS, full_size
from playmate_core.diffusion.ditto.config import STEPS as DITTO_STEPS
from playmate_core.diffusion.ditto.schedule import cosine_schedule as ditto_schedule
from playmate_core.diffusion.joyvasa.config import STEPS as JOYVASA_STEPS
from playmate_core.diffusion.joyvasa.schedule import cosine_schedule as joyvasa_schedule
from playmate_core.diffusion.samplers import sample
from playmate_core.diffusion.schedule import Schedule

SCHEDULES = {
    "playmate": Schedule.linear(),
    "joyvasa": joyvasa_schedule(JOYVASA_STEPS),
    "ditto": ditto_schedule(DITTO_STEPS),
}
#: Standardised coordinates have 1; what moves less than the usual, such as lids or a calm head, has less.
VARIANCES = (1.0, 0.3, 0.1, 0.03, 0.01)
SAMPLERS = (("ddim", "uniform"), ("ddim", "truncated"), ("dpm++2m", "logsnr"))
SHOWN = (5, 10, 15, 20, 30, 40, 50, 100)
#: Numbers of steps among which the fewest are sought.
COUNTS = (*range(5, 61), 70, 80, 90, 100, 200, 500)
#: Share of the motion's own deviation below which two results count as one.
NEAR = 0.01


def made(schedule: Schedule, sampler: str, spacing: str, steps: int) -> Tensor:
    """What becomes of noise 1 in data of each of VARIANCES: (V,)."""
    variance = torch.tensor(VARIANCES, dtype=torch.float64)

    def predict(noisy: Tensor, t: int) -> Tensor:
        kept = schedule.alpha_bar[t].double()
        return noisy * variance * kept.sqrt() / (variance * kept + 1 - kept)

    noise = torch.ones(1, 1, len(VARIANCES), dtype=torch.float64)
    return sample(predict, schedule, noise, steps=steps, sampler=sampler, spacing=spacing, limit=math.inf)[0, 0]


def infinitely_many(schedule: Schedule) -> Tensor:
    """What noise 1 becomes when the probability flow is integrated exactly: (V,)."""
    variance, noisiest = torch.tensor(VARIANCES, dtype=torch.float64), schedule.alpha_bar[-1]
    return variance.sqrt() / (variance * noisiest + 1 - noisiest).sqrt()


def distances(name: str, sampler: str, spacing: str, wanted: Tensor | None = None) -> dict[int, float]:
    """By steps: how far a sampler is from ``wanted`` (V,) at the worst variance; None is all steps of the schedule."""
    schedule = SCHEDULES[name]
    if wanted is None:
        wanted = made(schedule, sampler, spacing, len(schedule))
    steps = {*(n for n in COUNTS if n < len(schedule)), len(schedule)}
    return {n: float(((made(schedule, sampler, spacing, n) - wanted) / wanted).abs().max()) for n in sorted(steps)}


def fewest(found: dict[int, float]) -> int:
    """The fewest steps from which on the distance stays below NEAR, 0 where it never does."""
    good = 0
    for steps in sorted(found, reverse=True):
        if found[steps] >= NEAR:
            break
        good = steps
    return good


def table(exact: bool) -> list[str]:
    """Distances to infinitely many steps where ``exact``, else to all steps of the model's schedule."""
    lines = [
        f"| model | sampler (spacing) | {' | '.join(map(str, SHOWN))} | fewest |",
        "|" + " --- |" * (3 + len(SHOWN)),
    ]
    for name, schedule in SCHEDULES.items():
        for sampler, spacing in SAMPLERS:
            found = distances(name, sampler, spacing, infinitely_many(schedule) if exact else None)
            row = [f"{100 * found[n]:.2f} %" if n in found else "-" for n in SHOWN]
            lines.append(f"| {name} | {sampler} ({spacing}) | {' | '.join(row)} | {fewest(found) or 'none'} |")
    return lines


def step_times() -> list[str]:
    """Processor seconds of one guided step of one window, on networks of the published size: the median of nine."""
    lines = ["| model | frames a window | seconds a step |", "| --- | --- | --- |"]
    ready = {name: MAKERS[name](network) for name, network in full_size().items()}

    def step_of(name: str) -> Callable[[int], None]:
        predict, _, shape = ready[name]
        noisy = torch.randn(1, *shape)
        return lambda turn: [predict(noisy, turn)].clear()

    with torch.inference_mode():
        taken = alternate({name: step_of(name) for name in ready}, 9)
    return [*lines, *(f"| {name} | {ready[name][2][0]} | {taken[name].median:.2f} |" for name in ready)]


def main() -> None:
    parts = ["Every step of the schedule:", *table(exact=False), "Infinitely many:", *table(exact=True), *step_times()]
    sys.stdout.write("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
