"""JoyVASA as a motion generator: windows of four seconds, each conditioned on the last frames of the one before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...errors import UserError
from ...keypoint_space import LIVEPORTRAIT, require_keypoints
from ...speech import ENCODERS, AudioEncoder
from ...speech.hubert_windows import WindowedHubert, WindowOptions
from ...speech.listener import Source
from ...values import AudioFeatures, Motion
from ..checks import check_encoder, check_request, refuse_emotion
from ..model_controls import ModelControls
from ..noise import ClipNoise, SharedStart, together
from ..one_condition import check_scales, guidance_scale
from ..options import SamplingOptions
from ..pose_prior import PoseLimiter
from ..request import BaseGenerator, GenerationRequest
from ..samplers import sample
from ..windows import Progress, WindowPlan, counted, last_frames
from .combine import combine
from .guidance import guided
from .network import JoyVasaNetwork
from .schedule import cosine_schedule
from .settings import JoyVasaSettings
from .smoothing import SMOOTHERS, Smoother
from .template import POSE_COLUMNS, MotionTemplate, columns_of, pose_of

#: Guidance of the published command line.
GUIDANCE = 2.8


@dataclass(frozen=True)
class JoyVasaGenerator(BaseGenerator):
    """A :class:`MotionGenerator` in LivePortrait's space, without emotions.

    ``audio_encoder`` is the fine-tuned HuBERT of the same file. ``noise`` creates the noise source for a seed.
    """

    network: JoyVasaNetwork
    template: MotionTemplate
    audio_encoder: nn.Module | None = None
    settings: JoyVasaSettings = JoyVasaSettings()
    encoder_name: str = "joyvasa-hubert"
    noise: Callable[[int], ClipNoise] = SharedStart
    keypoint_space: str = LIVEPORTRAIT

    name: ClassVar[str] = "joyvasa"
    emotions: ClassVar[tuple[str, ...]] = ()

    control_names: ClassVar[tuple[str, ...]] = ("lead_frames", "head_smoothing", "subject")

    @property
    def defaults(self) -> SamplingOptions:
        """Ancestral sampling with all training steps; windows do not overlap."""
        return SamplingOptions(
            steps=self.network.config.steps,
            sampler="ddpm",
            spacing="uniform",
            cfg_audio=GUIDANCE,
            cfg_audio_pose=GUIDANCE,
            cfg_emotion=0.0,
            overlap=0,
        )

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """Its networks."""
        return (self.network,) if self.audio_encoder is None else (self.network, self.audio_encoder)

    def encoder(self, source: str | Path | None = None, device: str | torch.device = "cpu") -> AudioEncoder:
        """The fine-tuned encoder of this model's file; ``source`` is ignored, as other weights would not fit."""
        if self.audio_encoder is not None:
            self.audio_encoder.to(device)
        listening = WindowOptions(self.settings.lead_frames, self.settings.waveform)
        row = replace(ENCODERS[self.encoder_name], width=self.network.config.audio_width)
        return WindowedHubert(self.encoder_name, row, Source(module=self.audio_encoder), listening)

    def iterate(self, request: GenerationRequest, progress: Progress | None = None) -> Iterator[Motion]:
        """See :meth:`MotionGenerator.iterate`."""
        numbers = self.numbers(request, progress)
        return self._combined(request, numbers)

    def _batch(self, requests: Sequence[GenerationRequest], progress: Progress | None) -> list[list[Motion]]:
        windows = zip(*self._sampled(requests, progress), strict=True)
        return [list(self._combined(*pair)) for pair in zip(requests, map(iter, windows), strict=True)]

    def _with_controls(self, controls: ModelControls) -> JoyVasaGenerator:
        return replace(self, settings=self.settings.controlled(controls))

    def numbers(self, request: GenerationRequest, progress: Progress | None = None) -> Iterator[Tensor]:
        """The normalised numbers (n, C) of each window, as the network predicts them. Checks all inputs when called."""
        self._check(request)
        return (made for (made,) in self._sampled([request], progress))

    def _check(self, request: GenerationRequest) -> None:
        check_request(request, *self.modules)
        require_keypoints("JoyVASA", self.keypoint_space, request.rest.keypoint_space)
        check_encoder("JoyVASA", request.audio, self.encoder_name, self.network.config.audio_width)
        refuse_emotion("JoyVASA", request.emotion)
        options = request.options or self.defaults
        if options.steps > self.network.config.steps:
            raise UserError(f"Got {options.steps} steps; JoyVASA's model has {self.network.config.steps} at most.")
        check_scales(options, request.audio)

    def motion(self, numbers: Tensor, smoother: Smoother | None = None, fps: float = 25.0) -> Motion:
        """Numbers (T, C) as the model's motion with smoothed head pose, not yet applied to a portrait."""
        made = self.template.decode(numbers, fps)
        calm = SMOOTHERS[self.settings.smoother](self.settings.smoothing) if smoother is None else smoother
        return made.with_pose(pose_of(calm(columns_of(made.pose)), fps))

    @torch.no_grad()
    def _sampled(
        self, requests: Sequence[GenerationRequest], progress: Progress | None
    ) -> Iterator[tuple[Tensor, ...]]:
        """The numbers (n, C) of each request's window, window by window, for options that differ in their seed."""
        config, audio = self.network.config, requests[0].audio
        options = requests[0].options or self.defaults
        plan = WindowPlan(len(audio), config.window, 0)
        past = torch.stack([self._before(request) for request in requests])
        past_audio = self.network.start_audio_feat.expand(len(requests), -1, -1)
        sources = [self.noise((request.options or self.defaults).seed) for request in requests]
        for index in range(plan.count):
            begin = plan.begin(index)
            features = torch.stack([self._heard(request.audio, begin) for request in requests])
            reach = (begin, begin + config.window)
            scale = guidance_scale(options, audio, reach, config.motion, POSE_COLUMNS)
            predict = guided(self.network, features, past, past_audio, scale, self.settings.positions)
            noise = together([source.window(index) for source in sources])
            made = sample(
                predict,
                cosine_schedule(config.steps),
                noise.start((len(requests), config.window, config.motion)).to(past.device),
                steps=options.steps,
                sampler=options.sampler,
                spacing=options.spacing,
                eta=options.eta,
                generator=noise.draw,
                limit=math.inf,
                progress=counted(progress, index, plan.count),
            )
            past, past_audio = made[:, -config.previous :].to(past), features[:, -config.previous :]
            yield tuple(one[: len(audio) - begin].cpu() for one in made)

    def _before(self, request: GenerationRequest) -> Tensor:
        """What stands before the first window (P, C)."""
        config, like = self.network.config, self.network.start_motion_feat
        if request.previous is None:
            return like[0]
        made = self.template.encode(request.previous, config.motion)
        made[:, POSE_COLUMNS.stop :] = like[0, -1:, POSE_COLUMNS.stop :].cpu()
        return last_frames(made, config.previous).to(like)

    def _heard(self, audio: AudioFeatures, begin: int) -> Tensor:
        """The mapped features (W, d) of the window that begins at frame ``begin``."""
        last = len(audio) - 1 + (0 if audio.after is None else len(audio.after))
        frames = torch.arange(begin, begin + self.network.config.window).clamp(max=last)
        return self.network.audio_feature_map(audio.rows_at(frames)[:, 0].to(self.network.start_motion_feat))

    def _combined(self, request: GenerationRequest, numbers: Iterator[Tensor]) -> Iterator[Motion]:
        options, rest = request.options or self.defaults, request.rest
        smoother = SMOOTHERS[self.settings.smoother](self.settings.smoothing)
        start, first, head = rest, None, PoseLimiter(rest.pose, options)
        if request.previous is not None:  # a continuation: generated values are already relative to it
            start = first = request.previous[-1:]
            smoother(columns_of(start.pose))
        for window in numbers:
            if not bool(window.isfinite().all()):
                raise UserError("The motion model answered with NaN; use another copy of its file, or other settings.")
            driving = self.motion(window, smoother, request.audio.fps)
            first = driving[:1] if first is None else first
            motion = combine(start, driving, first, self.settings.region, self.settings.subject)
            yield replace(motion, pose=head(motion.pose), keypoint_space=self.keypoint_space)
