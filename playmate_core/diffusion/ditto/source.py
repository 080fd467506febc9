"""The source face that Ditto is conditioned on and applies its motion to (docs/motion_models.md 5.3 and 5.9)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..request import GenerationRequest
from .layout import BinnedMotion

#: Frames over which the motion of a video is averaged.
VIDEO_SMOOTHING_FRAMES = 13
#: Eye openness where it was not measured; gaze is then straight ahead.
UNKNOWN_OPENNESS = 0.7


@dataclass(frozen=True)
class SourceFace:
    """S frames of a face: ``motion``, canonical ``keypoints`` (S, K, 3), ``eyes_open`` (S, 2), ``eye_balls`` (S, 6).

    ``binned``: its angles come from a network as logits; logits made from degrees must not be added to others.
    """

    motion: BinnedMotion
    keypoints: Tensor
    eyes_open: Tensor
    eye_balls: Tensor
    binned: bool = True

    def __len__(self) -> int:
        return len(self.motion)

    @staticmethod
    def of(request: GenerationRequest) -> SourceFace:
        """The portrait of a request, with the details that are known."""
        rest, details = request.rest, request.details
        angles = None if details is None else details.angle_logits
        eyes = torch.full((1, 2), UNKNOWN_OPENNESS)
        balls = torch.zeros(1, 6)
        if details is not None and details.eyes_open is not None:
            eyes = details.eyes_open
        if details is not None and details.eye_balls is not None:
            balls = details.eye_balls
        motion = BinnedMotion.in_bins(rest, angles)
        return SourceFace(motion, request.portrait_keypoints[None], eyes, balls, angles is not None)


def smoothed(face: SourceFace, frames: int = VIDEO_SMOOTHING_FRAMES) -> SourceFace:
    """A video's face averaged over ``frames``; its eyes are unchanged."""
    motion = face.motion
    parts = {name: centred_mean(getattr(motion, name), frames) for name in motion.__dataclass_fields__}
    return replace(face, motion=BinnedMotion(**parts), keypoints=centred_mean(face.keypoints, frames))


def centred_mean(values: Tensor, frames: int) -> Tensor:
    """``values`` (T, ...) averaged over ``frames`` // 2 on either side, fewer at the ends."""
    half = frames // 2
    total = len(values)
    return torch.stack([values[max(i - half, 0) : min(i + half + 1, total)].mean(0) for i in range(total)])


def back_and_forth(frames: Tensor, length: int) -> Tensor:
    """The index of ``length`` source frames for each of ``frames``: forward, then backward, both ends twice.

    Negative frames are treated as 0.
    """
    place = frames.clamp(min=0) % (2 * length)
    return torch.minimum(place, 2 * length - 1 - place)
