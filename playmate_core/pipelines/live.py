"""A talking portrait while the speech is still being recorded: samples in, frames out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from torch import Tensor

from ..diffusion.emotion_schedule import EmotionSchedule
from ..diffusion.generate import PlaymateGenerator
from ..diffusion.live import LiveMotion, LiveRequest
from ..diffusion.options import SamplingOptions
from ..errors import UserError
from ..face import FaceModel
from ..keypoint_space import MotionAdapter
from ..motion.stream import first_frame_alone
from ..rendering.device import batch_on
from ..rendering.fallback import FallbackRenderer
from ..rendering.render import RenderOptions, relative_to_rest, render
from ..speech.live import LiveLogMel, SpeechLevel
from ..speech.waveform import Waveform
from ..values import AudioFeatures, Motion, Portrait
from .stages import check_generator


@dataclass(frozen=True)
class LiveOptions:
    """``emotion`` of the generator over time from the first sample on; ``level`` as in :class:`LiveLogMel`."""

    emotion: EmotionSchedule | None = None
    sampling: SamplingOptions | None = None
    rendering: RenderOptions = field(default_factory=RenderOptions)
    level: SpeechLevel | None = None


class LiveTalk:
    """Draws a portrait that speaks, with a bounded look-ahead: a frame is drawn once the window of speech that it lies
    in is complete.

    For the same seed and level the motion is that of the whole recording. Raises UserError for generators whose speech
    encoder needs the whole recording.
    """

    def __init__(
        self, face: FaceModel, generator: PlaymateGenerator, portrait: Portrait, options: LiveOptions | None = None
    ) -> None:
        options = options or LiveOptions()
        if not generator.encodes_live:
            raise UserError(
                f"The motion model {generator.name} cannot be driven live: its speech encoder reads whole recordings;"
                " please take a Playmate model with the encoder logmel."
            )
        check_generator(generator, portrait.keypoint_space)
        self._face, self._portrait = face, portrait
        request = LiveRequest(portrait.keypoints, portrait.rest, options.emotion, options.sampling)
        self._speech, self._motion = LiveLogMel(options.level), LiveMotion(generator, request)
        self._rendering = replace(options.rendering, expression="absolute")
        wanted = options.rendering.expression
        self._relative = wanted == "relative" or (wanted == "auto" and not portrait.familiar)
        batch = batch_on(next(face.parameters()).device, self._rendering.batch)
        self._renderer = FallbackRenderer(face, batch, self._rendering.profile)
        self._adapted = MotionAdapter(portrait.rest)
        self._first: Motion | None = None

    @property
    def look_ahead(self) -> int:
        """Most frames of speech that must follow a frame before it can be drawn."""
        return self._motion.look_ahead

    def push(self, samples: Waveform) -> Iterator[Tensor]:
        """The frames (n, S, S, 3) uint8 that more speech, 16 kHz mono, completes: 25 for each second."""
        return self._drawn(self._listened(self._speech.push(samples)))

    def finish(self) -> Iterator[Tensor]:
        """The frames up to the end of the speech."""
        yield from self._drawn(self._listened(self._speech.finish()))
        yield from self._drawn(self._motion.finish())

    def _listened(self, audio: AudioFeatures | None) -> Iterator[Motion]:
        if audio is not None:
            yield from self._motion.push(audio)

    def _drawn(self, pieces: Iterable[Motion]) -> Iterator[Tensor]:
        for piece in first_frame_alone(pieces) if self._first is None else pieces:
            motion = self._adapted(piece)
            self._first = self._first or motion[:1]
            if self._relative:
                motion = relative_to_rest(self._portrait, motion, self._first)
            yield from render(self._face, self._portrait, motion, self._rendering, renderer=self._renderer)
