"""Small videos and recordings as recorders, editors and accidents leave them, made with PyAV."""

from __future__ import annotations

import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000
#: Milliseconds, so that every rate and any time of a picture can be written.
TICK = Fraction(1, 1000)
Picture = NDArray[np.uint8]


def grey(level: int, height: int = 64, width: int = 96) -> Picture:
    return np.full((height, width, 3), level, np.uint8)


def flash(time: float, at: float = 1.0) -> Picture:
    """Black but for 80 ms from ``at`` on."""
    return grey(255 if at - 1e-6 <= time < at + 0.08 else 0)


def click(seconds: float = 2.0, at: float = 1.0, channels: int = 1) -> NDArray[np.float32]:
    """A quiet hum, and a loud burst of 10 ms from ``at`` on: (channels, samples)."""
    time = np.arange(round(seconds * RATE)) / RATE
    burst = (time >= at) & (time < at + 0.01)
    sound = 0.003 * np.sin(2 * np.pi * 200 * time) + 0.8 * burst * np.sin(2 * np.pi * 3000 * time)
    return np.repeat(sound[None].astype(np.float32), channels, 0)


def onset(sound: NDArray[np.float32], rate: int) -> float:
    """When a mono sound first gets loud, in seconds."""
    return float(np.flatnonzero(np.abs(sound) > 0.2)[0] / rate)


@dataclass(frozen=True)
class Track:
    """Sound (channels, samples) whose first sample has the timestamp ``start``; packets that begin in ``hole`` (seconds
    of the file's time) are missing."""

    sound: NDArray[np.float32]
    start: float = 0.0
    hole: tuple[float, float] = (0.0, 0.0)


def make_video(
    path: Path,
    times: Sequence[float] = tuple(i / 25 for i in range(50)),
    tracks: Sequence[Track] = (),
    picture: Callable[[float], Picture] = flash,
    codecs: tuple[str, str] = ("libx264", "aac"),
    setup: Callable[[Any], None] = lambda stream: None,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    titles: Path | None = None,
) -> Path:
    """A video with pictures at ``times`` seconds and ``tracks`` of sound; ``setup`` is given the video stream.
    ``titles`` is a file of subtitles."""
    with av.open(str(path), "w", options=options or {}) as container:
        packets: list[Any] = []
        if times:
            packets += _pictures(container, times, picture, codecs[0], setup, pixels)
        outputs = [container.add_stream(codecs[1], rate=RATE, layout=_layout(track)) for track in tracks]
        for track, stream in zip(tracks, outputs, strict=True):
            packets += _sound(stream, track)
        if titles:
            packets += _titles(container, titles)
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            container.mux(packet)
    return path


def _pictures(
    container: Any,
    times: Sequence[float],
    picture: Callable[[float], Picture],
    codec: str,
    setup: Callable[[Any], None],
    pixels: str,
) -> list[Any]:
    stream = container.add_stream(codec, rate=Fraction(25))
    first = picture(times[0])
    stream.height, stream.width = first.shape[:2]
    stream.pix_fmt = pixels
    stream.codec_context.time_base = TICK
    if codec == "libx264":
        stream.options = {"crf": "5", "preset": "ultrafast"}
    setup(stream)
    packets = []
    for time in times:
        frame = av.VideoFrame.from_ndarray(picture(time), format="rgb24").reformat(format=pixels)
        frame.pts, frame.time_base = round(time / TICK), TICK
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _titles(container: Any, path: Path) -> list[Any]:
    with av.open(str(path)) as source:
        stream = container.add_stream_from_template(source.streams[0], opaque=True)
        packets = [packet for packet in source.demux() if packet.dts is not None]
    for packet in packets:
        packet.stream = stream
    return packets


def _layout(track: Track) -> str:
    return {1: "mono", 2: "stereo", 6: "5.1"}[len(track.sound)]


def _sound(stream: Any, track: Track) -> list[Any]:
    resampler = av.AudioResampler(format=stream.codec_context.format.name, layout=_layout(track), rate=RATE)
    packets: list[Any] = []
    for begin in range(0, track.sound.shape[1], 1024):
        piece = np.ascontiguousarray(track.sound[:, begin : begin + 1024])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=_layout(track))
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = begin + round(track.start * RATE)
        for converted in resampler.resample(frame):
            packets += stream.encode(converted)
    packets += stream.encode(None)
    begin_hole, end_hole = track.hole
    return [packet for packet in packets if not begin_hole <= float(packet.pts * packet.time_base) < end_hole]


def save_wav(path: Path, sound: NDArray[np.float32], rate: int = RATE) -> Path:
    """16-bit samples (channels, n)."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(sound))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound.T.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return path
