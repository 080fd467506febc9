"""Read the motion of frames with timestamps, for videos of constant and of variable rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ..detection.detect import FaceSource
from ..face import FaceModel
from ..interpolation import frames_by_timestamp, rate_of, steady_rate
from ..media.images import Bytes
from ..media.video_reader import Frame
from ..motion.edit import interpolate_motion
from ..progress import Progress
from ..values import FPS, Motion
from .face_checks import FaceSamples
from .portrait import fixed_crops, read_crops


def read_timed_motion(
    face: FaceModel,
    frames: Iterable[Frame],
    fps: float = FPS,
    crop: FaceSource = "auto",
    batch: int = 8,
    total: int = 0,
    progress: Progress | None = None,
) -> Motion:
    """:func:`portrait.read_motion` for frames with timestamps, resampled to a constant rate (:func:`rate_of`); warns if
    they show no face."""
    times: list[float] = []

    def pictures() -> Iterator[Bytes | Tensor]:
        for frame in frames:
            times.append(frame.time)
            yield frame.picture

    samples = FaceSamples()
    crops = samples.of(fixed_crops(face, pictures(), crop))
    motion, _ = read_crops(face, crops, fps, batch, total, progress)
    samples.warn_unless_face(face, "driving video")
    return at_steady_rate(motion, times)


def at_steady_rate(motion: Motion, times: list[float]) -> Motion:
    """A motion whose frame i has the timestamp ``times[i]`` in seconds, resampled to a constant rate if needed."""
    shown = torch.tensor(times, dtype=torch.float64)
    if steady_rate(shown, motion.fps):
        return motion
    rate = rate_of(shown, motion.fps)
    return interpolate_motion(motion, frames_by_timestamp(shown, rate), rate)
