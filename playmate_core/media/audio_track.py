"""The sound of a video being written: decoded, cut, and encoded in step with the pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .audio_files import Recording, Resampling, silence_not_finite
from .container import Damage, decoding, open_container
from .sound_source import SoundSource, audio_streams, find_sound
from .timestamps import GaplessSound

#: Rates that the encoder does not support are resampled to this, Hz.
_FALLBACK_RATE = 48_000
#: Channel layouts FFmpeg's AAC encoder takes; any other is mixed to stereo.
_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.0(side)", "5.1", "5.1(side)", "7.1", "7.1(wide)")
_UNNAMED = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
#: Encoders that take any rate.
_ANY_RATE = ("pcm_s16le",)
_BLOCK = 1024
#: Decoded audio slightly overshoots 1; larger values are clipped, as the encoder fails on extreme ones.
_PEAK = 4.0


#: Sources of a video's sound: samples, a file, one of the tracks of a file, or None.
AnySound = Recording | SoundSource | str | Path | None


class Soundtrack:
    """Encodes audio only up to the current picture, so that the muxer buffers neither stream."""

    def __init__(self, container: Any, stream: Any, source: Iterator[NDArray[np.float32]]) -> None:
        self._container, self._stream, self._source = container, stream, source
        self._rate = stream.codec_context.sample_rate
        self._layout = stream.codec_context.layout.name
        self._written = 0
        self._pending = np.zeros((stream.codec_context.layout.nb_channels, 0), np.float32)

    @staticmethod
    @contextmanager
    def into(
        container: Any, sound: AnySound, bits_per_channel: int, encoder: str = "aac"
    ) -> Iterator[Soundtrack | NoSoundtrack]:
        """Add an audio stream for ``sound`` to an output container; None, or no encoder, gives a track that writes
        nothing."""
        if sound is None or not encoder:
            yield NoSoundtrack()
            return
        if isinstance(sound, str | Path):
            sound = find_sound(sound)
        if isinstance(sound, SoundSource):
            with open_container(sound.path, "speech") as medium:
                sound_stream = audio_streams(medium, sound.path)[sound.track]
                rate, layout = sound_stream.codec_context.sample_rate, _layout(sound_stream)
                stream = _audio_out(container, encoder, rate, layout, bits_per_channel)
                frames = GaplessSound(medium, sound_stream, sound.origin, Damage())
                yield Soundtrack(container, stream, _converted(_decoded(frames, sound.path), stream))
                if not sound.reported:
                    frames.report(sound.path)
            return
        layout = _UNNAMED.get(len(sound.samples), "stereo")
        stream = _audio_out(container, encoder, sound.rate, layout, bits_per_channel)
        yield Soundtrack(container, stream, _converted(_frames(sound, layout), stream))

    def write_until(self, seconds: Fraction) -> None:
        """Encode whole blocks up to ``seconds``."""
        while self._written + _BLOCK <= seconds * self._rate and self._fill(_BLOCK):
            self._encode(_BLOCK)

    def finish(self, seconds: Fraction) -> None:
        """Encode the rest up to ``seconds``, silence where the source has ended, and flush."""
        total = math.floor(seconds * self._rate)
        while self._written < total:
            wanted = min(_BLOCK, total - self._written)
            self._fill(wanted)
            missing = max(0, wanted - self._pending.shape[1])
            self._pending = np.pad(self._pending, ((0, 0), (0, missing)))
            self._encode(wanted)
        self._container.mux(self._stream.encode(None))

    def _fill(self, samples: int) -> bool:
        """Read until ``samples`` are pending; False when the source ends before."""
        while self._pending.shape[1] < samples:
            piece = next(self._source, None)
            if piece is None:
                return False
            self._pending = np.concatenate([self._pending, piece], 1)
        return True

    def _encode(self, samples: int) -> None:
        import av

        block, self._pending = self._pending[:, :samples], self._pending[:, samples:]
        clean = np.nan_to_num(np.ascontiguousarray(block), nan=0.0, posinf=1.0, neginf=-1.0).clip(-_PEAK, _PEAK)
        frame = av.AudioFrame.from_ndarray(clean, format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._written, Fraction(1, self._rate)
        self._container.mux(self._stream.encode(frame))
        self._written += samples


class NoSoundtrack:
    """The soundtrack of a video without sound; its methods do nothing."""

    def write_until(self, seconds: Fraction) -> None:
        """Does nothing."""

    def finish(self, seconds: Fraction) -> None:
        """Does nothing."""


def _audio_out(container: Any, encoder: str, rate: int, layout: str, bits_per_channel: int) -> Any:
    import av

    known = av.codec.Codec(encoder, "w").audio_rates or [rate if encoder in _ANY_RATE else _FALLBACK_RATE]
    if encoder == "libopus" and layout != "mono":  # its layouts of more channels are others than AAC's
        layout = "stereo"
    stream = container.add_stream(encoder, rate=rate if rate in known else _FALLBACK_RATE, layout=layout)
    channels = stream.codec_context.layout.nb_channels
    # AAC takes at most 6 bits a sample; asking for more only earns a warning.
    stream.bit_rate = channels * min(bits_per_channel, 6 * stream.codec_context.sample_rate)
    return stream


def _layout(sound_stream: Any) -> str:
    """The layout to encode; WAV files of six channels often do not name theirs."""
    name = sound_stream.codec_context.layout.name
    if name in _LAYOUTS:
        return name
    return _UNNAMED.get(sound_stream.codec_context.layout.nb_channels, "stereo")


def _decoded(sound: GaplessSound, path: Path) -> Iterator[Any]:
    """Decoded frames of the speech. Only decoding errors name the speech file; those of the muxer have other causes."""
    frames = iter(sound)
    while True:
        with decoding(path, "speech"):
            frame = next(frames, None)
        if frame is None:
            return
        if frame.format.name.startswith(("flt", "dbl")):
            silence_not_finite(frame)
        yield frame


def _converted(frames: Iterator[Any], stream: Any) -> Iterator[NDArray[np.float32]]:
    """Decoded frames as (channels, n) at the rate and layout of ``stream``."""
    context = stream.codec_context
    for piece in Resampling("fltp", context.layout.name, context.sample_rate).of(frames):
        yield np.asarray(piece.to_ndarray(), np.float32)


def _frames(sound: Recording, layout: str) -> Iterator[Any]:
    """The samples in blocks; only the first two channels where no layout has that many."""
    import av

    step, channels = 16 * _BLOCK, av.AudioLayout(layout).nb_channels
    for start in range(0, sound.samples.shape[1], step):
        piece = np.ascontiguousarray(sound.samples[:channels, start : start + step], np.float32)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = sound.rate, start, Fraction(1, sound.rate)
        yield frame
