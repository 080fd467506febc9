"""A stretch of a film: its frames at their times, and its sound on the same clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from playmate_core.errors import UserError
from playmate_core.media.container import open_medium
from playmate_core.media.images import Bytes
from playmate_core.media.sound_source import audio_streams
from playmate_core.media.video_reader import Frame, read_frames
from playmate_core.speech import SAMPLE_RATE

#: Films faster than this are read every second, third ... frame: motion is wanted at 25 a second.
_FASTEST = 50.0
#: Sound is decoded from so many seconds before it is wanted: codecs need a run-up.
_RUN_UP = 1.0
#: FFmpeg adds the sides at -3 dB each, so that two equal channels would come out 3 dB too loud.
_MIX_GAIN = 0.5**0.5


def frames_between(path: Path, begin: float, end: float, fps: float) -> Iterator[Frame]:
    """The frames shown from second ``begin`` up to ``end`` of a film of about ``fps``, times counted from ``begin``.

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
    """A picture reduced to ``width`` for looking at cuts."""
    import cv2

    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def first_time(path: Path) -> float:
    """The time stamp of a film's first frame, by which its sound is placed; 0 where frames have none."""
    with open_medium(path, "video") as container:
        frame = next(container.decode(container.streams.video[0]), None)
        return float(frame.time) if frame is not None and frame.time is not None else 0.0


def read_voice(path: Path, begin: float, end: float, zero: float) -> NDArray[np.float32]:
    """Seconds ``begin`` to ``end`` of the sound, mono at 16 kHz: exactly round((end - begin) 16000) samples.

    ``zero`` is the time stamp from which seconds count (:func:`first_time`); where there is no sound it is silent.
    Raises UserError for a file without sound.
    """
    import av

    wanted = round((end - begin) * SAMPLE_RATE)
    pieces: list[NDArray[np.float32]] = []
    first, gain = None, 1.0
    with open_medium(path, "speech") as container:
        stream = audio_streams(container, path)[0]
        if stream.codec_context.layout.nb_channels > 1:
            gain = _MIX_GAIN
        if begin > 2 * _RUN_UP:
            container.seek(int((zero + begin - _RUN_UP) / stream.time_base), stream=stream)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        for frame in container.decode(stream):
            at = zero if frame.time is None else float(frame.time)
            first = at if first is None else first
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
            if at > zero + end + _RUN_UP:
                break
        if first is not None:
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    if first is None:
        raise UserError(f"{path} has an audio stream without a single sample; please give a recording with sound.")
    heard = np.nan_to_num(np.concatenate(pieces), nan=0.0, posinf=1.0, neginf=-1.0).astype(np.float32)
    return _cut(heard, round((zero + begin - first) * SAMPLE_RATE), wanted) * np.float32(gain)


def _cut(sound: NDArray[np.float32], start: int, count: int) -> NDArray[np.float32]:
    """``count`` samples from ``start`` on, which may lie outside."""
    out = np.zeros(count, np.float32)
    low, high = max(start, 0), min(start + count, len(sound))
    if low < high:
        out[low - start : high - start] = sound[low:high]
    return out
