"""JoyVASA's published training objective, for whoever trains its network on (docs/motion_models.md 4.9).

Means of squared errors over the frames that were not cut off, in normalised units.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from playmate_core.diffusion.normalisation import EXPRESSION_CHANNELS

#: Frames on each side of the seam between two clips.
SEAM = 3


@dataclass(frozen=True)
class MotionLosses:
    """Scalars; ``transition`` is None where no frames come before. Their published weights are :data:`WEIGHTS`."""

    simple: Tensor
    expression: Tensor
    expression_velocity: Tensor
    expression_smoothness: Tensor
    head: Tensor
    head_velocity: Tensor
    head_smoothness: Tensor
    head_transition: Tensor | None

    def weighted(self) -> Tensor:
        """Their sum under the published weights."""
        terms = ((getattr(self, field.name), WEIGHTS[field.name]) for field in fields(self))
        return torch.stack([weight * term for term, weight in terms if term is not None]).sum()


WEIGHTS = {
    "simple": 1.0,
    "expression": 0.1,
    "expression_velocity": 1e-4,
    "expression_smoothness": 1e-4,
    "head": 1e-2,
    "head_velocity": 1e-2,
    "head_smoothness": 1e-2,
    "head_transition": 1e-2,
}


def motion_losses(
    truth: Tensor, predicted: Tensor, previous: Tensor | None = None, valid: Tensor | None = None
) -> MotionLosses:
    """``truth`` (B, W, C), ``predicted`` (B, P + W, C) of previous and current frames, ``previous`` (B, P, C) true.

    Without a ``previous`` the first P predictions are compared with nothing. ``valid`` (B,) frames of the window count.
    """
    window = truth.shape[1]
    counts = torch.arange(window, device=truth.device) < (valid[:, None] if valid is not None else window)
    kept = counts.expand(len(truth), -1)
    transition = None
    made = predicted[:, -window:]
    if previous is not None:
        seam = torch.cat([previous[:, -SEAM:], made[:, :SEAM]], 1)[..., EXPRESSION_CHANNELS:].diff(dim=1).diff(dim=1)
        transition = seam[:, 1:3].square().mean() + seam.diff(dim=1).square().mean()
        truth, made = torch.cat([previous, truth], 1), predicted
        kept = torch.cat([kept.new_ones(len(kept), previous.shape[1]), kept], 1)
    face = _part(truth[..., :EXPRESSION_CHANNELS], made[..., :EXPRESSION_CHANNELS], kept)
    head = _part(truth[..., EXPRESSION_CHANNELS:], made[..., EXPRESSION_CHANNELS:], kept)
    return MotionLosses((truth - made)[kept].square().mean(), *face, *head, transition)


def _part(truth: Tensor, made: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value, velocity against the truth's, and change of the predicted velocity."""
    pace = made.diff(dim=1)
    return (
        (truth - made)[kept].square().mean(),
        (truth.diff(dim=1) - pace)[kept[:, 1:]].square().mean(),
        pace.diff(dim=1)[kept[:, 2:]].square().mean(),
    )
