"""The interface of motion generators, and the request they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ..speech import AudioEncoder
from ..values import AudioFeatures, EmotionCurve, Motion, Pose
from .options import SamplingOptions


@dataclass(frozen=True)
class PortraitDetails:
    """Optional inputs of some generators about a portrait, S frames each; None where not measured.

    ``angle_logits`` (S, 3, 66) of pitch, yaw, roll; ``eyes_open`` (S, 2) and ``eye_balls`` (S, 6) of
    :func:`ditto.eyes.eye_features`.
    """

    angle_logits: Tensor | None = None
    eyes_open: Tensor | None = None
    eye_balls: Tensor | None = None


@dataclass(frozen=True)
class GenerationRequest:
    """One clip to be generated.

    ``portrait_keypoints`` (K, 3) canonical and ``rest``, one frame, are the portrait. ``audio`` are the features of the
    encoder that the generator was trained on. Without an ``emotion``, or with weights that are all zero, the emotion is
    not controlled. ``options`` None are the generator's own defaults. ``previous`` is a motion to continue (its audio
    is assumed to be silent). ``details`` are used by generators that are conditioned on them.
    """

    portrait_keypoints: Tensor
    rest: Motion
    audio: AudioFeatures
    emotion: EmotionCurve | None = None
    options: SamplingOptions | None = None
    previous: Motion | None = None
    details: PortraitDetails | None = None


class MotionGenerator(Protocol):
    """A model that generates motion from speech and a portrait.

    ``keypoint_space`` is the keypoint space of its motion. ``defaults`` are the sampling options it was published
    with, ``emotions`` the names it supports (empty: no emotion control). ``modules`` are its networks, to be moved to a
    device by the caller; a generator computes on their device.
    """

    @property
    def name(self) -> str: ...
    @property
    def keypoint_space(self) -> str: ...
    @property
    def defaults(self) -> SamplingOptions: ...
    @property
    def emotions(self) -> tuple[str, ...]: ...
    @property
    def modules(self) -> tuple[nn.Module, ...]: ...

    def encoder(self, source: str | Path | None = None, device: str | torch.device = "cpu") -> AudioEncoder:
        """The audio encoder of this generator; ``source`` is a folder or file with the encoder's weights."""
        ...

    def iterate(
        self, request: GenerationRequest, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Motion]:
        """The motion piece by piece, in constant memory, one frame for each frame of audio.

        Everything is checked, and UserError raised, before it returns. ``progress(step, total)`` counts network
        evaluations and may raise to cancel. The same seed gives the same motion.
        """
        ...

    def generate(self, request: GenerationRequest, progress: Callable[[int, int], None] | None = None) -> Motion:
        """All pieces of :meth:`iterate` as one motion."""
        ...


def joined(pieces: Sequence[Motion]) -> Motion:
    """The pieces of :meth:`MotionGenerator.iterate` as one motion."""
    rotation, translation, scale = (
        torch.cat([getattr(m.pose, part) for m in pieces]) for part in ("rotation", "translation", "scale")
    )
    pose = Pose(rotation, translation, scale, pieces[0].fps)
    return Motion(pose, torch.cat([m.expression for m in pieces]), pieces[0].keypoint_space, pieces[0].origin)
