"""How few steps do for each generator's schedule, on the one denoiser that is known exactly.

    python -m benchmarks.ideal_steps

For Gaussian data of variance v the best denoiser is ``x0 = v sqrt(abar) / (v abar + 1 - abar) x``, so a deterministic
sampler is a recursion of scalars and its error is the sampler's alone, no network's. The distance is the difference to
the result of infinitely many steps from the same noise, which is known too, as a share of that result's own deviation,
at the worst of VARIANCES. What a trained network adds to it is not known.
"""

from __future__ import annotations

import math
import sys

import torch
from torch import Tensor

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
STEPS = (5, 10, 15, 20, 30, 50, 100)
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


def distances(name: str, sampler: str, spacing: str) -> dict[int, float]:
    """By steps: how far a sampler is from the result of infinitely many steps, at the worst variance."""
    schedule = SCHEDULES[name]
    variance, noisiest = torch.tensor(VARIANCES, dtype=torch.float64), schedule.alpha_bar[-1]
    wanted = variance.sqrt() / (variance * noisiest + 1 - noisiest).sqrt()  # the probability flow, integrated
    steps = [n for n in STEPS if n <= len(schedule)]
    return {n: float(((made(schedule, sampler, spacing, n) - wanted) / wanted).abs().max()) for n in steps}


def fewest(found: dict[int, float]) -> int:
    """The fewest steps from which on the distance stays below NEAR, 0 where it never does."""
    good = 0
    for steps in sorted(found, reverse=True):
        if found[steps] >= NEAR:
            break
        good = steps
    return good


def main() -> None:
    lines = [
        f"| model | sampler (spacing) | {' | '.join(map(str, STEPS))} | fewest |",
        "|" + " --- |" * (3 + len(STEPS)),
    ]
    for name in SCHEDULES:
        for sampler, spacing in SAMPLERS:
            found = distances(name, sampler, spacing)
            row = [f"{100 * found[n]:.2f} %" if n in found else "-" for n in STEPS]
            lines.append(f"| {name} | {sampler} ({spacing}) | {' | '.join(row)} | {fewest(found) or 'none'} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
