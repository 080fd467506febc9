"""Eye openings and gaze from 478 points of a face mesh (docs/motion_models.md 5.3).

Points are in units of the picture's width and height, with depth: x and y from 0 to 1, z as returned by MediaPipe.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EYE_EPSILON = 1e-8


@dataclass(frozen=True)
class EyePoints:
    """Indices of one eye: pairs of ``lids``, the ``outer`` and ``inner`` corner, the ``iris``."""

    lids: tuple[tuple[int, int], ...]
    outer: int
    inner: int
    iris: int


LEFT = EyePoints(((145, 159), (144, 160), (153, 158)), 33, 133, 468)
RIGHT = EyePoints(((374, 386), (373, 387), (380, 385)), 263, 362, 473)


def eye_features(points: Tensor) -> tuple[Tensor, Tensor]:
    """Openings (S, 2), left and right, and eye balls (S, 6): x_left, x_right, y_left ... of ``points`` (S, 478, 3)."""
    openings = torch.stack([_opening(points, eye) for eye in (LEFT, RIGHT)], -1)
    balls = torch.stack([_ball(points, eye) for eye in (LEFT, RIGHT)], -1)
    return openings, balls.flatten(1)


def _opening(points: Tensor, eye: EyePoints) -> Tensor:
    lids = sum((points[:, a] - points[:, b]).norm(dim=-1) for a, b in eye.lids)
    return lids / ((points[:, eye.outer] - points[:, eye.inner]).norm(dim=-1) + EYE_EPSILON)


def _ball(points: Tensor, eye: EyePoints) -> Tensor:
    outer, inner, iris = points[:, eye.outer], points[:, eye.inner], points[:, eye.iris]
    look = iris - (outer + inner) / 2
    distance = look.norm(dim=-1, keepdim=True)
    across = outer - inner
    return (look / (distance + EYE_EPSILON) - across / (across.norm(dim=-1, keepdim=True) + EYE_EPSILON)) * distance
