"""Decode speech from any container PyAV reads into a mono waveform, in memory proportional to its samples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..speech import SAMPLE_RATE, Resampler
from ..speech.samples import StoredSamples
from ..values import expect_rate
from .container import Damage, open_medium
from .sound_source import SoundSource, audio_streams, find_sound
from .timestamps import GaplessSound, stated_stream_length

#: FFmpeg adds the sides at -3 dB each, so that two equal channels would come out 3 dB too loud.
_MIX_GAIN = np.float32(0.5**0.5)
#: Layouts of more channels have no weights in FFmpeg.
_MOST_PLACES = 8
#: Containers whose header states the number of samples.
_COUNTED = ("flac",)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sound:
    """A mono ``waveform`` (N,) float32, about -1 ... 1, at ``rate`` samples a second."""

    waveform: NDArray[np.float32]
    rate: int

    def __post_init__(self) -> None:
        if self.waveform.ndim != 1 or not len(self.waveform):
            raise ValueError(f"Sound.waveform must have shape (N,) with N > 0, got {self.waveform.shape}.")
        expect_rate("Sound.rate", self.rate)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.waveform) / self.rate


#: Upper bound of start times and durations: one day.
MOST_SECONDS = 86400.0


@dataclass(frozen=True)
class Recording:
    """Unmixed audio: ``samples`` (channels, N) float32, about -1 ... 1, at ``rate`` samples a second."""

    samples: NDArray[np.float32]
    rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or not self.samples.size:
            raise ValueError(f"Recording.samples must have shape (channels, N) with N > 0, got {self.samples.shape}.")
        expect_rate("Recording.rate", self.rate)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.samples.shape[1] / self.rate

    def part(self, start: float, seconds: float = 0.0) -> Recording:
        """From ``start`` on, ``seconds`` long or, at 0, to the end. Raises UserError where nothing is left."""
        for name, value in (("start", start), ("duration", seconds)):
            if not 0 <= value <= MOST_SECONDS:
                raise UserError(f"The {name} is {value:g} s; please give a number from 0 to {MOST_SECONDS:g}.")
        begin = round(start * self.rate)
        end = begin + round(seconds * self.rate) if seconds > 0 else self.samples.shape[1]
        piece = self.samples[:, begin:end]
        if not piece.size:
            raise UserError(
                f"Nothing is left of the {self.seconds:.2f} s of audio from {start:g} s on; please start earlier."
            )
        return Recording(piece, self.rate)

    def delayed(self, seconds: float) -> Recording:
        """Shift by ``seconds`` (negative: earlier) at constant length, padding with silence. Raises UserError where
        nothing would be left."""
        if not abs(seconds) < self.seconds:
            raise UserError(
                f"The offset of {seconds:g} s is longer than the {self.seconds:.2f} s of audio; please make it smaller."
            )
        shift = round(seconds * self.rate)
        length = self.samples.shape[1]
        kept = self.samples[:, max(0, -shift) : length - max(0, shift)]
        return Recording(np.pad(kept, ((0, 0), (max(0, shift), max(0, -shift)))), self.rate)


def read_sound(source: SoundSource | str | Path, rate: int | None = SAMPLE_RATE, channel: int | None = None) -> Sound:
    """Decode, mix to mono and resample one audio stream of a file; ``rate`` None keeps the stream's own. ``channel``,
    from 0, takes that one alone.

    Samples are placed by their timestamps. Channels of which nothing is left when they are mixed are not mixed: the
    loudest is used. The waveform has ceil(seconds x rate) samples, so ceil(duration x fps) is the same before and after
    resampling. An hour at 16 kHz takes 230 MB whatever the file's own rate and channels. Raises UserError when the file
    is missing, empty, truncated, of an unknown format, or without audio.
    """
    read, rate = _read_mono(source, rate, channel, _HeldSamples)
    return Sound(read.waveform(), rate)


def store_speech(source: SoundSource | str | Path) -> StoredSamples:
    """:func:`read_sound` at 16 kHz into a temporary file, so that memory does not grow with its length."""
    return _read_mono(source, SAMPLE_RATE, None, StoredSamples)[0]


class _Kept(Protocol):
    """Where decoded samples go."""

    def append(self, samples: NDArray[np.float32], /) -> None: ...

    def resize(self, count: int, /) -> None: ...


class _HeldSamples:
    """Samples in memory."""

    def __init__(self) -> None:
        self._bytes = bytearray()  # grows by an eighth at a time; np.frombuffer then needs no copy
        self._count = 0

    def append(self, samples: NDArray[np.float32]) -> None:
        self._bytes += samples.data

    def resize(self, count: int) -> None:
        """Drop the samples from ``count`` on, or add silence up to it."""
        self._count = count
        self._bytes += bytes(max(0, 4 * count - len(self._bytes)))

    def waveform(self) -> NDArray[np.float32]:
        return np.frombuffer(self._bytes, np.float32)[: self._count]


_K = TypeVar("_K", bound=_Kept)


def _read_mono(
    source: SoundSource | str | Path, rate: int | None, channel: int | None, kept: Callable[[], _K]
) -> tuple[_K, int]:
    """One stream as mono at ``rate``, in what ``kept`` makes, and that rate; see :func:`read_sound`."""
    source = source if isinstance(source, SoundSource) else find_sound(source)
    samples = kept()
    wanted, levels = _decode_mono(source, rate, channel, samples)
    if channel is None and levels.cancel():
        loudest, count = int(np.argmax(levels.channels)), len(levels.channels)
        side = f"{('left', 'right')[loudest]} one" if count == 2 else f"channel {loudest}, counted from 0,"
        log.warning(
            "The %s channels of %s cancel each other out; its %s is listened to.",
            "two" if count == 2 else count,
            source.path,
            side,
        )
        samples = kept()
        _decode_mono(source, rate, loudest, samples)
    return samples, wanted


def _decode_mono(source: SoundSource, rate: int | None, channel: int | None, into: _Kept) -> tuple[int, ChannelLevels]:
    """Append one stream as mono (only ``channel``, if it is given); the rate, and the levels of the channels."""
    damage = Damage()
    with open_medium(source.path, "speech") as container:
        stream = audio_streams(container, source.path)[source.track]
        native, wanted = stream.codec_context.sample_rate, rate or stream.codec_context.sample_rate
        count = stream.codec_context.layout.nb_channels
        if channel is not None and not 0 <= channel < count:
            raise UserError(f"{source.path} has {count} channels, counted from 0, so there is no {channel}.")
        sound = GaplessSound(container, stream, source.origin, damage)
        mix = _Mix(stream.codec_context.layout, native, channel)
        resampler = Resampler(native, wanted)
        for piece in mix.of(sound):
            into.append(resampler.take(piece))
        _warn_of_losses(source.path, sound, stream, mix.not_finite if channel is None else 0)
    if not sound.samples:
        raise UserError(f"{source.path} has an audio stream without a single sample; please give one with sound.")
    into.append(resampler.finish())
    into.resize(-(-sound.samples * wanted // native))  # resamplers end a few samples early or late
    return wanted, mix.levels


def _warn_of_losses(path: Path, sound: GaplessSound, stream: Any, not_finite: int) -> None:
    """Log what could not be decoded. Raises UserError where the header states far more samples."""
    seconds = (sound.samples + sound.dropped) / sound.rate
    sound.report(path)
    if not_finite:
        log.warning("%s holds %d samples that are no numbers or infinite; they are silenced.", path, not_finite)
    stated = stated_stream_length(sound.container, stream)
    counted = sound.container.format.name in _COUNTED
    if stated is not None and seconds < (stated - 0.05 if counted else 0.98 * stated - 0.2):
        if counted and seconds < 0.98 * stated - 0.2:
            raise UserError(
                f"{path} is cut short: {seconds:.2f} of {stated:.2f} seconds could be read; please give the whole file."
            )
        log.warning("%s says that its sound lasts %.2f s, but only %.2f s could be read.", path, stated, seconds)


@dataclass
class ChannelLevels:
    """Sums of squares of the ``channels`` (C,) and of their ``mix``."""

    channels: NDArray[np.float64]
    mix: float = 0.0

    def cancel(self) -> bool:
        """Whether mixing leaves less than a hundredth of the loudest channel's power."""
        return bool(self.mix < 0.01 * self.channels.max())


class Resampling:
    """Resamples audio frames to one format; restarts where their rate, layout or format changes midway."""

    def __init__(self, sample_format: str, layout: Any, rate: int) -> None:
        self._wanted = (sample_format, layout, rate)
        self._kind: tuple[object, ...] | None = None
        self._resampler: Any = None

    def of(self, frames: Iterator[Any]) -> Iterator[Any]:
        """The resampled frames, including those the resampler had buffered."""
        import av

        for frame in frames:
            kind = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate)
            if kind != self._kind:
                yield from self._held_back()
                self._kind, self._resampler = kind, av.AudioResampler(*self._wanted)
            yield from self._resampler.resample(frame)
        yield from self._held_back()

    def _held_back(self) -> Iterator[Any]:
        if self._resampler is not None:
            yield from self._resampler.resample(None)


class _Mix:
    """Mixes frames to mono float32, replaces non-finite samples, and measures the levels of the channels."""

    def __init__(self, layout: Any, rate: int, channel: int | None) -> None:
        """``layout`` of the stream; ``channel`` is used alone, None mixes all."""
        import av

        # Packed: PyAV cannot convert planar frames of more than 8 channels that it made itself.
        self._resampling, self._channel = Resampling("flt", layout, rate), channel
        self._mixer = av.AudioResampler("flt", "mono", rate)
        self.levels = ChannelLevels(np.zeros(layout.nb_channels))
        self.not_finite = 0

    def of(self, frames: GaplessSound) -> Iterator[NDArray[np.float32]]:
        for frame in self._resampling.of(self._clean(iter(frames))):
            channels = np.asarray(frame.to_ndarray(), np.float32).reshape(-1, len(self.levels.channels)).T
            self.levels.channels += np.square(channels, dtype=np.float64).sum(1)
            for mono in [channels[self._channel]] if self._channel is not None else self._mixed(frame, channels):
                self.levels.mix += float(np.square(mono, dtype=np.float64).sum())
                yield np.ascontiguousarray(mono)

    def _mixed(self, frame: Any, channels: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """The mean of channels (C, n) that have no places; those of 3.0 to 7.1 are weighted by them, by FFmpeg."""
        if not 2 < len(channels) <= _MOST_PLACES:
            yield channels.mean(0)
            return
        for mixed in self._mixer.resample(frame):
            yield mixed.to_ndarray()[0] * _MIX_GAIN

    def _clean(self, frames: Iterator[Any]) -> Iterator[Any]:
        """Silence NaN and infinities, which float files may hold, before a resampler spreads them."""
        for frame in frames:
            if frame.format.name.startswith(("flt", "dbl")):
                self.not_finite += silence_not_finite(frame)
            yield frame


def silence_not_finite(frame: Any) -> int:
    """Set the samples of a float frame that are no finite numbers to 0, in place; returns how many."""
    dtype, count = (np.float32 if frame.format.name.startswith("flt") else np.float64), 0
    used = frame.samples * (1 if frame.format.is_planar else frame.layout.nb_channels)  # planes end in padding
    for plane in frame.planes:
        values = np.frombuffer(plane, dtype)
        bad = ~np.isfinite(values)
        bad[used:] = False
        if bad.any():
            count += int(bad.sum())
            plane.update(np.where(bad, 0, values).astype(dtype).tobytes())
    return count
