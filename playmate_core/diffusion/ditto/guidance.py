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
    """A denoiser ``(noisy (1, W, C), t) -> (1, W, C)`` of the clean window.

    ``condition`` (W, D) rows; ``frame`` (C,) the motion before the window, an input of the unconditional prediction
    too; ``scale`` a number, or (W, C): 1 is no guidance and needs one evaluation.
    """
    tokens, vector = network.embed_condition(condition[None])
    if not is_alone(scale):
        null_tokens, null_vector = network.null_condition(1)
        tokens, vector = torch.cat([null_tokens, tokens]), torch.cat([null_vector, vector])
    rows = len(tokens)

    def predict(noisy: Tensor, t: int) -> Tensor:
        steps = torch.full((rows,), t, device=noisy.device)
        made = network(noisy.to(frame).expand(rows, -1, -1), frame.expand(rows, -1), (tokens, vector), steps).float()
        return steered(made, scale)

    return predict
