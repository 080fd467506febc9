"""Windows out of clips, whether they lie in memory or on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
    return encoder.listen(torch.zeros(SAMPLE_RATE), SAMPLE_RATE).features[:].mean(0)


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


@dataclass(frozen=True)
class Labels:
    """What is said of N clips: ``length`` (N,) frames, ``identity`` (N, 63), and as ClipTensors has it."""

    length: Tensor
    identity: Tensor
    pose_static: Tensor
    emotion: Tensor
    intensity: Tensor


class Frames(Protocol):
    """Clips to read windows from."""

    labels: Labels

    def read(self, clip: int, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """``motion`` (n, 69) and ``audio`` (n, L, D) of n frames, all inside the clip."""
        ...


class FramesInMemory:
    """Clips that are all in memory: for a few of them."""

    def __init__(self, clips: Sequence[ClipTensors]) -> None:
        if not clips:
            raise ValueError("Expected at least one clip to draw windows from, got none.")
        self.clips = clips
        self.labels = Labels(
            length=torch.tensor([len(clip.motion) for clip in clips]),
            identity=torch.stack([clip.identity for clip in clips]),
            pose_static=torch.tensor([clip.pose_static for clip in clips]),
            emotion=torch.tensor([clip.emotion for clip in clips]),
            intensity=torch.tensor([clip.intensity for clip in clips], dtype=torch.float32),
        )

    def read(self, clip: int, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """See Frames."""
        return self.clips[clip].motion[begin:end], self.clips[clip].audio[begin:end]


class WindowSampler:
    """Draws windows by index alone, and reads the frames of those."""

    def __init__(self, clips: Frames, silence: Tensor, window: int, previous: int) -> None:
        """``silence`` (L, D): the audio features of a silent frame, put where a window leaves its clip."""
        self.clips, self.silence, self.window, self.previous = clips, silence, window, previous
        self.labels = clips.labels
        self.end = self.labels.length.cumsum(0)

    @property
    def frames(self) -> int:
        return int(self.end[-1])

    def draw(self, count: int, at_start: float, start: float, repeat: float, generator: torch.Generator) -> Windows:
        """``count`` windows, their first frames uniform over all frames; a share ``at_start`` begins with its clip.

        Windows without P frames before them, and a share ``start`` of the others, have no previous frames; for a share
        ``repeat`` they are the frame before the window (at a clip's start its first frame) held still in silence, as
        when a video begins from a portrait.
        """
        u = torch.rand(4, count, generator=generator)
        # float32 has too few digits for the frames of a large corpus
        frame = torch.randint(self.frames, (count,), generator=generator)
        clip = torch.searchsorted(self.end, frame, right=True)
        lengths = self.labels.length[clip]
        # the last windows of a video reach half past its end; a longer overhang would teach little
        choices = (lengths - self.window // 2).clamp(min=1)
        begin = torch.where(u[1] < at_start, 0, (u[2] * choices).long())
        repeated = u[3] < repeat
        started = ~repeated & ((begin < self.previous) | (u[3] < repeat + start))
        return self.gather(clip, begin, started, repeated)

    def gather(self, clip: Tensor, begin: Tensor, started: Tensor, repeated: Tensor) -> Windows:
        """The windows that begin at frame ``begin`` (B,) of ``clip`` (B,)."""
        labels = self.labels
        local = begin[:, None] + torch.arange(self.window)
        each = [
            self._window(int(c), int(b), bool(r)) for c, b, r in zip(clip, begin, repeated, strict=True)
        ]  # (P+W, ...)
        return Windows(
            motion=torch.stack([motion for motion, _ in each]),
            audio=torch.stack([audio for _, audio in each]),
            identity=labels.identity[clip],
            valid=local < labels.length[clip][:, None],
            start=started,
            pose_static=labels.pose_static[clip],
            emotion=labels.emotion[clip],
            intensity=labels.intensity[clip],
        )

    def _window(self, clip: int, begin: int, repeated: bool) -> tuple[Tensor, Tensor]:
        """Motion and audio of one window; zero and silence where it leaves its clip."""
        past = self.previous
        first, last = max(begin - past, 0), min(begin + self.window, int(self.labels.length[clip]))
        seen, audio_rows = self.clips.read(clip, first, last)
        motion = seen.new_zeros(past + self.window, seen.shape[-1])
        audio = self.silence.to(audio_rows).expand(past + self.window, -1, -1).clone()
        place = first - (begin - past)
        motion[place : place + len(seen)], audio[place : place + len(audio_rows)] = seen, audio_rows
        if repeated:  # the frame before the window is held still, in silence
            motion[:past], audio[:past] = seen[max(begin - 1, 0) - first], self.silence.to(audio_rows)
        return motion, audio
