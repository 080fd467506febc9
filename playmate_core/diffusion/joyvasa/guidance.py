"""Classifier-free guidance over JoyVASA's one condition, the audio (docs/motion_models.md 4.4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..one_condition import is_alone, steered
from .network import JoyVasaNetwork


def guided(
    network: JoyVasaNetwork, audio: Tensor, past: Tensor, past_audio: Tensor, scale: float | Tensor, positions: str
) -> Callable[[Tensor, int], Tensor]:
    """A denoiser ``(noisy (1, W, C), t from 0) -> (1, W, C)`` of the clean window.

    ``audio`` (W, d) mapped features; ``past`` (P, C) and ``past_audio`` (P, d) of the window before, inputs of the
    unconditional prediction too; ``scale`` a number, or (W, C): 1 is no guidance and needs one evaluation.
    """
    batch = audio[None] if is_alone(scale) else torch.stack([network.null_audio_feat[0].expand_as(audio), audio])
    rows = len(batch)
    before, before_audio = past.expand(rows, -1, -1), past_audio.expand(rows, -1, -1)

    def predict(noisy: Tensor, t: int) -> Tensor:
        steps = torch.full((rows,), t + 1, device=noisy.device)
        made = network(noisy.to(audio).expand(rows, -1, -1), batch, before, before_audio, steps, positions)
        return steered(made[:, len(past) :].float(), scale)

    return predict
