"""One window of motion sampled, or the windows of several takes as one batch (docs/method.md 1.4, 1.9, 1.10)."""

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
from .noise import WindowNoise, together
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


@dataclass(frozen=True)
class WindowTask:
    """A window to be sampled: the one of ``plan`` that begins at frame ``begin``.

    ``past`` (P, 69) in model space went before it, None where nothing did. What is ``known`` of the window comes out as
    it is. With a ``strength`` below 1 it begins as ``initial`` (W, 69) with noise.
    """

    plan: SamplingPlan
    begin: int
    past: Tensor | None
    known: KnownFrames
    noise: WindowNoise
    initial: Tensor | None = None
    strength: float = 1.0


def sample_window(task: WindowTask, progress: Progress | None = None) -> Tensor:
    """The motion of a window in model space (W, 69), float32 on the CPU. Raises UserError as :func:`sample_windows`."""
    return sample_windows([task], progress)[0]


@torch.no_grad()
def sample_windows(tasks: Sequence[WindowTask], progress: Progress | None = None) -> Tensor:
    """The windows of several takes as one batch, (B, W, 69) in model space, float32 on the CPU.

    Their plans differ in seed, portrait, audio and emotion alone; all have an emotion or none has, and the same frames
    are known of each. A window comes out as it does alone, but for rounding: products of another number of rows are
    summed in another order. Raises UserError where the network answers with NaN.
    """
    plan, known = tasks[0].plan, KnownFrames.stacked([task.known for task in tasks])
    config, options = plan.denoiser.config, plan.options
    like = next(plan.denoiser.parameters())
    scales = Scales(*(_placed(s, like) for s in _scales(plan, tasks[0].begin)))
    predict = guided(plan.denoiser, plan.controller, _contexts(tasks), _emotion_conditions(tasks), scales)
    initial = None if tasks[0].initial is None else torch.stack([_initial(task) for task in tasks])
    noise = together([task.noise for task in tasks])
    model = sample(
        holding(as_clean(plan.denoiser, plan.schedule, predict), known),
        plan.schedule,
        noise.start((len(tasks), config.window, MOTION_CHANNELS)).to(like.device),
        steps=options.steps,
        sampler=options.sampler,
        spacing=options.spacing,
        eta=options.eta,
        generator=noise.draw,
        progress=progress,
        initial=None if initial is None else initial.to(like.device),
        strength=tasks[0].strength,
    ).cpu()
    if not bool(model.isfinite().all()):
        raise UserError("The motion model answered with NaN; use another copy of its file, or other settings.")
    pose = model[..., EXPRESSION_CHANNELS:].clamp(-POSE_LIMIT, POSE_LIMIT)
    return known.over(torch.cat([model[..., :EXPRESSION_CHANNELS], pose], -1))


def _initial(task: WindowTask) -> Tensor:
    assert task.initial is not None
    return task.initial


def _contexts(tasks: Sequence[WindowTask]) -> WindowContext:
    """The conditions of all windows, one row each."""
    rows = [vars(_context(task.plan, task.begin, task.past)) for task in tasks]
    return WindowContext(**{name: torch.cat([row[name] for row in rows]) for name in rows[0]})


def _emotion_conditions(tasks: Sequence[WindowTask]) -> EmotionCondition | None:
    """The emotions of all windows, one row each; None where they have none."""
    rows = [row for task in tasks if (row := _emotion_condition(task.plan, task.begin)) is not None]
    if not rows:
        return None
    return EmotionCondition(torch.cat([row.weights for row in rows]), torch.cat([row.intensity for row in rows]))


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
