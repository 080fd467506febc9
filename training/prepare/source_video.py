"""A time span of a source video: its frames with their times, and its sound on the same time axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playmate_core.errors import UserError
from playmate_core.media.audio_files import Resampling, silence_not_finite
from playmate_core.media.container import Damage, decoded, open_medium
from playmate_core.media.images import Bytes
from playmate_core.media.sound_source import audio_streams
from playmate_core.media.timestamps import GaplessSound
from playmate_core.media.video_reader import Frame, read_frames
from playmate_core.speech import SAMPLE_RATE

#: Of faster videos only every second, third ... frame is read: motion is stored at 25 frames a second.
_FASTEST = 50.0
#: Seconds of sound decoded before the first one needed: codecs take some packets to produce exact samples.
_RUN_UP = 1.0
#: FFmpeg adds the sides at -3 dB each, so that two equal channels would come out 3 dB too loud.
_MIX_GAIN = 0.5**0.5


def frames_between(path: Path, begin: float, end: float, fps: float) -> Iterator[Frame]:
    """The frames shown from second ``begin`` up to ``end`` of a video of about ``fps``, times counted from ``begin``.

    The first may be a little early: it is what is shown at ``begin``.
    """
    stride = max(1, int(fps / 25.0)) if fps > _FASTEST else 1
    waiting: Frame | None = None
    number = 0
    for frame in read_frames(path, begin):
        if frame.time >= end - 1e-6:
            break
        if frame.time < begin - 1e-6:
            waiting = frame
            continue
        if waiting is not None and frame.time > begin + 1e-6:
            yield Frame(waiting.picture, waiting.time - begin)
        waiting = None
        if number % stride == 0:
            yield Frame(frame.picture, frame.time - begin)
        number += 1
    if waiting is not None:
        yield Frame(waiting.picture, waiting.time - begin)


def small(picture: Bytes, width: int = 256) -> Bytes:
    """A picture reduced to ``width``, for the detector of cuts."""
    import cv2

    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def first_time(path: Path) -> float:
    """The timestamp of a video's first frame, from which its sound is counted; 0 where frames have none."""
    with open_medium(path, "video") as container:
        frame = next(container.decode(container.streams.video[0]), None)
        return float(frame.time) if frame is not None and frame.time is not None else 0.0


def read_voice(path: Path, begin: float, end: float, zero: float) -> NDArray[np.float32]:
    """Seconds ``begin`` to ``end`` of the sound, mono at 16 kHz: exactly round((end - begin) 16000) samples.

    ``zero`` is the timestamp from which seconds count (:func:`first_time`). Samples lie where their timestamps say:
    missing packets, and what lies outside the sound, are silence. Raises UserError for a file without sound.
    """
    first = _first_sample(path, begin, zero)
    start = round((zero + begin - first) * SAMPLE_RATE)
    wanted = round((end - begin) * SAMPLE_RATE)
    pieces: list[NDArray[np.float32]] = []
    length, gain = 0, 1.0
    with open_medium(path, "speech") as container:
        stream = audio_streams(container, path)[0]
        if stream.codec_context.layout.nb_channels > 1:
            gain = _MIX_GAIN
        _seek(container, stream, begin, zero)
        sound = GaplessSound(container, stream, first, Damage())
        for frame in Resampling("flt", "mono", SAMPLE_RATE).of(_finite(sound)):
            pieces.append(frame.to_ndarray()[0])
            length += len(pieces[-1])
            if length >= start + wanted:
                break
        sound.report(path)
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    return _cut(samples, start, wanted) * np.float32(gain)


def _seek(container: Any, stream: Any, begin: float, zero: float) -> None:
    """Go to about ``_RUN_UP`` before ``begin``; near the beginning of the file stay there."""
    if begin > 2 * _RUN_UP:
        container.seek(int((zero + begin - _RUN_UP) / stream.time_base), stream=stream)


def _first_sample(path: Path, begin: float, zero: float) -> float:
    """The timestamp of the first frame of sound that is decoded after :func:`_seek`.

    Counting from it instead of from ``begin`` keeps gaps of any length: the frame before a gap may be minutes early.
    """
    with open_medium(path, "speech") as container:
        stream = audio_streams(container, path)[0]
        _seek(container, stream, begin, zero)
        frame = next(decoded(container, stream, Damage()), None)
    if frame is None:
        raise UserError(f"{path} has an audio stream without a single sample; please give a recording with sound.")
    return zero if frame.time is None else float(frame.time)


def _finite(frames: Iterable[Any]) -> Iterator[Any]:
    """Frames of sound, NaN and infinities set to 0 before a resampler spreads them."""
    for frame in frames:
        if frame.format.name.startswith(("flt", "dbl")):
            silence_not_finite(frame)
        yield frame


def _cut(sound: NDArray[np.float32], start: int, count: int) -> NDArray[np.float32]:
    """``count`` samples from ``start`` on, which may lie outside."""
    out = np.zeros(count, np.float32)
    low, high = max(start, 0), min(start + count, len(sound))
    if low < high:
        out[low - start : high - start] = sound[low:high]
    return out
