"""Motion of speech that is still being recorded, equal to that of the whole recording.

A window is sampled as soon as the audio reaches to its end, so a frame waits for at most one window of speech.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from ..errors import UserError
from ..values import AudioFeatures, EmotionCurve, Motion
from .controlled_emotion import controlled_emotion
from .emotion_schedule import EmotionSchedule
from .generate import PlaymateGenerator, checked_plan
from .options import GuidanceKeys, SamplingOptions
from .request import GenerationRequest
from .window_chain import WindowChain
from .window_sampling import SamplingPlan

#: Frames of a schedule that are looked through for emotions: an hour.
FORESEEN = 90_000


@dataclass(frozen=True)
class LiveRequest:
    """As :class:`GenerationRequest`, without the audio: the portrait, the emotion over time, the sampling options."""

    portrait_keypoints: Tensor
    rest: Motion
    emotion: EmotionSchedule | None = None
    options: SamplingOptions | None = None


class GrowingRows:
    """Rows (T, ...) that are appended to; memory is copied only when its capacity doubles."""

    def __init__(self, first: Tensor) -> None:
        self._held, self._count = first.clone(), len(first)

    @property
    def rows(self) -> Tensor:
        return self._held[: self._count]

    def append(self, more: Tensor) -> None:
        needed = self._count + len(more)
        if needed > len(self._held):
            larger = self._held.new_empty(2 * needed, *self._held.shape[1:])
            larger[: self._count] = self.rows
            self._held = larger
        self._held[self._count : needed] = more
        self._count = needed


class LiveMotion:
    """Takes encoded speech as it comes and returns motion; for the same seed what :func:`generate` returns.

    The speech encoder's rows may come in pieces of any length. Call :meth:`finish` once at the end.
    """

    def __init__(self, generator: PlaymateGenerator, request: LiveRequest) -> None:
        options = request.options or generator.defaults
        curves = (options.cfg_audio, options.cfg_audio_pose, options.cfg_emotion)
        if any(isinstance(curve, tuple) and not isinstance(curve, GuidanceKeys) for curve in curves):
            raise UserError("A guidance value for each frame needs the whole speech; please give one number, or keys.")
        self._generator, self._request = generator, replace(request, options=options)
        self._chain: WindowChain | None = None
        self._features: GrowingRows | None = None
        self._energy: GrowingRows | None = None
        self._plan: SamplingPlan | None = None
        self._sent = 0

    @property
    def look_ahead(self) -> int:
        """Most frames of speech that must follow a frame before its motion can be sampled."""
        return self._generator.denoiser.config.window - 1

    def push(self, audio: AudioFeatures) -> Iterator[Motion]:
        """The motion that more speech completes, window by window. Raises UserError as :func:`generate` does."""
        if len(audio) == 0:
            return
        plan, chain = self._grown(audio)
        window = plan.denoiser.config.window
        while len(plan.audio) >= plan.windows.begin(chain.index) + window:
            piece = chain.extend(plan, last=False)
            self._sent += len(piece)
            yield piece

    def finish(self) -> Iterator[Motion]:
        """The motion up to the end of the speech."""
        plan, chain = self._plan, self._chain
        if plan is None or chain is None or self._sent == len(plan.audio):
            return
        yield chain.extend(plan, last=True) if chain.index < plan.windows.count else chain.rest(plan)
        self._sent = len(plan.audio)

    def _grown(self, more: AudioFeatures) -> tuple[SamplingPlan, WindowChain]:
        """The plan for all audio so far, and the windows sampled from it."""
        request = self._request
        if self._plan is None or self._features is None or self._energy is None:
            self._features, self._energy = GrowingRows(more.features[:]), GrowingRows(more.energy)
        else:
            self._features.append(more.features[:])
            self._energy.append(more.energy)
        audio = replace(more, features=self._features.rows, energy=self._energy.rows)
        generator, curve = self._generator, self._curve(len(audio), audio.fps)
        if self._plan is None or self._chain is None:
            clip = GenerationRequest(request.portrait_keypoints, request.rest, audio, curve, request.options)
            self._plan = checked_plan(generator.denoiser, generator.controller, clip)
            self._chain = WindowChain(self._plan)
        else:
            rows = controlled_emotion(generator.controller, curve, audio)
            self._plan = replace(self._plan, audio=audio, emotion=rows)
        return self._plan, self._chain

    def _curve(self, frames: int, fps: float) -> EmotionCurve | None:
        """The emotion of the frames so far; refused where it begins later, as the network would be changed midway."""
        curve = None if self._request.emotion is None else self._request.emotion.curve(frames, fps)
        if curve is not None and not bool((curve.weights[0] != 0).any()):
            whole = self._request.emotion.curve(FORESEEN, fps)  # type: ignore[union-attr]
            if whole is not None and bool((whole.weights != 0).any()):
                raise UserError("A live emotion must begin with the speech; please write one for second 0.")
        return curve
