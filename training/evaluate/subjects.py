"""Held-out clips as the system meets them, one still frame and a voice; the truth stays beside them for metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from playmate_core.diffusion.denoiser import MotionDenoiser
from playmate_core.diffusion.emotion import EmotionController
from playmate_core.diffusion.generate import PlaymateGenerator, SamplingOptions
from playmate_core.diffusion.request import GenerationRequest, joined
from playmate_core.diffusion.windows import WindowPlan
from playmate_core.errors import UserError
from playmate_core.speech import make_encoder
from playmate_core.values import AudioFeatures, EmotionCurve, Motion
from training.data import SyntheticClip, load_synthetic_clips
from training.synthetic.rig import lip_aperture


@dataclass(frozen=True)
class Subject:
    """One held-out clip: what may be seen (features, canonical keypoints, the first frame) and the truth."""

    clip: SyntheticClip
    audio: AudioFeatures

    @cached_property
    def aperture(self) -> Tensor:
        """True lip aperture (T,)."""
        return self.lips(self.clip.motion)

    @property
    def rest(self) -> Motion:
        """The still a user would give: the clip's first frame."""
        return self.clip.motion[0:1]

    def lips(self, motion: Motion) -> Tensor:
        """Lip aperture of a motion of this person, pose removed -> (T,)."""
        return lip_aperture(motion.expression)


@dataclass(frozen=True)
class Take:
    """One motion to be generated: a subject's voice, or ``audio``, with an emotion or without (the controller is off).

    Without a ``seed`` that of the sampling options is used.
    """

    subject: Subject
    emotion: str | None = None
    intensity: float = 1.0
    seed: int | None = None
    audio: AudioFeatures | None = None

    @property
    def voice(self) -> AudioFeatures:
        return self.subject.audio if self.audio is None else self.audio


@dataclass(frozen=True)
class System:
    """The trained motion model: base, emotion controller (or none), and how to sample."""

    denoiser: MotionDenoiser
    controller: EmotionController | None
    options: SamplingOptions

    def speak(self, subject: Subject, emotion: str | None = None, intensity: float = 1.0, **changes: Any) -> Motion:
        """Generate for a subject's voice; ``changes`` replace sampling options."""
        return self.perform([Take(subject, emotion, intensity)], **changes)[0]

    def perform(self, takes: Sequence[Take], **changes: Any) -> list[Motion]:
        """Generate every take; those of as many windows are sampled as one batch, which is what a GPU is fast at.

        ``changes`` replace sampling options. A take comes out as it does alone, but for rounding.
        """
        options = replace(self.options, **changes)
        generator = PlaymateGenerator(self.denoiser, self.controller)
        windows: dict[int, list[int]] = {}
        for index, take in enumerate(takes):
            plan = WindowPlan(len(take.voice), self.denoiser.config.window, options.overlap)
            windows.setdefault(plan.count, []).append(index)
        made: dict[int, Motion] = {}
        for alike in windows.values():
            pieces = generator.iterate_together([_request(takes[index], options) for index in alike])
            made |= {index: joined(parts) for index, parts in zip(alike, pieces, strict=True)}
        return [made[index] for index in range(len(takes))]


def _request(take: Take, options: SamplingOptions) -> GenerationRequest:
    audio, subject = take.voice, take.subject
    curve = EmotionCurve.constant(take.emotion, take.intensity, len(audio)) if take.emotion else None
    own = options if take.seed is None else replace(options, seed=take.seed)
    return GenerationRequest(subject.clip.keypoints, subject.rest, audio, curve, own)


def load_subjects(corpus: Path, encoder: str, count: int, split: str = "test") -> list[Subject]:
    """The first ``count`` clips of a split with speech, encoded once. Raises UserError where there are none."""
    listener = make_encoder(encoder)
    subjects = []
    for clip in load_synthetic_clips(corpus, split):
        if len(clip.phones) == 0:
            continue
        audio = listener.listen(torch.as_tensor(clip.waveform), 16000)
        subjects.append(Subject(clip, audio))
        if len(subjects) == count:
            break
    if not subjects:
        raise UserError(f"No {split} clip in {corpus} has speech; make more clips with `python -m training corpus`.")
    return subjects


def with_neutral_voice(subjects: list[Subject], count: int) -> list[Subject]:
    """The first ``count`` subjects whose voice gives no emotion away. Raises UserError where there are none."""
    chosen = [subject for subject in subjects if subject.clip.prosody == "neutral"][:count]
    if not chosen:
        raise UserError(
            f"None of {len(subjects)} clips has a neutral voice, which the emotion figures need; raise --clips."
        )
    return chosen
