"""What a plot of a motion marks: times that a person names, and frames where the motion jumps."""

from __future__ import annotations

import torch

from ..times import read_time
from ..values import FPS, Motion

#: No mark.
NO_MARKS = "none"
#: A frame jumps where its step differs from those beside it by this many times the usual difference, and by as many
#: units at least: less is not seen.
_TIMES, _LEAST = 12.0, 0.01
#: Degrees that weigh as much as a unit of expression.
_DEGREES = 60.0


def read_marks(text: str, fps: float = FPS) -> tuple[float, ...]:
    """Seconds of "1.5, 0:03, 50f", rising or not; "none" is no mark. Raises UserError for anything else."""
    return () if text.strip().lower() == NO_MARKS else tuple(read_time(part, fps) for part in text.split(","))


def jumps(motion: Motion) -> list[int]:
    """The frames at which the motion jumps away from the frame before and goes on from there, as at a bad joint."""
    if len(motion) < 5:
        return []
    track = torch.cat([motion.expression.flatten(1), motion.pose.rotation / _DEGREES, motion.pose.translation], 1)
    step = track.double().diff(dim=0)  # (T - 1, N)
    size = step.norm(dim=-1)
    beside = torch.minimum(size, torch.cat([size[1:], size[-1:]]).maximum(torch.cat([size[:1], size[:-1]])))
    alone = size - beside
    least = max(_TIMES * float(size.median()), _LEAST)
    return [frame + 1 for frame in (alone > least).nonzero()[:, 0].tolist()]
