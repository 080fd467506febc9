"""Small videos of drawn people who speak, with every trap a corpus holds, and a detector that knows where they are.

A person is drawn in the middle of a canvas; a magenta mark in the strip above says over which column there is a face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playmate_core.detection.detectors import Face
from training.synthetic.clips import SyntheticClip, make_clip
from training.synthetic.identity import make_identity
from training.synthetic.pixels import make_scene, render

HEIGHT, WIDTH = 288, 384
#: The crop that M reads is this share of the drawing, so that a little lies around it.
SHARE = 0.8
STRIP = 16
MAGENTA = (255, 0, 255)
#: DRIVING_CROP around the mark's box is the drawing's middle.
BOX = SHARE * HEIGHT / 2.2

Frames = Sequence[NDArray[np.uint8]]


@cache
def person(seed: int, seconds: float = 3.4) -> SyntheticClip:
    """Somebody who speaks for about so long, at least 3.1 s: the first such seed from ``seed`` on, in steps of 8."""
    while True:
        clip = make_clip(seed, "test", (seconds, seconds + 0.2), "formant")
        if clip.text and 78 <= len(clip) <= 25 * (seconds + 0.8):
            return clip
        seed += 8


@cache
def drawn(seed: int, fps: float = 25.0, seconds: float = 3.4) -> tuple[NDArray[np.uint8], ...]:
    """The frames of :func:`person` at a rate, (HEIGHT, WIDTH, 3), with the mark."""
    clip = person(seed, seconds)
    count = int(len(clip) / 25 * fps)
    at = np.arange(count) / fps * 25
    pose = clip.motion.pose
    tracks = [_between(track.numpy(), at) for track in (clip.rig, pose.rotation, pose.translation, pose.scale)]
    identity, scene = make_identity(clip.identity_seed), make_scene(seed)
    out = []
    for rig, rotation, translation, scale in zip(*tracks, strict=True):
        square = render(identity, scene, rig, rotation, translation * SHARE, float(scale[0]) * SHARE, HEIGHT)
        side = (WIDTH - HEIGHT) // 2
        picture = cv2.copyMakeBorder(square, 0, 0, side, WIDTH - HEIGHT - side, cv2.BORDER_REPLICATE)
        out.append(marked(picture, WIDTH // 2))
    return tuple(out)


def marked(picture: NDArray[np.uint8], *columns: int) -> NDArray[np.uint8]:
    """The picture with its strip: a mark over each of ``columns``."""
    picture = picture.copy()
    picture[:STRIP] = 0
    for column in columns:
        picture[:STRIP, column - 8 : column + 8] = MAGENTA
    return picture


def beside(first: Frames, second: Frames) -> list[NDArray[np.uint8]]:
    """Two people in one picture, twice as wide."""
    return [np.concatenate(pair, 1) for pair in zip(first, second, strict=False)]


def _between(track: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.clip(np.floor(at).astype(int), 0, len(track) - 1)
    high = np.minimum(low + 1, len(track) - 1)
    weight = (at - low).reshape(-1, *[1] * (track.ndim - 1))
    return track[low] * (1 - weight) + track[high] * weight


def find_marks(image: Tensor) -> tuple[Face, ...]:
    """A detector: a face under every mark, whatever the picture's scale."""
    height = image.shape[0]
    scale = height / HEIGHT
    strip = image[: max(1, round(STRIP * scale))]
    lit = (strip[..., 0] > 0.6) & (strip[..., 1] < 0.4) & (strip[..., 2] > 0.6)
    columns = (lit.float().mean(0) > 0.5).numpy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], columns.astype(int), [0]])))
    faces = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first < 6 * scale:
            continue
        x, half = float(first + last) / 2 - 0.5, BOX * scale / 2
        y = height / 2 - 0.5 + 0.1 * SHARE * height
        faces.append(Face((x - half, y - half, x + half, y + half)))
    return tuple(faces)


def marks() -> Callable[[Tensor], tuple[Face, ...]]:
    """What `prepare` asks for in every process."""
    return find_marks


@dataclass(frozen=True)
class VideoSpec:
    """How to store frames: ``fps``, or the ``times`` of each in seconds; ``delay`` of the sound;
    ``turned`` by a phone."""

    fps: Fraction = Fraction(25)
    times: tuple[float, ...] = ()
    delay: float = 0.0
    turned: bool = False


def write_video(path: Path, frames: Frames, voice: NDArray[np.int16] | None, video: VideoSpec = VideoSpec()) -> Path:
    """H.264 and, where there is a ``voice`` (N,) at 16 kHz, AAC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=video.fps)
        first = np.rot90(frames[0], 1) if video.turned else frames[0]
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "14", "preset": "veryfast"}
        base = Fraction(1, 90_000)
        stream.time_base = stream.codec_context.time_base = base
        sound: Any = None
        if voice is not None:
            sound = container.add_stream("aac", rate=16_000, layout="mono")
        for index, picture in enumerate(frames):
            shown = np.ascontiguousarray(np.rot90(picture, 1)) if video.turned else picture
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts = round((video.times[index] if video.times else float(index / video.fps)) / base)
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            _write_sound(container, sound, np.concatenate([np.zeros(round(video.delay * 16000), np.int16), voice]))
    if video.turned:
        _turn(path)
    return path


def _turn(path: Path) -> None:
    """Say in the file that it is to be shown turned clockwise by 90 degrees."""
    data = bytearray(path.read_bytes())
    unit = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    quarter = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    at = data.find(unit, data.find(b"tkhd"))
    data[at : at + 36] = quarter
    path.write_bytes(data)


def write_sound(path: Path, voice: NDArray[np.int16]) -> Path:
    """AAC alone, as MEAD has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="ipod") as container:
        _write_sound(container, container.add_stream("aac", rate=16_000, layout="mono"), voice)
    return path


def write_sound_with_gap(path: Path, voice: NDArray[np.int16], at: int, seconds: float) -> Path:
    """Matroska with PCM, a multiple of 1024 samples, then nothing for ``seconds``, then the rest."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in range(0, len(voice), 1024):
            frame = av.AudioFrame.from_ndarray(voice[None, start : start + 1024], format="s16", layout="mono")
            delay = round(seconds * 16_000) if start >= at else 0
            frame.sample_rate, frame.pts, frame.time_base = 16_000, start + delay, Fraction(1, 16_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _write_sound(container: Any, stream: Any, voice: NDArray[np.int16]) -> None:
    for start in range(0, len(voice), 1024):
        piece = np.ascontiguousarray(voice[None, start : start + 1024].astype(np.float32) / 32768)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def voice_of(seed: int, seconds: float = 3.4) -> NDArray[np.int16]:
    return person(seed, seconds).samples.numpy()


def lips(expression: Tensor) -> Tensor:
    return expression[:, 19, 1] - expression[:, 20, 1]


def correlation(first: Tensor, second: Tensor) -> float:
    n = min(len(first), len(second))
    return float(torch.corrcoef(torch.stack([first[:n].double(), second[:n].double()]))[0, 1])
