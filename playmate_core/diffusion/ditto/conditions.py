"""One row of conditions a frame: voice, emotion, eyes, face (docs/motion_models.md 5.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...values import KEYPOINTS, EmotionCurve
from ..checks import NEUTRAL, columns_by_name
from .layout import EMOTIONS
from .source import SourceFace, back_and_forth

#: Numbers of a row that are not the voice's: emotion, openings, eye balls, canonical keypoints.
FACE_CONDITIONS = len(EMOTIONS) + 2 + 6 + 3 * KEYPOINTS
#: What a chosen label weighs before the softmax.
LOGIT = 8.0


def emotion_row(labels: Sequence[int]) -> Tensor:
    """(8,) of one label, or of several in equal parts: Ditto's own numbers for them."""
    chosen = torch.zeros(len(EMOTIONS))
    chosen[list(labels)] = LOGIT
    return chosen.softmax(-1)


def in_turn(rows: Tensor, frames: Tensor) -> Tensor:
    """Emotion ``rows`` (m, 8) of a clip at its ``frames``: repeated for ever, the first one held before it."""
    return rows[frames.clamp(min=0) % len(rows)]


def for_call(rows: Tensor, frames: int) -> Tensor:
    """Emotion ``rows`` given with one call: one for all its frames, or one for each and perhaps more."""
    if len(rows) == 1:
        return rows.expand(frames, -1)
    if len(rows) < frames:
        raise ValueError(f"Got {len(rows)} rows of emotion for {frames} frames; give one, or one for each.")
    return rows[:frames]


def emotion_rows(curve: EmotionCurve) -> Tensor:
    """A curve as (T, 8): a mixture of Ditto's labels, from neutral at no intensity to the weights at full.

    Rows that ask for nothing are neutral. Raises UserError for an emotion that Ditto does not know.
    """
    labels = torch.stack([emotion_row([i]) for i in range(len(EMOTIONS))])
    weights = columns_by_name(curve, EMOTIONS)
    total = weights.sum(-1, keepdim=True)
    shares = torch.where(total > 0, weights / total.clamp(min=1e-8), torch.zeros(()))
    strength = curve.intensity[:, None] * total.clamp(max=1.0)
    neutral = labels[EMOTIONS.index(NEUTRAL)]
    return neutral + strength * (shares @ labels - neutral * shares.sum(-1, keepdim=True))


def condition_rows(audio: Tensor, emotion: Tensor, face: SourceFace, keypoints: Tensor, frames: Tensor) -> Tensor:
    """(n, D): ``audio`` (n, 1024), ``emotion`` (n, 8), the ``face``'s eyes at ``frames`` (n,), and ``keypoints``."""
    eyes = back_and_forth(frames, len(face.eyes_open))
    shape = keypoints.flatten().expand(len(audio), -1)
    return torch.cat([audio, emotion, face.eyes_open[eyes], face.eye_balls[eyes], shape], -1)
