"""Limit how far the lips part or close from one frame to the next (docs/method.md 1.17)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..values import LIP_KEYPOINTS, LOWER_LIP, UPPER_LIP

_LIPS = list(LIP_KEYPOINTS)


def limit_lip_step(expression: Tensor, before: Tensor | None, limit: float) -> Tensor:
    """``expression`` (T, K, 3) whose lip opening changes by at most ``limit`` canonical units within one frame.

    ``before`` (K, 3) is the frame that precedes it, None for the first one of a motion. Where the lips move faster,
    they go the allowed share of the way, all lip points together, and never past where they were to go. A limit of 0
    is none. Frames before the first one that is too fast keep every bit. Each frame depends on earlier ones alone, so
    a motion may come in pieces.
    """
    frames = expression if before is None else torch.cat([before[None].to(expression), expression])
    if limit == 0.0 or not bool((_opening(frames).diff().abs() > limit).any()):
        return expression
    limited = frames.clone()
    for now in range(1, len(limited)):
        step = float(_opening(limited[now]) - _opening(limited[now - 1]))
        if abs(step) > limit:
            start = limited[now - 1, _LIPS]
            limited[now, _LIPS] = start + (limited[now, _LIPS] - start) * (limit / abs(step))
    return limited[len(limited) - len(expression) :]


def _opening(points: Tensor) -> Tensor:
    """Lower minus upper lip, y down: (..., K, 3) -> (...)."""
    return points[..., LOWER_LIP, 1] - points[..., UPPER_LIP, 1]
