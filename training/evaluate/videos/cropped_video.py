"""A video as input of the metrics: 25 frames a second, one fixed square around the face, 512 pixels, with its sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playmate_core.detection.crop import Square, crop_to_image, inverse, move_points, whole_to_image
from playmate_core.detection.detect import square_of
from playmate_core.detection.detectors import Detector, Face
from playmate_core.detection.reading_crop import cut_bytes
from playmate_core.media.audio_files import read_sound
from playmate_core.media.images import Bytes, read_picture, to_bytes
from playmate_core.media.video_reader import Frame, read_frames
from playmate_core.values import FPS

SIZE = 512
Samples = NDArray[np.float32]
#: A frame is shown from its own time on; clocks of containers are off by less than this (seconds).
_CLOCK = 0.002


def at_25_fps(frames: Iterator[Frame]) -> Iterator[Bytes]:
    """Pictures 40 ms apart, each the one shown at that time; a video of another rate repeats or drops frames."""
    held: Frame | None = None
    before = 1 / FPS
    index = 0
    for frame in frames:
        while held is not None and index / FPS + _CLOCK < frame.time:
            yield held.picture
            index += 1
        before = frame.time - held.time if held is not None else before
        held = frame
    while held is not None and index / FPS + _CLOCK < held.time + before:
        yield held.picture
        index += 1


@dataclass(frozen=True)
class LandmarkTrack:
    """Results of one pass over a video: its length at 25 fps, its size, and ``landmarks`` (T, 478, 2) in pixels of the
    picture, NaN where no face was found; None where detection was not run."""

    frames: int
    width: int
    height: int
    landmarks: NDArray[np.float32] | None

    @property
    def found(self) -> float:
        """The share of frames in which a face was found; 1 where detection was not run."""
        return 1.0 if self.landmarks is None else float(np.isfinite(self.landmarks[:, 0, 0]).mean())

    def square(self) -> Square | None:
        """The square around the face that lies in the middle of all frames' squares, upright; None without a face."""
        if self.landmarks is None:
            return None
        seen = self.landmarks[np.isfinite(self.landmarks[:, 0, 0])]
        squares = [square_of(Face.of(torch.from_numpy(points))) for points in seen]
        if not squares:
            return None
        middle = np.median([(one.x, one.y, one.side) for one in squares], 0)
        return Square(*map(float, middle))


def track_landmarks(pictures: Iterator[Bytes], detector: Detector | None) -> LandmarkTrack:
    """Detect landmarks in every picture, in one pass."""
    points: list[NDArray[np.float32]] = []
    frames, size = 0, (0, 0)
    for picture in pictures:
        frames, size = frames + 1, (picture.shape[0], picture.shape[1])
        if detector is not None:
            points.append(landmarks_of(picture, detector))
    return LandmarkTrack(frames, size[1], size[0], np.stack(points) if points else None)


def landmarks_of(picture: Bytes, detector: Detector) -> NDArray[np.float32]:
    """(478, 2) of the largest face of a picture, NaN where there is none."""
    faces = detector(torch.from_numpy(picture).float() / 255)
    if not faces or faces[0].landmarks is None:
        return np.full((478, 2), np.nan, np.float32)
    return faces[0].landmarks.numpy().astype(np.float32)


@dataclass(frozen=True)
class CroppedVideo:
    """One video of a clip. ``portrait`` is shown in every frame where there is one; ``sound`` names the sound file,
    None for silence; ``landmarks`` (T, 478, 2) lie in the cropped pictures."""

    path: Path
    frames: int
    affine: Tensor
    landmarks: NDArray[np.float32] | None
    portrait: Bytes | None = None
    sound: Path | None = None

    def pictures(self) -> Iterator[Bytes]:
        """The frames, (512, 512, 3) uint8 RGB; of a still the same array again and again."""
        if self.portrait is not None:
            cropped = self._crop(self.portrait)
            for _ in range(self.frames):
                yield cropped
            return
        for index, picture in enumerate(at_25_fps(read_frames(self.path))):
            if index == self.frames:
                return
            yield self._crop(picture)

    def different(self) -> Iterator[tuple[Bytes, int]]:
        """The frames and how often each is shown: a still's only frame is analysed once."""
        if self.portrait is not None:
            yield self._crop(self.portrait), self.frames
            return
        for picture in self.pictures():
            yield picture, 1

    def samples(self) -> Samples:
        """The sound, mono 16 kHz, as long as the pictures; silence where there is none."""
        samples = read_sound(self.sound).waveform if self.sound is not None else np.zeros(0, np.float32)
        whole = np.zeros(round(self.frames / FPS * 16_000), np.float32)
        whole[: len(samples)] = samples[: len(whole)]
        return whole

    def _crop(self, picture: Bytes) -> Bytes:
        return cut_bytes(picture, self.affine, SIZE).numpy()


def whole(track: LandmarkTrack) -> Tensor:
    """The crop of a video without face detection: the largest centred square."""
    return whole_to_image(track.height, track.width, SIZE)


def around(square: Square, scale: float = 1.0) -> Tensor:
    """The crop (2, 3) around a square, of a picture ``scale`` times as large as the one it was measured in."""
    return crop_to_image(Square(square.x * scale, square.y * scale, square.side * scale), SIZE)


def in_crop(track: LandmarkTrack, affine: Tensor, frames: int) -> NDArray[np.float32] | None:
    """The landmarks of the first ``frames`` in pixels of the crop."""
    if track.landmarks is None:
        return None
    return move_points(torch.from_numpy(track.landmarks[:frames]), inverse(affine)).numpy()


def first_picture(path: Path) -> Bytes:
    """The first frame of a video, or a still picture."""
    if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".bmp"):
        return to_bytes(read_picture(path)).numpy()
    return next(at_25_fps(read_frames(path)))
