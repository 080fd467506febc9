"""Edit an expression with the sliders of :mod:`directions`, each over a range of time with fades."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import UserError
from ..times import TimeRange
from ..values import Motion
from .directions import POSE_SLIDERS, SLIDERS, Slider, check_slider, directions, displaced


@dataclass(frozen=True)
class ExpressionEdit:
    """Sliders, by name and value, from ``start`` to before ``end`` in seconds (None: to the end of the motion).

    The fades lie inside the range: in over ``fade_in`` seconds, out over ``fade_out``, zero at ``end``. ``sliders`` are
    those of the expression and of the head (pitch, yaw, roll, in degrees).
    """

    sliders: tuple[tuple[str, float], ...]
    start: float = 0.0
    end: float | None = None
    fade_in: float = 0.2
    fade_out: float = 0.2

    def __post_init__(self) -> None:
        for name, value in self.sliders:
            check_slider(name, value, {**SLIDERS, **POSE_SLIDERS})
        names = [name for name, _ in self.sliders]
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f"An edit sets {twice[0]} twice; please give it one value.")
        if not (0.0 <= self.start < math.inf and (self.end is None or self.start < self.end)):
            end = "the end" if self.end is None else f"{self.end:g} s"
            raise UserError(
                f"An edit lasts from {self.start:g} s to {end}; please end it after it starts, from 0 s on."
            )
        if not (0.0 <= self.fade_in < math.inf and 0.0 <= self.fade_out < math.inf):
            raise UserError(f"An edit fades over {self.fade_in:g} s and {self.fade_out:g} s; please give 0 s or more.")

    def envelope(self, frames: int, fps: float) -> Tensor:
        """How far the edit acts in every frame, (T,) float64 in 0..1; see :meth:`TimeRange.envelope`."""
        return TimeRange(self.start, self.end).envelope(frames, fps, self.fade_in, self.fade_out)


def expression_edit(motion: Motion, edits: Sequence[ExpressionEdit]) -> Motion:
    """``motion`` with all edits applied; where they overlap, slider values add up and are clamped to their ranges.

    Values not affected by any slider are bit-identical. Raises UserError for a keypoint space without directions.
    """
    rows = [_row(edit, SLIDERS) for edit in edits], [_row(edit, POSE_SLIDERS) for edit in edits]
    if not any(bool(row.any()) for part in rows for row in part):
        return motion
    shares = torch.stack([edit.envelope(len(motion), motion.fps) for edit in edits], -1)  # (T, N)
    values = _within(shares @ torch.stack(rows[0]), SLIDERS)
    turns = _within(shares @ torch.stack(rows[1]), POSE_SLIDERS)
    rotation = displaced(motion.pose.rotation, turns)
    if bool(values.any()):
        offset = directions(motion.keypoint_space).offset(values)
        motion = replace(motion, expression=displaced(motion.expression, offset))
    return replace(motion, pose=replace(motion.pose, rotation=rotation))


def _row(edit: ExpressionEdit, sliders: Mapping[str, Slider]) -> Tensor:
    given = dict(edit.sliders)
    return torch.tensor([given.get(name, 0.0) for name in sliders], dtype=torch.float64)


def _within(values: Tensor, sliders: Mapping[str, Slider]) -> Tensor:
    """Values (T, S) clamped to the ranges of their sliders."""
    low = torch.tensor([slider.low for slider in sliders.values()], dtype=values.dtype)
    high = torch.tensor([slider.high for slider in sliders.values()], dtype=values.dtype)
    return values.clamp(low, high)
