"""Classifier-free guidance over all of Ditto's conditions at once (docs/motion_models.md 5.5)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..one_condition import is_alone, steered
from .network import DittoNetwork


def guided(
    network: DittoNetwork, condition: Tensor, frame: Tensor, scale: float | Tensor
) -> Callable[[Tensor, int], Tensor]:
    """A denoiser ``(noisy (B, W, C), t) -> (B, W, C)`` of the clean windows of B takes.

    ``condition`` (B, W, D) rows; ``frame`` (B, C) the motion before each window, an input of the unconditional
    prediction too; of one take also without B. ``scale`` a number, or (W, C): 1 is no guidance and needs one
    evaluation.
    """
    condition = condition if condition.ndim == 3 else condition[None]
    takes, times = len(condition), 1 if is_alone(scale) else 2
    before = (frame if frame.ndim == 2 else frame[None]).repeat(times, 1)
    tokens, vector = network.embed_condition(condition)
    if times == 2:
        null_tokens, null_vector = network.null_condition(takes)
        tokens, vector = torch.cat([null_tokens, tokens]), torch.cat([null_vector, vector])

    def predict(noisy: Tensor, t: int) -> Tensor:
        steps = torch.full((len(tokens),), t, device=noisy.device)
        made = network(noisy.to(frame).repeat(times, 1, 1), before, (tokens, vector), steps).float()
        return steered(made, takes, scale)

    return predict
