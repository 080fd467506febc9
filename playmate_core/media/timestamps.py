"""Presentation timestamps of pictures and sound, repaired where damaged; sound made gapless along them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .container import Damage, decoded, first_video_stream

#: Sound is not moved for smaller deviations from its timestamp: containers with millisecond timestamps are inexact,
#: and a missing AAC packet is longer.
TOLERANCE_SECONDS = 0.015
#: Timestamps that go back by more than this have restarted, as in concatenated recordings.
_RESTART_SECONDS = 1.0
#: The longest gap accepted where the file does not state its duration.
_LONGEST_GAP_SECONDS = 60.0
#: Less sound than this may be missing without a warning.
_NOTICED_SECONDS = 0.05
#: Silence is inserted in blocks of at most this many samples.
_BLOCK = 48_000
#: Planes beyond these are read and written outside the frame by PyAV.
_MOST_PLANES = 8
log = logging.getLogger(__name__)


@dataclass
class Timeline:
    """Converts the timestamps of a stream to seconds from ``origin``; the file lasts ``length`` seconds (0: unknown).

    Where timestamps restart or exceed the file's length, time continues from the previous frame.
    """

    origin: float
    length: float = 0.0

    def at(self, timestamp: float | None, expected: float | None) -> float:
        """The start of a frame in seconds; ``expected`` is the end of the frame before, None for the first."""
        if timestamp is None:
            return expected or 0.0
        seconds = timestamp - self.origin
        earliest = -_LONGEST_GAP_SECONDS if expected is None else expected - _RESTART_SECONDS
        expected = expected or 0.0
        furthest = max(self.length + _RESTART_SECONDS, expected) if self.length else expected + _LONGEST_GAP_SECONDS
        if earliest <= seconds <= furthest:
            return seconds
        self.origin = timestamp - expected
        return expected


def stated_length(container: Any) -> float:
    """The duration stated by a container in seconds; 0 where unknown."""
    return (container.duration or 0) / 1_000_000


def stated_stream_length(container: Any, stream: Any) -> float | None:
    """The duration stated for one stream in seconds; None where unknown: Matroska states only that of the whole file,
    which FFmpeg fills in for streams that begin late."""
    if "matroska" in container.format.name:
        return stated_length(container) or None if len(container.streams) == 1 else None
    if stream.duration is None:
        return None
    return float(stream.duration * stream.time_base)


def first_shown(container: Any) -> float | None:
    """The timestamp of the first picture that can be decoded, in seconds; None for a file without a video stream.

    Changes the container's read position.
    """
    stream = first_video_stream(container)
    if stream is None:
        return None
    frame = next(decoded(container, stream, Damage()), None)
    return None if frame is None or frame.time is None else float(frame.time)


@dataclass
class GaplessSound:
    """The frames of an audio stream, contiguous from ``origin`` (a timestamp in seconds) on.

    Missing packets, and a late start, are filled with silence; samples before ``origin`` and duplicates are dropped.
    ``samples`` counts the output, at ``rate``; ``silent`` of them were inserted after the sound had begun, and
    ``dropped`` are not among them.
    """

    container: Any
    stream: Any
    origin: float | None
    damage: Damage
    samples: int = 0
    silent: int = 0
    dropped: int = 0

    def __post_init__(self) -> None:
        self.rate = int(self.stream.codec_context.sample_rate)

    def __iter__(self) -> Iterator[Any]:
        timeline: Timeline | None = None
        for frame in _reachable(decoded(self.container, self.stream, self.damage)):
            expected = self.samples / self.rate if self.samples else None
            if timeline is None:
                first = 0.0 if frame.time is None else float(frame.time)
                timeline = Timeline(first if self.origin is None else self.origin, stated_length(self.container))
            begins = timeline.at(None if frame.time is None else float(frame.time), expected)
            gap = round(begins * self.rate) - self.samples
            if expected is not None and abs(gap) <= TOLERANCE_SECONDS * self.rate:
                gap = 0
            if gap > 0:
                yield from self._silence(frame, gap)
                self.silent += gap if expected is not None else 0
            # The rate may change midway (damage, broadcasts); samples are counted at the stream's rate.
            cut = max(0, -gap) * frame.sample_rate // self.rate
            self.dropped += min(max(0, -gap), frame.samples * self.rate // frame.sample_rate)
            if cut < frame.samples:
                kept = _without(frame, cut) if cut else frame
                yield self._given(kept, round(kept.samples * self.rate / frame.sample_rate))

    def report(self, path: Path) -> None:
        """Log how many packets were skipped, and how much sound is missing."""
        silent = self.silent / self.rate
        if self.damage.skipped:
            log.warning("%s: %s and were skipped; %.2f s of its sound are silent.", path, self.damage, silent)
        elif silent >= _NOTICED_SECONDS:
            log.warning("%s: %.2f s of its sound are missing, and silent here.", path, silent)

    def _silence(self, like: Any, samples: int) -> Iterator[Any]:
        import av

        while samples > 0:
            frame = av.AudioFrame(like.format.name, like.layout, min(samples, _BLOCK))
            middle = b"\x80" if like.format.name.startswith("u8") else b"\x00"
            for plane in frame.planes:
                plane.update(middle * plane.buffer_size)
            frame.sample_rate = self.rate
            samples -= frame.samples
            yield self._given(frame, frame.samples)

    def _given(self, frame: Any, samples: int) -> Any:
        frame.pts, frame.time_base = self.samples, Fraction(1, self.rate)
        self.samples += samples
        return frame


def _reachable(frames: Iterator[Any]) -> Iterator[Any]:
    """Audio frames, those of more planes than PyAV can address interleaved."""
    import av

    resampler: Any = None
    for frame in frames:
        if not frame.format.is_planar or frame.layout.nb_channels <= _MOST_PLANES:
            yield frame
            continue
        resampler = resampler or av.AudioResampler(frame.format.packed.name, frame.layout, frame.sample_rate)
        yield from resampler.resample(frame)


def _without(frame: Any, samples: int) -> Any:
    """An audio frame without its first ``samples``."""
    import av

    rest = av.AudioFrame(frame.format.name, frame.layout, frame.samples - samples)
    width = frame.format.bytes * (1 if frame.format.is_planar else frame.layout.nb_channels)
    for source, target in zip(frame.planes, rest.planes, strict=True):
        piece = memoryview(source)[samples * width : frame.samples * width]
        target.update(bytes(piece).ljust(target.buffer_size, b"\x00"))
    rest.sample_rate = frame.sample_rate
    return rest
