"""Speech from any container PyAV reads, as one mono waveform; an hour costs its samples and nothing more."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..speech import SAMPLE_RATE
from ..values import expect_rate
from .images import check_file

#: Containers whose header states the true length, so that a file cut short shows.
_TRUTHFUL = ("mov", "matroska", "flac", "wav", "aiff")
#: FFmpeg adds the sides at -3 dB each, so that two equal channels would come out 3 dB too loud.
_MIX_GAIN = np.float32(0.5**0.5)


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
        return len(self.waveform) / self.rate


#: A day: no recording begins later or lasts longer.
MOST_SECONDS = 86400.0


@dataclass(frozen=True)
class Recording:
    """Sound as it was given: ``samples`` (channels, N) float32, about -1 ... 1, at ``rate`` samples a second."""

    samples: NDArray[np.float32]
    rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or not self.samples.size:
            raise ValueError(f"Recording.samples must have shape (channels, N) with N > 0, got {self.samples.shape}.")
        expect_rate("Recording.rate", self.rate)

    @property
    def seconds(self) -> float:
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
        """Later by ``seconds``, or earlier (negative), and as long as before: what leaves at one end is replaced by
        silence at the other. Raises UserError where nothing would be left."""
        if not abs(seconds) < self.seconds:
            raise UserError(
                f"The offset of {seconds:g} s is longer than the {self.seconds:.2f} s of audio; please make it smaller."
            )
        shift = round(seconds * self.rate)
        length = self.samples.shape[1]
        kept = self.samples[:, max(0, -shift) : length - max(0, shift)]
        return Recording(np.pad(kept, ((0, 0), (max(0, shift), max(0, -shift)))), self.rate)


def read_sound(path: str | Path, rate: int | None = SAMPLE_RATE) -> Sound:
    """Decode, mix to mono and resample the first audio stream of ``path``; ``rate`` None keeps the stream's own.

    The waveform has ceil(seconds x rate) samples, so ceil(duration x fps) is the same before and after resampling.
    An hour at 16 kHz takes 230 MB whatever the file's own rate and channels. Raises UserError when the file is
    missing, empty, cut short, no medium PyAV knows, or has no audio in it.
    """
    path = Path(path)
    with open_medium(path, "speech") as container:
        stream = audio_stream(container, path)
        native, wanted = stream.codec_context.sample_rate, rate or stream.codec_context.sample_rate
        samples = bytearray()  # grows by an eighth at a time and becomes the waveform without a copy
        heard = 0.0
        resampler = _mono(wanted)
        for frame in container.decode(stream):
            heard += frame.samples / frame.sample_rate
            for piece in resampler.resample(frame):
                samples += _finite(piece)
        if heard:
            for piece in resampler.resample(None):
                samples += _finite(piece)
        check_whole(container, stream, heard, path)
    if not heard:
        raise UserError(f"{path} has an audio stream without a single sample; please give a recording with sound.")
    exact = round(heard * native)  # back to whole samples: a sum of seconds is not one to trust with a ceil
    length = -(-exact * wanted // native)
    samples += bytes(max(0, 4 * length - len(samples)))  # resamplers end a few samples early or late
    waveform = np.frombuffer(samples, np.float32)[:length]
    if stream.codec_context.layout.nb_channels > 1:
        waveform *= _MIX_GAIN
    return Sound(waveform, wanted)


@contextmanager
def open_medium(path: Path, what: str) -> Iterator[Any]:
    """Open an audio or video file for reading; every complaint of FFmpeg inside the block becomes a UserError."""
    import av

    check_file(path, what)
    with decoding(path, what), av.open(str(path)) as container:
        name = container.format.name
        if name == "tty" or name.endswith("_pipe") or name == "image2":  # FFmpeg takes these for films
            seems = "text" if name == "tty" else "a still picture"
            raise UserError(f"{path} is {seems}, not a {what} file; please give another.")
        yield container


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Turn FFmpeg's complaints about ``path`` into one UserError."""
    import av

    try:
        yield
    except av.error.FFmpegError as problem:
        raise UserError(
            f"{path} is not a {what} file that can be decoded ({problem.strerror}): it is damaged, cut short or of"
            " another type."
        ) from problem


def audio_stream(container: Any, path: Path) -> Any:
    """The first audio stream of an open container. Raises UserError when there is none."""
    if not container.streams.audio or not container.streams.audio[0].codec_context:
        raise UserError(f"{path} has no audio in it; please give a recording of speech.")
    stream = container.streams.audio[0]
    if not stream.codec_context.sample_rate:
        raise UserError(f"{path} has audio without a sample rate; please convert it to WAV first.")
    return stream


def check_whole(container: Any, stream: Any, seconds: float, path: Path) -> None:
    """Raise UserError when far fewer ``seconds`` were decoded than the file's header promises."""
    if not any(name in container.format.name for name in _TRUTHFUL):
        return
    promised = _promised_seconds(container, stream, path)
    if promised is not None and seconds < 0.98 * promised - 0.2:
        raise UserError(
            f"{path} is cut short: {seconds:.2f} of {promised:.2f} seconds could be read; please give the whole file."
        )


def _promised_seconds(container: Any, stream: Any, path: Path) -> float | None:
    if container.format.name == "wav":
        return _promised_by_wav(path)
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else None


def _promised_by_wav(path: Path) -> float | None:
    """Length by the data chunk's own count: FFmpeg quietly trusts the file's size instead. None where unstated."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    form, data = head.find(b"fmt "), head.find(b"data")
    if form < 0 or data < 0 or len(head) < max(form + 20, data + 8):
        return None
    bytes_per_second = struct.unpack("<I", head[form + 16 : form + 20])[0]
    size = struct.unpack("<I", head[data + 4 : data + 8])[0]
    if not bytes_per_second or size in (0, 0x7FFFFFFF) or size >= 0xFFFFFF00:  # recorders that never came back
        return None
    return size / bytes_per_second


def _mono(rate: int) -> Any:
    import av

    return av.AudioResampler(format="flt", layout="mono", rate=rate)


def _finite(piece: Any) -> bytes:
    """The samples of a decoded frame, float32; NaN, which float files may hold, falls silent."""
    return np.nan_to_num(piece.to_ndarray(), nan=0.0, posinf=1.0, neginf=-1.0).astype(np.float32).tobytes()
