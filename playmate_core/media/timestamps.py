"""When a picture is shown and a sound heard, by the file's own timestamps; sound made gapless along them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from .container import Damage, decoded, film_stream

#: Sound this far from its timestamp stays where it is: containers that count milliseconds are inexact, and an AAC
#: packet that is missing is longer.
TOLERANCE_SECONDS = 0.015
#: Timestamps that go back by more than this have begun anew, as in recordings that were strung together.
_RESTART_SECONDS = 1.0
#: The longest gap believed where the file does not state how long it is.
_LONGEST_GAP_SECONDS = 60.0
#: Silence is inserted in pieces of at most so many samples.
_BLOCK = 48_000
log = logging.getLogger(__name__)


@dataclass
class Timeline:
    """Seconds from ``origin`` on for the timestamps of one stream of a file of ``length`` seconds (0: unknown).

    Where timestamps begin anew, or leave the file's own length, the count goes on as if they had not.
    """

    origin: float
    length: float = 0.0

    def at(self, timestamp: float | None, expected: float | None) -> float:
        """When a frame begins; ``expected`` is where the frame before it ended, None for the first."""
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
    """Seconds that a container says it lasts; 0 where it does not."""
    return (container.duration or 0) / 1_000_000


def first_shown(container: Any) -> float | None:
    """The timestamp of the first picture that can be decoded, in seconds; None for a file without a film.

    Moves the place that the container is read at.
    """
    stream = film_stream(container)
    if stream is None:
        return None
    frame = next(decoded(container, stream, Damage()), None)
    return None if frame is None or frame.time is None else float(frame.time)


@dataclass
class GaplessSound:
    """The frames of an audio stream as they follow one another from ``origin`` (a timestamp in seconds) on.

    Where packets are missing, and before a sound that begins late, there are frames of silence; what lies before
    ``origin`` or is given twice is cut off. ``samples`` counts what was given, at ``rate``; ``silent`` of them were
    inserted after the sound had begun.
    """

    container: Any
    stream: Any
    origin: float | None
    damage: Damage
    samples: int = 0
    silent: int = 0

    def __post_init__(self) -> None:
        self.rate = int(self.stream.codec_context.sample_rate)

    def __iter__(self) -> Iterator[Any]:
        timeline: Timeline | None = None
        for frame in decoded(self.container, self.stream, self.damage):
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
            # Damage and broadcasts change the rate midway; samples are counted at the stream's.
            cut = max(0, -gap) * frame.sample_rate // self.rate
            if cut < frame.samples:
                kept = _without(frame, cut) if cut else frame
                yield self._given(kept, round(kept.samples * self.rate / frame.sample_rate))

    def report(self, path: Path) -> None:
        """Say how many packets were skipped."""
        if self.damage.skipped:
            silent = self.silent / self.rate
            log.warning("%s: %s and were skipped; %.2f s of its sound are silent.", path, self.damage, silent)

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


def _without(frame: Any, samples: int) -> Any:
    """An audio frame less its first ``samples``."""
    import av

    rest = av.AudioFrame(frame.format.name, frame.layout, frame.samples - samples)
    width = frame.format.bytes * (1 if frame.format.is_planar else frame.layout.nb_channels)
    for source, target in zip(frame.planes, rest.planes, strict=True):
        piece = memoryview(source)[samples * width : frame.samples * width]
        target.update(bytes(piece).ljust(target.buffer_size, b"\x00"))
    rest.sample_rate = frame.sample_rate
    return rest
