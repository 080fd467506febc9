"""Motion for speech of any length: windows that each continue the last (docs/method.md 1.4, 1.7, 1.12, 1.17)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from ..errors import UserError
from ..progress import Progress
from ..speech import AudioEncoder, make_encoder
from ..values import Motion
from .checks import check_request
from .controlled_emotion import controlled_emotion
from .denoiser import MotionDenoiser
from .emotion import EmotionController
from .normalisation import standardised_identity
from .options import SamplingOptions, window_of
from .pose_prior import PosePrior
from .request import MOST_TOGETHER, BaseGenerator, GenerationRequest, joined
from .samplers import Schedule
from .window_chain import WindowChain, extend_together
from .window_sampling import SamplingPlan
from .windows import counted, last_frames, stride

__all__ = ["MOST_TOGETHER", "PlaymateGenerator", "SamplingOptions", "generate", "iterate", "joined", "stride"]


@dataclass(frozen=True)
class PlaymateGenerator(BaseGenerator):
    """The paper's generator as a :class:`MotionGenerator`; without a ``controller`` it has no emotion control."""

    denoiser: MotionDenoiser
    controller: EmotionController | None = None

    name: ClassVar[str] = "playmate"
    defaults: ClassVar[SamplingOptions] = SamplingOptions()
    sampling_is_published: ClassVar[bool] = False

    @property
    def keypoint_space(self) -> str:
        """The keypoint space of the data that the denoiser was trained on."""
        return self.denoiser.config.keypoint_space

    @property
    def emotions(self) -> tuple[str, ...]:
        """The emotions of the controller; none without one."""
        return () if self.controller is None else self.controller.config.emotions

    @property
    def encodes_live(self) -> bool:
        """With features of the spectrum, which need no recording."""
        return self.denoiser.config.audio_encoder == "logmel"

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

    def iterate_together(
        self, requests: Sequence[GenerationRequest], progress: Progress | None = None
    ) -> list[list[Motion]]:
        """See :meth:`MotionGenerator.iterate_together`; MOST_TOGETHER motions are sampled as one batch."""
        plans = [checked_plan(self.denoiser, self.controller, request) for request in requests]
        batches = _batches(plans)
        found: dict[int, list[Motion]] = {}
        for number, batch in enumerate(batches):
            pieces = _together([plans[index] for index in batch], counted(progress, number, len(batches)))
            found |= dict(zip(batch, pieces, strict=True))
        return [found[index] for index in range(len(plans))]


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


def _batches(plans: Sequence[SamplingPlan]) -> list[list[int]]:
    """Indices of the plans that are sampled as one batch: with an emotion or without, MOST_TOGETHER of them at most."""
    felt = [index for index, plan in enumerate(plans) if plan.emotion is not None]
    others = [index for index, plan in enumerate(plans) if plan.emotion is None]
    return [
        some[begin : begin + MOST_TOGETHER] for some in (felt, others) for begin in range(0, len(some), MOST_TOGETHER)
    ]


def _together(plans: Sequence[SamplingPlan], progress: Progress | None) -> list[list[Motion]]:
    """The pieces of the motion of every plan, window by window as one batch."""
    chains, count = [WindowChain(plan) for plan in plans], plans[0].windows.count
    windows = [extend_together(chains, plans, k == count - 1, progress) for k in range(count)]
    return [list(pieces) for pieces in zip(*windows, strict=True)]


def _check_inputs(denoiser: MotionDenoiser, controller: EmotionController | None, request: GenerationRequest) -> None:
    check_request(request, denoiser, *(() if controller is None else (controller,)))
    audio = request.audio
    denoiser.refuse_other_audio(audio.encoder, audio.features.shape[1], audio.features.shape[2])
    if controller is not None and controller.config.width != denoiser.config.width:
        raise UserError(
            f"The emotion model has width {controller.config.width} and the motion model {denoiser.config.width}; "
            "load the pair that was trained together."
        )
