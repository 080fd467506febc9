"""Read videos one frame at a time, upright, in constant memory; :mod:`video_writer` writes them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..values import FPS
from .container import Damage, decoded, first_video_stream, open_medium
from .frame_colours import ToRgb
from .images import Bytes
from .timestamps import Timeline, stated_length, stated_stream_length

#: A last picture shown for longer than this many frame intervals is repeated at the end.
_STAYS = 1.75
#: Highest plausible frame rate, frames a second.
HIGHEST_FPS = 240.0
log = logging.getLogger(__name__)

#: Earlier start times, in seconds, are decoded from the start, which is as fast as seeking.
SEEK_FROM = 2.0


@dataclass(frozen=True)
class VideoFacts:
    """Properties of a video file: ``width`` and ``height`` upright with square pixels, ``fps``, ``frames`` (0 where
    unknown)."""

    width: int
    height: int
    fps: float
    frames: int


@dataclass(frozen=True)
class Frame:
    """One ``picture`` (H, W, 3), RGB, upright, and the ``time`` in seconds at which it is shown.

    Decoded pictures are uint8; those from other sources may be floats in [0, 1].
    """

    picture: Any
    time: float


def video_facts(path: str | Path) -> VideoFacts:
    """Decode the first frame of a video. Raises UserError for a file that is missing, empty, damaged or no video."""
    path = Path(path)
    with open_medium(path, "video") as container:
        stream = _video_stream(container, path)
        first = next(decoded(container, stream, Damage()), None)
        if first is None:
            raise UserError(f"{path} has a video stream without a single frame; please give another file.")
        height, width = _upright(first, ToRgb(stream, path)).shape[:2]
        return VideoFacts(width, height, _rate(stream), stream.frames or _frames_by_duration(container, stream))


def read_frames(path: str | Path, begin: float = 0.0, *, warn: bool = True) -> Iterator[Frame]:
    """Yield the frames of the first video stream in order, upright, holding two at a time.

    The first has time 0. With ``begin`` the first yielded is a key frame at or before that second. A last picture that
    is held is repeated at its end. Damaged packets are skipped, with a warning unless ``warn`` is False. Raises
    UserError for a file that is missing, empty, truncated, of another format or without video.
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
            _warn_of_losses(path, container, stream, damage, max(end, last.time + interval))


class _Ends:
    """Wraps a container and records the latest end of its packets, in seconds."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self.latest = 0.0

    def demux(self, stream: Any) -> Iterator[Any]:
        for packet in self._container.demux(stream):
            if packet.pts is not None:
                self.latest = max(self.latest, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            yield packet


def _warn_of_losses(path: Path, container: Any, stream: Any, damage: Damage, seconds: float) -> None:
    """Log what of a video could not be decoded."""
    if damage.skipped:
        log.warning("%s: %s and were skipped; the picture before them stays.", path, damage)
    stated = stated_stream_length(container, stream)
    if stated is not None and seconds < 0.98 * stated - 0.2:
        log.warning("%s says that its pictures last %.2f s, but only %.2f s could be read.", path, stated, seconds)


def _seek(container: Any, stream: Any, begin: float) -> float | None:
    """Seek to a key frame at or before ``begin`` seconds; returns the timestamp of the video's first frame, or None if
    no seek was needed."""
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
    """Whether a file has an audio stream; False for still pictures and unreadable files."""
    try:
        with open_medium(Path(path), "video") as container:
            return any(stream.codec_context and stream.codec_context.sample_rate for stream in container.streams.audio)
    except UserError:
        return False


def has_pictures(path: str | Path) -> bool:
    """Whether a file is a video that can be opened."""
    try:
        with open_medium(Path(path), "video") as container:
            return first_video_stream(container) is not None
    except UserError:
        return False


def _video_stream(container: Any, path: Path) -> Any:
    stream = first_video_stream(container)
    if stream is None:
        raise UserError(f"{path} has no video in it; please give a video of a face.")
    return stream


def _rate(stream: Any) -> float:
    """Frames a second. Containers with millisecond timestamps may state 1000; implausible rates are ignored."""
    rates = [float(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    return next((rate for rate in rates if rate <= HIGHEST_FPS), FPS)


def _frames_by_duration(container: Any, stream: Any) -> int:
    seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1_000_000
    return round(seconds * _rate(stream))


def _upright(frame: Any, to_rgb: ToRgb) -> Bytes:
    """sRGB pixels, rotated by the display matrix: phones store portrait videos rotated."""
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(to_rgb(frame), quarters))
