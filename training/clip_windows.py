"""Windows out of clips: every clip laid end to end once, then each batch is one gather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playmate_core.diffusion.normalisation import (
    POSE_NORMALISATIONS,
    MotionStatistics,
    pose_is_static,
    standardised_identity,
    to_model_space,
)
from playmate_core.speech import SAMPLE_RATE, AudioEncoder
from playmate_core.values import EMOTIONS
from training.clip import UNLABELLED, Clip


@dataclass(frozen=True)
class ClipTensors:
    """One clip in model space: ``motion`` (T, 69), ``audio`` (T, L, D), ``identity`` (63,), and its labels."""

    motion: Tensor
    audio: Tensor
    identity: Tensor
    emotion: int  # index into EMOTIONS, -1 where it is not annotated
    intensity: float  # NaN where it is not annotated
    pose_static: bool = False  # its head hardly moves: its pose, divided by a floor, is no target


def clip_tensors(
    clip: Clip, statistics: MotionStatistics, encoder: AudioEncoder, pose_normalisation: str
) -> ClipTensors:
    """``clip`` as input of the denoiser; the audio encoder runs here, once. Sound and motion are cut to the shorter."""
    mean, std = POSE_NORMALISATIONS[pose_normalisation](clip.motion, statistics)
    motion = to_model_space(clip.motion, statistics, mean, std)
    audio = encoder.listen(clip.waveform, SAMPLE_RATE).features
    frames = min(len(motion), len(audio))
    return ClipTensors(
        motion=motion[:frames],
        audio=audio[:frames],
        identity=standardised_identity(clip.keypoints, statistics),
        emotion=-1 if clip.emotion == UNLABELLED else EMOTIONS.index(clip.emotion),
        intensity=clip.intensity,
        pose_static=pose_is_static(clip.motion, statistics),
    )


def silence(encoder: AudioEncoder) -> Tensor:
    """The features (L, D) of a silent frame."""
    return encoder.listen(torch.zeros(SAMPLE_RATE), SAMPLE_RATE).features.mean(0)


@dataclass(frozen=True)
class Windows:
    """B windows of W current after P previous frames.

    ``motion`` (B, P+W, 69), ``audio`` (B, P+W, L, D); ``valid`` (B, W) is False past the clip, where motion is
    zero and audio is silence; ``start`` (B,) has no previous frames; ``emotion`` (B,), ``intensity`` (B,).
    """

    motion: Tensor
    audio: Tensor
    identity: Tensor
    valid: Tensor
    start: Tensor
    pose_static: Tensor
    emotion: Tensor
    intensity: Tensor


class WindowSampler:
    """All clips in memory as one long row of frames; draws windows by index alone."""

    def __init__(self, clips: Sequence[ClipTensors], silence: Tensor, window: int, previous: int) -> None:
        """``silence`` (L, D): the audio features of a silent frame, put where a window leaves its clip."""
        if not clips:
            raise ValueError("Expected at least one clip to draw windows from, got none.")
        self.window, self.previous = window, previous
        lengths = torch.tensor([len(clip.motion) for clip in clips])
        self.lengths, self.first = lengths, lengths.cumsum(0) - lengths
        self.motion = torch.cat([clip.motion for clip in clips] + [torch.zeros(1, clips[0].motion.shape[1])])
        self.audio = torch.cat([clip.audio for clip in clips] + [silence[None]])
        self.identity = torch.stack([clip.identity for clip in clips])
        self.pose_static = torch.tensor([clip.pose_static for clip in clips])
        self.emotion = torch.tensor([clip.emotion for clip in clips])
        self.intensity = torch.tensor([clip.intensity for clip in clips], dtype=torch.float32)
        self.outside = len(self.motion) - 1

    @property
    def frames(self) -> int:
        return self.outside

    def draw(self, count: int, at_start: float, start: float, repeat: float, generator: torch.Generator) -> Windows:
        """``count`` windows, their first frames uniform over all frames; a share ``at_start`` begins with its clip.

        Windows without P frames before them, and a share ``start`` of the others, have no previous frames; for a share
        ``repeat`` they are the frame before the window (at a clip's start its first frame) held still in silence, as
        when a video begins from a portrait.
        """
        u = torch.rand(4, count, generator=generator)
        clip = torch.searchsorted(self.first + self.lengths, (u[0] * self.frames).long(), right=True)
        clip = clip.clamp(max=len(self.lengths) - 1)
        lengths = self.lengths[clip]
        # the last windows of a video reach half past its end; a longer overhang would teach little
        choices = (lengths - self.window // 2).clamp(min=1)
        begin = torch.where(u[1] < at_start, 0, (u[2] * choices).long())
        repeated = u[3] < repeat
        started = ~repeated & ((begin < self.previous) | (u[3] < repeat + start))
        return self.gather(clip, begin, started, repeated)

    def gather(self, clip: Tensor, begin: Tensor, started: Tensor, repeated: Tensor) -> Windows:
        """The windows that begin at frame ``begin`` (B,) of ``clip`` (B,)."""
        offsets = torch.arange(-self.previous, self.window)
        local = begin[:, None] + offsets  # (B, P+W)
        lengths = self.lengths[clip]
        inside = (local >= 0) & (local < lengths[:, None])
        heard = torch.where(inside, local + self.first[clip][:, None], self.outside)
        seen = heard.clone()
        held = ((begin - 1).clamp(min=0) + self.first[clip])[:, None]
        past = torch.arange(len(offsets)) < self.previous
        seen = torch.where(repeated[:, None] & past, held, seen)
        heard = torch.where(repeated[:, None] & past, self.outside, heard)
        return Windows(
            motion=self.motion[seen],
            audio=self.audio[heard],
            identity=self.identity[clip],
            valid=inside[:, self.previous :],
            start=started,
            pose_static=self.pose_static[clip],
            emotion=self.emotion[clip],
            intensity=self.intensity[clip],
        )
