"""One window of motion sampled from noise, with its speech, emotion and guidance (docs/method.md 1.7, 1.10, 1.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UserError
from ..progress import Progress
from ..values import AudioFeatures
from .denoiser import MotionDenoiser, WindowContext
from .emotion import EmotionController
from .guidance import EmotionCondition, Scales, as_clean, guided
from .known_frames import KnownFrames, holding
from .noise import WindowNoise
from .normalisation import EXPRESSION_CHANNELS, MOTION_CHANNELS
from .options import SamplingOptions, window_of
from .pose_prior import POSE_LIMIT, PosePrior
from .samplers import Schedule, sample
from .windows import WindowPlan


@dataclass(frozen=True)
class SamplingPlan:
    """A checked request. ``emotion``: weights (T, E) and intensity (T,), or None for stage 1 alone."""

    denoiser: MotionDenoiser
    controller: EmotionController | None
    keypoints: Tensor  # (K, 3), the portrait's canonical ones
    identity: Tensor
    head: PosePrior
    audio: AudioFeatures
    emotion: tuple[Tensor, Tensor] | None
    options: SamplingOptions
    schedule: Schedule
    past: Tensor | None  # (P, 69) before the first window

    @property
    def windows(self) -> WindowPlan:
        return WindowPlan(len(self.audio), self.denoiser.config.window, self.options.overlap)


@torch.no_grad()
def sample_window(
    plan: SamplingPlan,
    begin: int,
    past: Tensor | None,
    known: KnownFrames,
    noise: WindowNoise,
    initial: Tensor | None = None,
    strength: float = 1.0,
    progress: Progress | None = None,
) -> Tensor:
    """The motion of the window that begins at frame ``begin`` in model space (W, 69), float32 on the CPU.

    ``past`` (P, 69) went before it. What is ``known`` of it comes out as it is. With ``strength`` below 1 the window
    begins as ``initial`` (W, 69) with noise. Raises UserError where the network answers with NaN.
    """
    config, options = plan.denoiser.config, plan.options
    like = next(plan.denoiser.parameters())
    scales = Scales(*(_placed(s, like) for s in _scales(plan, begin)))
    predict = guided(
        plan.denoiser, plan.controller, _context(plan, begin, past), _emotion_condition(plan, begin), scales
    )
    model = sample(
        holding(as_clean(plan.denoiser, plan.schedule, predict), known),
        plan.schedule,
        noise.start((1, config.window, MOTION_CHANNELS)).to(like.device),
        steps=options.steps,
        sampler=options.sampler,
        spacing=options.spacing,
        eta=options.eta,
        generator=noise.draw,
        progress=progress,
        initial=None if initial is None else initial[None].to(like.device),
        strength=strength,
    )[0].cpu()
    if not bool(model.isfinite().all()):
        raise UserError("The motion model answered with NaN; use another copy of its file, or other settings.")
    pose = model[:, EXPRESSION_CHANNELS:].clamp(-POSE_LIMIT, POSE_LIMIT)
    return known.over(torch.cat([model[:, :EXPRESSION_CHANNELS], pose], -1))


def _context(plan: SamplingPlan, begin: int, past: Tensor | None) -> WindowContext:
    """The conditions of the window that begins at frame ``begin``, on the network's device; silence outside the
    clip."""
    config, frames = plan.denoiser.config, len(plan.audio)
    place = torch.arange(begin - config.previous, begin + config.window)
    inside = (place >= 0) & (place < frames)
    audio_rows = plan.audio.features[place.clamp(0, frames - 1)].float()
    silence = plan.denoiser.statistics.silence.to(audio_rows)
    audio_rows = torch.where(inside[:, None, None], audio_rows, silence)
    like = next(plan.denoiser.parameters())
    off = torch.zeros(1, dtype=torch.bool, device=like.device)
    return WindowContext(
        audio=audio_rows[None].to(like),
        previous=(torch.zeros(config.previous, MOTION_CHANNELS) if past is None else past)[None].to(like),
        identity=plan.identity.to(like),
        start=off.logical_not() if past is None else off,
        drop_audio=off,
        drop_identity=off,
        valid=inside[None, config.previous :].to(like.device),
    )


def _emotion_condition(plan: SamplingPlan, begin: int) -> EmotionCondition | None:
    """The emotion of a window; past the end of the speech the last frame's emotion is held."""
    if plan.emotion is None:
        return None
    like = next(plan.denoiser.parameters())
    place = torch.arange(begin, begin + plan.denoiser.config.window).clamp(max=len(plan.audio) - 1)
    weights, intensity = (part[place][None].to(like) for part in plan.emotion)
    return EmotionCondition(weights, intensity)


def _scales(plan: SamplingPlan, begin: int) -> Sequence[float | Tensor]:
    o, frames, end = plan.options, len(plan.audio), begin + plan.denoiser.config.window
    named = (("cfg_audio", o.cfg_audio), ("cfg_audio_pose", o.cfg_audio_pose), ("cfg_emotion", o.cfg_emotion))
    return [window_of(name, curve, frames, begin, end, plan.audio.fps) for name, curve in named]


def _placed(scale: float | Tensor, like: Tensor) -> float | Tensor:
    return scale.to(like) if isinstance(scale, Tensor) else scale
