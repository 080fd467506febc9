"""What is to be moved, to which speech, how: everything a motion generator is asked with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..values import AudioFeatures, EmotionCurve, Motion
from .options import SamplingOptions


@dataclass(frozen=True)
class GenerationRequest:
    """One clip to be generated.

    ``portrait_keypoints`` (K, 3) canonical and ``rest``, one frame, are the portrait. ``audio`` are the features of the
    encoder that the generator was trained on. Without an ``emotion``, or with weights that are all zero, the voice
    alone decides. ``options`` None are the generator's own defaults. ``previous`` is a motion to continue (its voice is
    taken for silent).
    """

    portrait_keypoints: Tensor
    rest: Motion
    audio: AudioFeatures
    emotion: EmotionCurve | None = None
    options: SamplingOptions | None = None
    previous: Motion | None = None
