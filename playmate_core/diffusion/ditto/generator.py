"""Ditto as a motion generator, conditioned on speech, eight emotions, eyes and face shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...errors import UserError
from ...keypoint_space import LIVEPORTRAIT, require_keypoints
from ...speech import ENCODERS, AudioEncoder
from ...speech.hubert_streaming import StreamingHubert
from ...speech.listener import Source
from ...values import Motion
from ..checks import check_curve, check_encoder, check_request
from ..model_controls import ModelControls
from ..noise import ClipNoise, SharedSteps
from ..one_condition import check_scales, guidance_scale
from ..options import SamplingOptions
from ..pose_prior import PoseLimiter
from ..request import BaseGenerator, GenerationRequest
from ..windows import Progress, WindowPlan
from .apply import Application
from .blink import DISCARDED, blink_rows, fade_shares
from .conditioning import Conditioned, continued, requested_emotions
from .conditions import FACE_CONDITIONS, condition_rows, in_turn
from .config import STEPS
from .controls import Applying, FrameControls
from .layout import COLUMNS, DITTO_EMOTIONS, POSE_COLUMNS, BinnedMotion
from .network import DittoNetwork
from .sampling import SamplingClip, sampled, sampled_together
from .schedule import cosine_schedule
from .settings import DITTO_CONTROLS, DittoData, DittoSettings
from .source import SourceFace
from .stitcher import Continuation

#: Published guidance scale, the same for all conditions.
GUIDANCE = 2.0


@dataclass(frozen=True)
class DittoGenerator(BaseGenerator):
    """A :class:`MotionGenerator` in LivePortrait's space, with eight emotions.

    ``encoder_file`` is the ONNX file of its audio encoder; ``encoder_missing`` the error message if there is none.
    """

    network: DittoNetwork
    data: DittoData = field(default_factory=DittoData)
    settings: DittoSettings = field(default_factory=DittoSettings)
    encoder_file: Path | None = None
    encoder_missing: str = ""
    noise: Callable[[int], ClipNoise] = SharedSteps
    keypoint_space: str = LIVEPORTRAIT

    name: ClassVar[str] = "ditto"
    emotions: ClassVar[tuple[str, ...]] = DITTO_EMOTIONS
    encoder_name: ClassVar[str] = "ditto-hubert"

    control_names: ClassVar[tuple[str, ...]] = DITTO_CONTROLS

    @property
    def defaults(self) -> SamplingOptions:
        """The settings of the published generator, with the step count and overlap of its data file."""
        return SamplingOptions(
            steps=self.data.steps,
            sampler="ddim",
            spacing="truncated",
            eta=1.0,
            cfg_audio=GUIDANCE,
            cfg_audio_pose=GUIDANCE,
            cfg_emotion=1.0,
            overlap=self.data.overlap,
        )

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """Its only network."""
        return (self.network,)

    def encoder(self, source: str | Path | None = None, device: str | torch.device = "cpu") -> AudioEncoder:
        """See :meth:`MotionGenerator.encoder`. Raises UserError where the encoder's file is missing."""
        path = source or self.encoder_file
        if path is None and self.encoder_missing:
            raise UserError(self.encoder_missing)
        silence = self.data.overlap if self.settings.run == "online" else 0
        row = replace(ENCODERS[self.encoder_name], width=self.network.config.condition - FACE_CONDITIONS)
        return StreamingHubert(self.encoder_name, row, Source(path, device=device), silence)

    def iterate(self, request: GenerationRequest, progress: Progress | None = None) -> Iterator[Motion]:
        """See :meth:`MotionGenerator.iterate`."""
        numbers = self.numbers(request, progress)
        return self._applied(request, numbers)

    def _batch(self, requests: Sequence[GenerationRequest], progress: Progress | None) -> list[list[Motion]]:
        options = [request.options or self.defaults for request in requests]
        clips = [self.clip(one, self.conditioned(one), how) for one, how in zip(requests, options, strict=True)]
        noises = [self.noise(how.seed) for how in options]
        schedule = cosine_schedule(STEPS)
        pieces = zip(*sampled_together(self.network, schedule, clips, options[0], noises, progress), strict=True)
        return [list(self._applied(*pair)) for pair in zip(requests, map(iter, pieces), strict=True)]

    def _with_controls(self, controls: ModelControls) -> DittoGenerator:
        return replace(self, settings=self.settings.controlled(controls))

    def numbers(self, request: GenerationRequest, progress: Progress | None = None) -> Iterator[Tensor]:
        """The 265 numbers of every frame, including silence before the first. Checks all inputs when called."""
        self._check(request)
        options = request.options or self.defaults
        clip = self.clip(request, self.conditioned(request), options)
        return sampled(self.network, cosine_schedule(STEPS), clip, options, self.noise(options.seed), progress)

    def _check(self, request: GenerationRequest) -> None:
        check_request(request, *self.modules)
        require_keypoints("Ditto", self.keypoint_space, request.rest.keypoint_space)
        audio, config = request.audio, self.network.config
        check_encoder("Ditto", audio, self.encoder_name, config.condition - FACE_CONDITIONS)
        if request.emotion is not None:
            check_curve(request.emotion, audio)
        options = request.options or self.defaults
        check_scales(options, audio)
        if options.overlap >= config.window:
            raise UserError(f"Got an overlap of {options.overlap} frames; Ditto's windows have {config.window}.")
        if self.settings.run == "online" and (audio.before is None or len(audio.before) != options.overlap):
            raise UserError("Ditto's online run begins with silence as long as its overlap; encode the audio for it.")

    def conditioned(self, request: GenerationRequest) -> Conditioned:
        """The face the model is conditioned on: the file's reference character, or the portrait."""
        if self.settings.character and self.data.character is not None:
            base = Conditioned.of(self.data.character)
        else:
            base = Conditioned.of(SourceFace.of(request))
        return base if request.previous is None else continued(base, request.previous[-1:], request.rest)

    def clip(self, request: GenerationRequest, who: Conditioned, options: SamplingOptions) -> SamplingClip:
        """The sampling plan of a request conditioned on ``who``."""
        audio, online = request.audio, self.settings.run == "online"
        before, after = (0 if rows is None else len(rows) for rows in (audio.before, audio.after))
        last = len(audio) + after - 1
        emotion = requested_emotions(request, self.data.emotions, last + 1)
        window = self.network.config.window
        new = window - options.overlap
        face = replace(who.face, eyes_open=who.face.eyes_open[:1], eye_balls=who.face.eye_balls[:1])
        eyes = face if self.settings.hold_eyes else who.face

        def rows(frames: Tensor) -> Tensor:
            frames = frames.clamp(max=last)
            return condition_rows(audio.rows_at(frames)[:, 0], in_turn(emotion, frames), eyes, who.keypoints, frames)

        # A window begins at every stride while frames remain; the online run needs one more to flush the last frames.
        beyond = new if online else options.overlap
        plan = WindowPlan(before + last + 1 + beyond, window, options.overlap)
        return SamplingClip(
            rows=rows,
            scale=lambda begin: guidance_scale(options, audio, (begin, begin + window), COLUMNS, POSE_COLUMNS),
            source=who.numbers,
            begin=-before,
            windows=plan.count,
            continuation=Continuation(self.settings.reset, self.settings.kept),
            smoothing=self.settings.smoothing,
            frames=None if online else before + last + 1,
        )

    def applying(self, face: SourceFace) -> Applying:
        """How motion is applied to ``face``, from the settings."""
        s, character = self.settings, self.data.character
        ratio = 1.0
        if s.character and character is not None:
            ratio = float(character.motion.scale[0, 0] / face.motion.scale[0, 0])
        return Applying(s.drive, s.mode, ratio, s.drive_eyes, s.follow_gaze, s.fade, s.fade_parts)

    def controls(self, frames: int, seed: int) -> FrameControls:
        """Per-frame controls of a clip: offsets, gate, fades and blinks."""
        s, made = self.settings, FrameControls.none(frames)
        made.offset[:] = torch.tensor([math.nan if degrees is None else degrees for degrees in s.offsets])
        made.factor[:] = torch.tensor(s.factors)
        made.gate[:] = s.gate
        made.fade[:] = fade_shares(frames, s.fade_in, s.fade_out)
        table = self.data.blink_table
        if table is None or not s.drive_eyes:
            return made
        rng = Random(seed)
        blinks = blink_rows(DISCARDED, s.blinks, rng, len(table))  # drawn at set-up, and used online only
        if s.run == "online":
            return replace(made, eyes=table[blinks[torch.arange(frames) % DISCARDED]])
        return replace(made, eyes=table[blink_rows(frames, s.blinks, rng, len(table))])

    def _applied(self, request: GenerationRequest, numbers: Iterator[Tensor]) -> Iterator[Motion]:
        options, audio = request.options or self.defaults, request.audio
        frames, after = len(audio), 0 if audio.after is None else len(audio.after)
        face = SourceFace.of(request)
        first: BinnedMotion | None = None
        if request.previous is not None:  # its logits are not known, so everything is added in degrees
            face = replace(face, binned=False)
            first = BinnedMotion.of(self.conditioned(replace(request, previous=None)).numbers[None])
        controls, lay = self.controls(frames + after, options.seed), None
        head, shown = PoseLimiter(request.rest.pose, options), 0 if audio.before is None else -len(audio.before)
        for piece in numbers:
            if not bool(piece.isfinite().all()):
                raise UserError("The motion model answered with NaN; use another copy of its file, or other settings.")
            driving = BinnedMotion.of(self.data.clamped(piece))
            if lay is None and len(piece):
                lay = Application(face, driving[:1] if first is None else first, self.applying(face), audio.fps)
            begin, end = max(shown, 0), min(shown + len(piece), frames)
            if end > begin and lay is not None:
                part = slice(begin - shown, end - shown)
                motion = lay(driving[part], torch.arange(begin, end), controls[begin:end])
                yield replace(motion, pose=head(motion.pose), keypoint_space=self.keypoint_space)
            shown += len(piece)
