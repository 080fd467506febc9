"""Classifier-free guidance over speech and emotion (Eq. 8, docs/method.md 1.10).

``e0 + w_a (e_a - e0) + w_e (e_ae - e_a)``, from exactly three conditionings: none, speech, speech and emotion. Emotion
enters after the Conformer, so the last two share its output: two Conformer rows, not three. The weights sum to one and
the conversions between epsilon, x0 and v are affine, so the formula holds for every target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .denoiser import MotionDenoiser, WindowContext
from .emotion import EmotionController
from .normalisation import MOTION_CHANNELS
from .samplers import Schedule, predicted_x0

Predict = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scales:
    """``audio`` w_a on the expression, ``pose`` w_a on the pose, ``emotion`` w_e: numbers, or tensors (W, 1)."""

    audio: float | Tensor
    pose: float | Tensor
    emotion: float | Tensor


@dataclass(frozen=True)
class EmotionCondition:
    """Emotion of a window: ``weights`` (B, W, E) over the controller's emotions, ``intensity`` (B, W)."""

    weights: Tensor
    intensity: Tensor


def guided(
    denoiser: MotionDenoiser,
    controller: EmotionController | None,
    context: WindowContext,
    emotion: EmotionCondition | None,
    scales: Scales,
) -> Predict:
    """A denoiser ``(noisy (B, W, 69), t (B,)) -> (B, W, 69)`` of the guided prediction of the target.

    Without a ``controller`` or an ``emotion`` it is stage 1 alone; the pose never depends on them. Work that is the
    same for all steps is done once, here.
    """
    prepared = denoiser.prepare(_uncond_and_cond(context))

    def predict(noisy: Tensor, t: Tensor) -> Tensor:
        uncond, cond = denoiser.run(torch.cat([noisy, noisy]), torch.cat([t, t]), prepared).chunk(2)
        pose0, pose_a = denoiser.pose_head(uncond), denoiser.pose_head(cond)
        pose = pose0 + scales.pose * (pose_a - pose0)
        if controller is None or emotion is None:
            rows = (uncond, cond, cond)
        else:
            rows = _emotion_embedding(controller, uncond, cond, t, emotion, context.valid)
        # One call per row: in a batched product rounding may depend on the row, and equal rows must give equal results.
        e0, e_a, e_ae = (denoiser.expression_head(row) for row in rows)
        expression = e0 + scales.audio * (e_a - e0) + scales.emotion * (e_ae - e_a)
        return torch.cat([expression, pose], -1)

    return predict


def as_clean(denoiser: MotionDenoiser, schedule: Schedule, predict: Predict) -> Callable[[Tensor, int], Tensor]:
    """Convert a prediction of the target to one of the clean sample, ``(noisy (B, W, 69), t) -> (B, W, 69)``, as
    samplers expect it; dead channels, on which the network was not trained, are 0."""
    like = next(denoiser.parameters())
    live = denoiser.statistics.live.to(like.device)
    dead = torch.cat([~live, torch.zeros(MOTION_CHANNELS - len(live), dtype=torch.bool, device=like.device)])

    def predict_x0(noisy: Tensor, t: int) -> Tensor:
        at = torch.full((len(noisy),), t, device=noisy.device)
        prediction = predict(noisy.to(like.dtype), at).float()
        return predicted_x0(schedule, denoiser.config.target, prediction, noisy, at).masked_fill(dead, 0.0)

    return predict_x0


def _emotion_embedding(
    controller: EmotionController, uncond: Tensor, cond: Tensor, t: Tensor, emotion: EmotionCondition, valid: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The controller's output for three conditionings: none, speech, speech and emotion."""
    null = torch.tensor([True, True, False], device=cond.device).repeat_interleave(len(cond))
    embedding = controller(
        torch.cat([uncond, cond, cond]),
        t.repeat(3),
        emotion.weights.repeat(3, 1, 1),
        emotion.intensity.repeat(3, 1),
        null,
        valid.repeat(3, 1),
    )
    first, second, third = embedding.chunk(3)
    return first, second, third


def _uncond_and_cond(context: WindowContext) -> WindowContext:
    """The batch twice: first without, then with the current audio."""
    doubled = {name: torch.cat([value, value]) for name, value in vars(context).items()}
    cond = context.drop_audio
    return replace(context, **doubled | {"drop_audio": torch.cat([torch.ones_like(cond), cond])})
