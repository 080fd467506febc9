"""Video in: one frame at a time, upright, in constant memory. Video out is :mod:`video_writer`'s."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..values import FPS
from .container import Damage, decoded, film_stream, open_medium
from .frame_colours import ToRgb
from .images import Bytes
from .timestamps import Timeline, stated_length

#: A last picture that is shown for longer than so many usual intervals stays.
_STAYS = 1.75
#: Frames a second.
HIGHEST_RATE = 240.0
log = logging.getLogger(__name__)

#: Seconds; what begins earlier is decoded from the start, which takes no longer than seeking.
SEEK_FROM = 2.0


@dataclass(frozen=True)
class VideoFacts:
    """What a video file says of itself: ``width`` and ``height`` upright with square pixels, ``fps``, ``frames`` (0
    where unstated)."""

    width: int
    height: int
    fps: float
    frames: int


@dataclass(frozen=True)
class Frame:
    """One ``picture`` (H, W, 3), RGB, upright, and the ``time`` in seconds at which it is shown.

    Decoded ones are uint8, those of somebody else may be floats in [0, 1].
    """

    picture: Any
    time: float


def video_facts(path: str | Path) -> VideoFacts:
    """Look at the first frame of a video. Raises UserError for a file that is missing, empty, damaged or no video."""
    path = Path(path)
    with open_medium(path, "video") as container:
        stream = _video_stream(container, path)
        first = next(decoded(container, stream, Damage()), None)
        if first is None:
            raise UserError(f"{path} has a video stream without a single frame; please give another file.")
        height, width = _upright(first, ToRgb(stream, path)).shape[:2]
        return VideoFacts(width, height, _rate(stream), stream.frames or _frames_by_duration(container, stream))


def read_frames(path: str | Path, begin: float = 0.0, *, warn: bool = True) -> Iterator[Frame]:
    """Yield the frames of the first video stream in order, turned upright, holding two at a time.

    The first is shown at 0. With ``begin`` the first that is yielded is a key frame at or before that second. A last
    picture that stays is given once more, as late as it is seen. Damaged packets are skipped, which is said unless
    ``warn`` is False. Raises UserError for a file that is missing, empty, cut short, of another kind or without video.
    """
    path = Path(path)
    with open_medium(path, "video") as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        start = _seek(container, stream, begin)
        ends, damage, to_rgb = _Ends(container), Damage(), ToRgb(stream, path)
        interval, timeline, last = 1 / _rate(stream), Timeline(0.0, stated_length(container)), None
        for frame in decoded(ends, stream, damage):
            if last is None:
                timeline.origin = (frame.time or 0.0) if start is None else start
                time = max(0.0, timeline.at(frame.time, 0.0))
            else:
                time = max(last.time, timeline.at(frame.time, last.time + interval))
            last = Frame(_upright(frame, to_rgb), time)
            yield last
        if last is None:
            raise UserError(f"{path} has a video stream without a single frame; please give another file.")
        end = ends.latest - timeline.origin
        if end - last.time > _STAYS * interval and end <= stated_length(container) + interval:
            yield Frame(last.picture, end - interval)
        if warn:
            _warn_of_losses(path, stream, damage, max(end, last.time + interval))


class _Ends:
    """A container whose packets tell until when a stream is shown."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self.latest = 0.0

    def demux(self, stream: Any) -> Iterator[Any]:
        for packet in self._container.demux(stream):
            if packet.pts is not None:
                self.latest = max(self.latest, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            yield packet


def _warn_of_losses(path: Path, stream: Any, damage: Damage, seconds: float) -> None:
    """Say what of a film could not be used."""
    if damage.skipped:
        log.warning("%s: %s and were skipped; the picture before them stays.", path, damage)
    if stream.duration is None:
        return
    stated = float(stream.duration * stream.time_base)
    if seconds < 0.98 * stated - 0.2:
        log.warning("%s says that its pictures last %.2f s, but only %.2f s could be read.", path, stated, seconds)


def _seek(container: Any, stream: Any, begin: float) -> float | None:
    """Go to a key frame at or before ``begin`` seconds; returns the time stamp of the film's first frame, or None where
    nothing was sought."""
    if begin < SEEK_FROM:
        return None
    first = next(container.decode(stream), None)
    start = None if first is None or first.time is None else float(first.time)
    for wanted in (begin, 0.0):  # an index may be wrong; then everything is decoded
        place = round(((start or 0.0) + wanted) / stream.time_base)
        container.seek(place, stream=stream)
        found = next(container.decode(stream), None)
        container.seek(place, stream=stream)
        if start is not None and found is not None and found.time is not None and found.time <= start + wanted:
            break
    return start


def has_sound(path: str | Path) -> bool:
    """Whether a medium has an audio stream; a still picture has none."""
    try:
        with open_medium(Path(path), "video") as container:
            return any(stream.codec_context and stream.codec_context.sample_rate for stream in container.streams.audio)
    except UserError:
        return False


def has_pictures(path: str | Path) -> bool:
    """Whether a medium is a film that can be opened."""
    try:
        with open_medium(Path(path), "video") as container:
            return film_stream(container) is not None
    except UserError:
        return False


def _video_stream(container: Any, path: Path) -> Any:
    stream = film_stream(container)
    if stream is None:
        raise UserError(f"{path} has no video in it; please give a film of a face.")
    return stream


def _rate(stream: Any) -> float:
    """Pictures a second. Containers that count milliseconds may claim 1000; what no camera makes is not believed."""
    rates = [float(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    return next((rate for rate in rates if rate <= HIGHEST_RATE), FPS)


def _frames_by_duration(container: Any, stream: Any) -> int:
    seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1_000_000
    return round(seconds * _rate(stream))


def _upright(frame: Any, to_rgb: ToRgb) -> Bytes:
    """sRGB pixels, turned as the display matrix asks: phones store portrait films lying down."""
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(to_rgb(frame), quarters))
