"""Motion for speech of any length: windows that each continue the last (docs/method.md 1.4, 1.7, 1.12, 1.17)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..progress import Progress
from ..speech import AudioEncoder, make_encoder
from ..values import Motion
from .checks import check_request
from .controlled_emotion import controlled_emotion
from .denoiser import MotionDenoiser
from .emotion import EmotionController
from .eye_movement import EyeMovement
from .known_frames import KnownFrames
from .lip_step import limit_lip_step
from .noise import FreshNoise
from .normalisation import EXPRESSION_CHANNELS, MOTION_CHANNELS, standardised_identity, to_expression
from .options import SamplingOptions, window_of
from .pose_prior import ANGLE_LIMITS, POSE_CLAMPED, PosePrior
from .request import BaseGenerator, GenerationRequest, joined
from .samplers import Schedule
from .window_sampling import SamplingPlan, sample_window
from .windows import counted, cross_fade, held_frames, last_frames, stride

__all__ = ["PlaymateGenerator", "SamplingOptions", "generate", "iterate", "joined", "stride"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlaymateGenerator(BaseGenerator):
    """The paper's generator as a :class:`MotionGenerator`; without a ``controller`` it has no emotion control."""

    denoiser: MotionDenoiser
    controller: EmotionController | None = None

    name: ClassVar[str] = "playmate"
    defaults: ClassVar[SamplingOptions] = SamplingOptions()

    @property
    def keypoint_space(self) -> str:
        """The keypoint space of the data that the denoiser was trained on."""
        return self.denoiser.config.keypoint_space

    @property
    def emotions(self) -> tuple[str, ...]:
        """The emotions of the controller; none without one."""
        return () if self.controller is None else self.controller.config.emotions

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The denoiser and, if there is one, the controller."""
        return (self.denoiser,) if self.controller is None else (self.denoiser, self.controller)

    def encoder(self, source: str | Path | None = None, device: str | torch.device = "cpu") -> AudioEncoder:
        """See :meth:`MotionGenerator.encoder`."""
        return make_encoder(self.denoiser.config.audio_encoder, source, device=device)

    def iterate(self, request: GenerationRequest, progress: Progress | None = None) -> Iterator[Motion]:
        """See :meth:`MotionGenerator.iterate`."""
        return iterate(self.denoiser, self.controller, request, progress)


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
) -> SamplingPlan:
    """What :func:`sample_window` needs of a request. Raises UserError for inputs that do not fit each other."""
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
    return SamplingPlan(
        denoiser=denoiser,
        controller=controller,
        keypoints=request.portrait_keypoints,
        identity=standardised_identity(request.portrait_keypoints.float().cpu(), statistics)[None],
        head=head,
        audio=audio,
        emotion=controlled_emotion(controller, request.emotion, audio),
        options=options,
        schedule=Schedule.linear(),
        past=past,
    )


def _run(plan: SamplingPlan, progress: Progress | None) -> Iterator[Motion]:
    chain = WindowChain(plan)
    yield from (chain.extend(plan, k == plan.windows.count - 1, progress) for k in range(plan.windows.count))


class WindowChain:
    """Windows that each continue the last one; a locked pose is that of such windows without the emotion."""

    def __init__(self, plan: SamplingPlan) -> None:
        self.index = 0
        self._past, self._shared = plan.past, torch.zeros(0, MOTION_CHANNELS)
        self._anchor, self._warned = torch.zeros(6), False
        self._before = None if plan.past is None else to_expression(plan.past[-1:], plan.denoiser.statistics)[-1]
        locked = plan.emotion is not None and plan.options.lock_pose
        self._poses = WindowChain(replace(plan, emotion=None)) if locked else None
        self._eyes = EyeMovement.of(plan)

    def extend(self, plan: SamplingPlan, last: bool, progress: Progress | None = None) -> Motion:
        """Sample the next window: its motion up to where the one after it begins, or to the end of the audio.

        ``plan`` may hold more audio than in earlier calls; a window reads it up to the window's own end.
        """
        windows, index, poses = plan.windows, self.index, None
        if self._poses is not None:
            step = counted(progress, 2 * index, 2 * windows.count)
            poses = self._poses._window(replace(plan, emotion=None), step)[:, EXPRESSION_CHANNELS:]
        own = (index, windows.count) if poses is None else (2 * index + 1, 2 * windows.count)
        model = self._window(plan, counted(progress, *own), poses)
        kept = model[: len(plan.audio) - windows.begin(index)] if last else model[: windows.stride]
        if index == 0 and plan.options.pose_anchor == "first" and plan.past is None:
            self._anchor = kept[0, EXPRESSION_CHANNELS:]
        return self._decoded(plan, kept)

    def rest(self, plan: SamplingPlan) -> Motion:
        """The end of a clip whose last window was sampled before it was known to be the last."""
        return self._decoded(plan, self._shared, plan.windows.stride)

    def _window(self, plan: SamplingPlan, step: Progress | None, poses: Tensor | None = None) -> Tensor:
        """The next window (W, 69) in model space, with the pose of ``poses`` (W, 6) where they are given."""
        config, options, shared, past = plan.denoiser.config, plan.options, self._shared, self._past
        held = shared[: held_frames(options.overlap)] if options.joint == "hold" else shared[:0]
        known = KnownFrames.leading(held, config.window)
        if poses is not None:
            known = known.with_pose(poses)
        noise = FreshNoise(options.seed).window(self.index)
        model = sample_window(plan, plan.windows.begin(self.index), past, known, noise, progress=step)
        if options.joint == "fade":
            share = torch.arange(1, len(shared) + 1) / (len(shared) + 1)
            model = torch.cat([cross_fade(shared, model[: len(shared)], share), model[len(shared) :]])
        self._shared = model[plan.windows.stride : plan.windows.stride + options.overlap]
        kept = model[: plan.windows.stride]
        self._past = last_frames(kept if past is None else torch.cat([past, kept]), config.previous)
        self.index += 1
        return model

    def _decoded(self, plan: SamplingPlan, kept: Tensor, first: int = 0) -> Motion:
        """The motion of frames ``first`` on of the window sampled last."""
        head_pose, held = plan.head.decode(kept[:, EXPRESSION_CHANNELS:] - self._anchor, plan.audio.fps)
        if held and not self._warned:
            log.warning(POSE_CLAMPED, ANGLE_LIMITS)
            self._warned = True
        expression = limit_lip_step(to_expression(kept, plan.denoiser.statistics), self._before, plan.options.lip_step)
        self._before = expression[-1] if len(expression) else self._before
        expression = self._eyes.added(expression, first)
        return Motion(head_pose, expression, plan.denoiser.config.keypoint_space)


def _check_inputs(denoiser: MotionDenoiser, controller: EmotionController | None, request: GenerationRequest) -> None:
    check_request(request, denoiser, *(() if controller is None else (controller,)))
    audio = request.audio
    denoiser.refuse_other_audio(audio.encoder, audio.features.shape[1], audio.features.shape[2])
    if controller is not None and controller.config.width != denoiser.config.width:
        raise UserError(
            f"The emotion model has width {controller.config.width} and the motion model {denoiser.config.width}; "
            "load the pair that was trained together."
        )
