"""Windows that each continue the last one (docs/method.md 1.4, 1.7, 1.12, 1.17)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..progress import Progress
from ..values import Motion
from .eye_movement import EyeMovement
from .known_frames import KnownFrames
from .lip_step import limit_lip_step
from .noise import FreshNoise
from .normalisation import EXPRESSION_CHANNELS, MOTION_CHANNELS, to_expression
from .pose_prior import ANGLE_LIMITS, POSE_CLAMPED
from .window_sampling import SamplingPlan, WindowTask, sample_windows
from .windows import counted, cross_fade, held_frames, last_frames

log = logging.getLogger(__name__)


class WindowChain:
    """Windows that each continue the last one; a locked pose is that of such windows without the emotion."""

    def __init__(self, plan: SamplingPlan) -> None:
        self.index = 0
        self._past, self._shared = plan.past, torch.zeros(0, MOTION_CHANNELS)
        self._anchor, self._warned = torch.zeros(6), False
        self._before = None if plan.past is None else to_expression(plan.past[-1:], plan.denoiser.statistics)[-1]
        locked = plan.emotion is not None and plan.options.lock_pose
        self._eyes = EyeMovement.of(plan)
        self.pose_chain = WindowChain(replace(plan, emotion=None)) if locked else None

    def extend(self, plan: SamplingPlan, last: bool, progress: Progress | None = None) -> Motion:
        """Sample the next window: its motion up to where the one after it begins, or to the end of the audio.

        ``plan`` may hold more audio than in earlier calls; a window reads it up to the window's own end.
        """
        return extend_together([self], [plan], last, progress)[0]

    def rest(self, plan: SamplingPlan) -> Motion:
        """The end of a clip whose last window was sampled before it was known to be the last."""
        return self._decoded(plan, self._shared, plan.windows.stride)

    def _task(self, plan: SamplingPlan, poses: Tensor | None) -> WindowTask:
        """The next window to be sampled, with the pose of ``poses`` (W, 6) where they are given."""
        config, options, shared = plan.denoiser.config, plan.options, self._shared
        held = shared[: held_frames(options.overlap)] if options.joint == "hold" else shared[:0]
        known = KnownFrames.leading(held, config.window)
        if poses is not None:
            known = known.with_pose(poses)
        noise = FreshNoise(options.seed).window(self.index)
        return WindowTask(plan, plan.windows.begin(self.index), self._past, known, noise)

    def _append(self, plan: SamplingPlan, model: Tensor) -> Tensor:
        """Go on behind the sampled window ``model`` (W, 69); the window as it is shown."""
        config, options, shared, past = plan.denoiser.config, plan.options, self._shared, self._past
        if options.joint == "fade":
            share = torch.arange(1, len(shared) + 1) / (len(shared) + 1)
            model = torch.cat([cross_fade(shared, model[: len(shared)], share), model[len(shared) :]])
        self._shared = model[plan.windows.stride : plan.windows.stride + options.overlap]
        kept = model[: plan.windows.stride]
        self._past = last_frames(kept if past is None else torch.cat([past, kept]), config.previous)
        self.index += 1
        return model

    def _shown(self, plan: SamplingPlan, index: int, model: Tensor, last: bool) -> Motion:
        """The motion of window ``index`` up to where the one after it begins, or to the end of the audio."""
        kept = model[: len(plan.audio) - plan.windows.begin(index)] if last else model[: plan.windows.stride]
        if index == 0 and plan.options.pose_anchor == "first" and plan.past is None:
            self._anchor = kept[0, EXPRESSION_CHANNELS:]
        return self._decoded(plan, kept)

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


def extend_together(
    chains: Sequence[WindowChain], plans: Sequence[SamplingPlan], last: bool, progress: Progress | None = None
) -> list[Motion]:
    """:meth:`WindowChain.extend` of several chains of one length, whose windows are sampled as one batch."""
    index, count = chains[0].index, plans[0].windows.count
    poses: list[Tensor | None] = [None] * len(chains)
    own = (index, count)
    locks = [chain.pose_chain for chain in chains if chain.pose_chain is not None]
    if locks:
        still = [replace(plan, emotion=None) for plan in plans]
        step = counted(progress, 2 * index, 2 * count)
        poses = [window[:, EXPRESSION_CHANNELS:] for window in _next_windows(locks, still, [None] * len(locks), step)]
        own = (2 * index + 1, 2 * count)
    windows = _next_windows(chains, plans, poses, counted(progress, *own))
    return [chain._shown(plan, index, model, last) for chain, plan, model in zip(chains, plans, windows, strict=True)]


def _next_windows(
    chains: Sequence[WindowChain],
    plans: Sequence[SamplingPlan],
    poses: Sequence[Tensor | None],
    progress: Progress | None,
) -> list[Tensor]:
    """The next window (W, 69) of every chain in model space."""
    given = zip(chains, plans, poses, strict=True)
    models = sample_windows([chain._task(plan, pose) for chain, plan, pose in given], progress)
    return [chain._append(plan, model) for chain, plan, model in zip(chains, plans, models, strict=True)]
