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
    """A denoiser ``(noisy (B, W, C), t from 0) -> (B, W, C)`` of the clean windows of B takes.

    ``audio`` (B, W, d) mapped features; ``past`` (B, P, C) and ``past_audio`` (B, P, d) of the windows before, inputs
    of the unconditional prediction too; of one take also without B. ``scale`` a number, or (W, C): 1 is no guidance and
    needs one evaluation.
    """
    audio, past, past_audio = (part if part.ndim == 3 else part[None] for part in (audio, past, past_audio))
    takes, times = len(audio), 1 if is_alone(scale) else 2
    batch = audio if times == 1 else torch.cat([network.null_audio_feat.expand_as(audio), audio])
    before, before_audio = (part.expand(takes, -1, -1).repeat(times, 1, 1) for part in (past, past_audio))

    def predict(noisy: Tensor, t: int) -> Tensor:
        steps = torch.full((len(batch),), t + 1, device=noisy.device)
        made = network(noisy.to(audio).repeat(times, 1, 1), batch, before, before_audio, steps, positions)
        return steered(made[:, past.shape[1] :].float(), takes, scale)

    return predict
