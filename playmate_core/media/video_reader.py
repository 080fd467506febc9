"""Video in: one frame at a time, upright, in constant memory. Video out is :mod:`video_writer`'s."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .audio_files import check_whole, open_medium
from .images import Bytes


@dataclass(frozen=True)
class VideoFacts:
    """What a video file says of itself: ``width`` and ``height`` upright, ``fps``, ``frames`` (0 where unstated)."""

    width: int
    height: int
    fps: float
    frames: int


@dataclass(frozen=True)
class Frame:
    """One decoded ``picture`` (H, W, 3) uint8 RGB, upright, and the ``time`` in seconds at which it is shown."""

    picture: Bytes
    time: float


def video_facts(path: str | Path) -> VideoFacts:
    """Look at the first frame of a video. Raises UserError for a file that is missing, empty, damaged or no video."""
    path = Path(path)
    with open_medium(path, "video") as container:
        stream = _video_stream(container, path)
        first = next(container.decode(stream), None)
        if first is None:
            raise UserError(f"{path} has a video stream without a single frame; please give another file.")
        height, width = _upright(first).shape[:2]
        return VideoFacts(width, height, _rate(stream), stream.frames or _frames_by_duration(container, stream))


def read_frames(path: str | Path) -> Iterator[Frame]:
    """Yield the frames of the first video stream in order, turned upright, holding one at a time.

    Raises UserError for a file that is missing, empty, cut short, damaged or without video; the part decoded before
    the damage has been yielded by then.
    """
    path = Path(path)
    with open_medium(path, "video") as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        fps, seen, start = _rate(stream), 0, None
        for frame in container.decode(stream):
            start = frame.time if start is None else start
            time = seen / fps if frame.time is None or start is None else float(frame.time - start)
            seen += 1
            yield Frame(_upright(frame), time)
        if not seen:
            raise UserError(f"{path} has a video stream without a single frame; please give another file.")
        check_whole(container, stream, time + 1 / fps, path)


def has_sound(path: str | Path) -> bool:
    """Whether a medium has an audio stream; a still picture has none."""
    try:
        with open_medium(Path(path), "video") as container:
            return any(stream.codec_context and stream.codec_context.sample_rate for stream in container.streams.audio)
    except UserError:
        return False


def _video_stream(container: Any, path: Path) -> Any:
    for stream in container.streams.video:
        if stream.codec_context and not stream.disposition & 0x400:  # 0x400: a cover picture, not a film
            return stream
    raise UserError(f"{path} has no video in it; please give a film of a face.")


def _rate(stream: Any) -> float:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    return float(rate) if rate else 25.0


def _frames_by_duration(container: Any, stream: Any) -> int:
    seconds = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1_000_000
    return round(seconds * _rate(stream))


def _upright(frame: Any) -> Bytes:
    """RGB pixels, turned as the display matrix asks: phones store portrait films lying down."""
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), quarters))
