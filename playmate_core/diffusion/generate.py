"""Motion for speech of any length: consecutive windows, each continuing the last.

See docs/method.md 1.4, 1.7, 1.12.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..progress import Progress
from ..speech import AudioEncoder, make_encoder
from ..values import AudioFeatures, EmotionCurve, Motion
from .checks import check_curve, check_request, columns_by_name
from .denoiser import MotionDenoiser, WindowContext
from .emotion import EmotionController
from .guidance import EmotionCondition, Scales, as_clean, guided
from .noise import FreshNoise
from .normalisation import EXPRESSION_CHANNELS, MOTION_CHANNELS, standardised_identity, to_expression
from .options import SamplingOptions, window_of
from .pose_prior import ANGLE_LIMITS, POSE_CLAMPED, POSE_LIMIT, PosePrior
from .request import GenerationRequest, joined
from .samplers import Schedule, sample
from .windows import WindowPlan, counted, cross_fade, last_frames, stride

__all__ = ["PlaymateGenerator", "SamplingOptions", "generate", "iterate", "joined", "stride"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GenerationPlan:
    """A checked request. ``emotion``: weights (T, E) and intensity (T,), or None for stage 1 alone."""

    denoiser: MotionDenoiser
    controller: EmotionController | None
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
class PlaymateGenerator:
    """The paper's generator as a :class:`MotionGenerator`; without a ``controller`` it has no emotion control."""

    denoiser: MotionDenoiser
    controller: EmotionController | None = None

    name: ClassVar[str] = "playmate"
    defaults: ClassVar[SamplingOptions] = SamplingOptions()

    @property
    def keypoint_space(self) -> str:
        return self.denoiser.config.keypoint_space

    @property
    def emotions(self) -> tuple[str, ...]:
        return () if self.controller is None else self.controller.config.emotions

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.denoiser,) if self.controller is None else (self.denoiser, self.controller)

    def encoder(self, source: str | Path | None = None, device: str | torch.device = "cpu") -> AudioEncoder:
        return make_encoder(self.denoiser.config.audio_encoder, source, device=device)

    def iterate(self, request: GenerationRequest, progress: Progress | None = None) -> Iterator[Motion]:
        return iterate(self.denoiser, self.controller, request, progress)

    def generate(self, request: GenerationRequest, progress: Progress | None = None) -> Motion:
        return joined(list(self.iterate(request, progress)))


def generate(
    denoiser: MotionDenoiser,
    controller: EmotionController | None,
    request: GenerationRequest,
    progress: Progress | None = None,
) -> Motion:
    """One frame of motion for each frame of the request's audio.

    ``progress(step, total)`` counts network evaluations over all windows and may raise to cancel. The same seed gives
    the same motion. Raises UserError, before any slow work, for inputs that do not fit each other.
    """
    return joined(list(iterate(denoiser, controller, request, progress)))


def iterate(
    denoiser: MotionDenoiser,
    controller: EmotionController | None,
    request: GenerationRequest,
    progress: Progress | None = None,
) -> Iterator[Motion]:
    """The pieces of :func:`generate`, window by window, in constant memory. Checks everything before it returns."""
    return _run(checked_plan(denoiser, controller, request), progress)


def checked_plan(
    denoiser: MotionDenoiser, controller: EmotionController | None, request: GenerationRequest
) -> GenerationPlan:
    """What the windows of a request are sampled from. Raises UserError for inputs that do not fit each other."""
    _check_inputs(denoiser, controller, request)
    config, statistics = denoiser.config, denoiser.statistics
    audio, rest, previous = request.audio, request.rest, request.previous
    options = request.options or SamplingOptions()
    for name in ("cfg_audio", "cfg_audio_pose", "cfg_emotion"):
        window_of(name, getattr(options, name), len(audio), 0, 1, audio.fps)
    stride(config.window, options.overlap)
    head = PosePrior.of(rest, denoiser, options)
    past = None
    if previous is not None:
        past = last_frames(head.encode(previous, statistics), config.previous)
    elif options.start == "portrait":
        past = head.encode(rest, statistics).expand(config.previous, -1)
    return GenerationPlan(
        denoiser=denoiser,
        controller=controller,
        identity=standardised_identity(request.portrait_keypoints.float().cpu(), statistics)[None],
        head=head,
        audio=audio,
        emotion=controlled_emotion(controller, request.emotion, audio),
        options=options,
        schedule=Schedule.linear(),
        past=past,
    )


def _run(plan: GenerationPlan, progress: Progress | None) -> Iterator[Motion]:
    chain, windows = WindowChain(), plan.windows
    for index in range(windows.count):
        yield chain.extend(plan, index == windows.count - 1, progress)


class WindowChain:
    """What passes from one window to the next while a clip is sampled."""

    def __init__(self) -> None:
        self.index = 0
        self._anchor, self._warned = torch.zeros(6), False
        self._past: Tensor | None = None
        self._tail = torch.zeros(0, MOTION_CHANNELS)

    def extend(self, plan: GenerationPlan, last: bool, progress: Progress | None = None) -> Motion:
        """Sample the next window: its motion up to where the one after it begins, or to the end of the audio.

        ``plan`` may hold more audio than in earlier calls; what a window reads of it, reaches to the window's end.
        """
        past = plan.past if self.index == 0 else self._past
        model = _window(plan, self.index, past, progress)  # (W, 69)
        if not bool(model.isfinite().all()):
            raise UserError("The motion model answered with NaN; use another copy of its file, or other settings.")
        windows, tail = plan.windows, self._tail
        share = torch.arange(1, len(tail) + 1) / (len(tail) + 1)
        model = torch.cat([cross_fade(tail, model[: len(tail)], share), model[len(tail) :]])
        kept = model[: len(plan.audio) - windows.begin(self.index)] if last else model[: windows.stride]
        self._tail = model[windows.stride : windows.stride + plan.options.overlap]
        self._past = last_frames(kept if past is None else torch.cat([past, kept]), plan.denoiser.config.previous)
        if self.index == 0 and plan.options.pose_anchor == "first" and plan.past is None:
            self._anchor = kept[0, EXPRESSION_CHANNELS:]
        self.index += 1
        return self._decoded(plan, kept)

    def rest(self, plan: GenerationPlan) -> Motion:
        """The end of a clip whose last window was sampled before it was known to be the last."""
        return self._decoded(plan, self._tail)

    def _decoded(self, plan: GenerationPlan, kept: Tensor) -> Motion:
        head_pose, held = plan.head.decode(kept[:, EXPRESSION_CHANNELS:] - self._anchor, plan.audio.fps)
        if held and not self._warned:
            log.warning(POSE_CLAMPED, ANGLE_LIMITS)
            self._warned = True
        return Motion(head_pose, to_expression(kept, plan.denoiser.statistics), plan.denoiser.config.keypoint_space)


@torch.no_grad()
def _window(plan: GenerationPlan, index: int, past: Tensor | None, progress: Progress | None) -> Tensor:
    """The motion of one window in model space (W, 69), float32 on the CPU."""
    config, options = plan.denoiser.config, plan.options
    like = next(plan.denoiser.parameters())
    begin = plan.windows.begin(index)
    scales = Scales(*(_placed(s, like) for s in _scales(plan, begin)))
    predict = guided(
        plan.denoiser, plan.controller, _context(plan, begin, past), _emotion_condition(plan, begin), scales
    )
    noise = FreshNoise(options.seed).window(index)
    model = sample(
        as_clean(plan.denoiser, plan.schedule, predict),
        plan.schedule,
        noise.start((1, config.window, MOTION_CHANNELS)).to(like.device),
        steps=options.steps,
        sampler=options.sampler,
        spacing=options.spacing,
        eta=options.eta,
        generator=noise.draw,
        progress=counted(progress, index, plan.windows.count),
    )[0].cpu()
    pose = model[:, EXPRESSION_CHANNELS:].clamp(-POSE_LIMIT, POSE_LIMIT)
    return torch.cat([model[:, :EXPRESSION_CHANNELS], pose], -1)


def _context(plan: GenerationPlan, begin: int, past: Tensor | None) -> WindowContext:
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


def _emotion_condition(plan: GenerationPlan, begin: int) -> EmotionCondition | None:
    """The emotion of a window; past the end of the speech the last frame's emotion is held."""
    if plan.emotion is None:
        return None
    like = next(plan.denoiser.parameters())
    place = torch.arange(begin, begin + plan.denoiser.config.window).clamp(max=len(plan.audio) - 1)
    weights, intensity = (part[place][None].to(like) for part in plan.emotion)
    return EmotionCondition(weights, intensity)


def _scales(plan: GenerationPlan, begin: int) -> Sequence[float | Tensor]:
    o, frames, end = plan.options, len(plan.audio), begin + plan.denoiser.config.window
    named = (("cfg_audio", o.cfg_audio), ("cfg_audio_pose", o.cfg_audio_pose), ("cfg_emotion", o.cfg_emotion))
    return [window_of(name, curve, frames, begin, end, plan.audio.fps) for name, curve in named]


def _placed(scale: float | Tensor, like: Tensor) -> float | Tensor:
    return scale.to(like) if isinstance(scale, Tensor) else scale


def controlled_emotion(
    controller: EmotionController | None, curve: EmotionCurve | None, audio: AudioFeatures
) -> tuple[Tensor, Tensor] | None:
    """The curve with its columns in the controller's order, by name; None where it has no weights."""
    if curve is None or not bool((curve.weights != 0).any()):
        return None
    if controller is None:
        raise UserError("An emotion was asked for, but there is no emotion model; load one, or leave the emotion off.")
    check_curve(curve, audio)
    return columns_by_name(curve, controller.config.emotions), curve.intensity


def _check_inputs(denoiser: MotionDenoiser, controller: EmotionController | None, request: GenerationRequest) -> None:
    if denoiser.training or (controller is not None and controller.training):
        raise ValueError("The motion model is in training mode, where dropout adds noise; call train(False) first.")
    check_request(request)
    audio = request.audio
    denoiser.refuse_other_audio(audio.encoder, audio.features.shape[1], audio.features.shape[2])
    if controller is not None and controller.config.width != denoiser.config.width:
        raise UserError(
            f"The emotion model has width {controller.config.width} and the motion model {denoiser.config.width}; "
            "load the pair that was trained together."
        )
