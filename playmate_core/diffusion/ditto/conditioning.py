"""The face Ditto is conditioned on, and the requested emotions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...values import Motion, Pose
from ..request import GenerationRequest
from .conditions import emotion_row, emotion_rows, for_call
from .layout import DITTO_EMOTIONS, BinnedMotion
from .source import SourceFace, smoothed


@dataclass(frozen=True)
class Conditioned:
    """``face`` provides the eyes, ``keypoints`` (K, 3) the shape, ``numbers`` (265,) the frame before the first
    window."""

    face: SourceFace
    keypoints: Tensor
    numbers: Tensor

    @staticmethod
    def of(face: SourceFace) -> Conditioned:
        """From a face of one frame, or of a video, whose motion is averaged; keypoints are those of its first frame."""
        calm = smoothed(face) if len(face) > 1 else face
        return Conditioned(face, face.keypoints[0], calm.motion.numbers[0])


def continued(base: Conditioned, previous: Motion, rest: Motion) -> Conditioned:
    """``base`` displaced by the difference between one ``previous`` frame of a portrait and its ``rest``."""
    own = BinnedMotion.of(base.numbers[None]).in_degrees()
    pose, now, still = own.pose, previous.pose, rest.pose
    moved = Pose(
        pose.rotation + now.rotation - still.rotation,
        pose.translation + now.translation - still.translation,
        pose.scale * (now.scale / still.scale),
    )
    expression = own.expression + previous.expression - rest.expression
    return replace(base, numbers=BinnedMotion.in_bins(Motion(moved, expression)).numbers[0])


def requested_emotions(request: GenerationRequest, otherwise: Tensor | None, frames: int) -> Tensor:
    """Emotion rows of a request for ``frames`` frames, (T, 8), its last one held beyond its end.

    Without an emotion ``otherwise`` (m, 8), which is repeated, or neutral if that is None too.
    """
    curve = request.emotion
    if curve is not None and bool((curve.weights != 0).any()):
        rows = emotion_rows(curve)
        return for_call(torch.cat([rows, rows[-1:].expand(max(frames - len(rows), 0), -1)]), frames)
    return for_call(emotion_row([DITTO_EMOTIONS.index("neutral")])[None], frames) if otherwise is None else otherwise
