"""Ditto's condition rows, one per frame: speech, emotion, eyes, face (docs/motion_models.md 5.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...values import KEYPOINTS, EmotionCurve
from ..checks import NEUTRAL, columns_by_name
from .layout import DITTO_EMOTIONS
from .source import SourceFace, back_and_forth

#: Width of a row without the audio features: emotion, eye openings, eye balls, canonical keypoints.
FACE_CONDITIONS = len(DITTO_EMOTIONS) + 2 + 6 + 3 * KEYPOINTS
#: Logit of a chosen label before the softmax.
LOGIT = 8.0


def emotion_row(labels: Sequence[int]) -> Tensor:
    """Ditto's emotion vector (8,) for one label, or for several in equal parts."""
    chosen = torch.zeros(len(DITTO_EMOTIONS))
    chosen[list(labels)] = LOGIT
    return chosen.softmax(-1)


def in_turn(rows: Tensor, frames: Tensor) -> Tensor:
    """Emotion ``rows`` (m, 8) of a clip at its ``frames``: repeated cyclically, the first one held before it."""
    return rows[frames.clamp(min=0) % len(rows)]


def for_call(rows: Tensor, frames: int) -> Tensor:
    """Emotion ``rows`` for one call: a single row for all its frames, or at least one per frame."""
    if len(rows) == 1:
        return rows.expand(frames, -1)
    if len(rows) < frames:
        raise ValueError(f"Got {len(rows)} rows of emotion for {frames} frames; give one, or one for each.")
    return rows[:frames]


def emotion_rows(curve: EmotionCurve) -> Tensor:
    """A curve as (T, 8): Ditto's labels blended from neutral at intensity 0 to the weights at intensity 1.

    Rows without weights are neutral. Raises UserError for an emotion unknown to Ditto.
    """
    labels = torch.stack([emotion_row([i]) for i in range(len(DITTO_EMOTIONS))])
    weights = columns_by_name(curve, DITTO_EMOTIONS)
    total = weights.sum(-1, keepdim=True)
    shares = torch.where(total > 0, weights / total.clamp(min=1e-8), torch.zeros(()))
    strength = curve.intensity[:, None] * total.clamp(max=1.0)
    neutral = labels[DITTO_EMOTIONS.index(NEUTRAL)]
    return neutral + strength * (shares @ labels - neutral * shares.sum(-1, keepdim=True))


def condition_rows(audio: Tensor, emotion: Tensor, face: SourceFace, keypoints: Tensor, frames: Tensor) -> Tensor:
    """Condition rows (n, D): ``audio`` (n, 1024), ``emotion`` (n, 8), the eyes of ``face`` at ``frames`` (n,), and
    ``keypoints``."""
    eyes = back_and_forth(frames, len(face.eyes_open))
    shape = keypoints.flatten().expand(len(audio), -1)
    return torch.cat([audio, emotion, face.eyes_open[eyes], face.eye_balls[eyes], shape], -1)
