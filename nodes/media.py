"""ComfyUI's IMAGE, MASK, AUDIO and VIDEO in, the core's values out, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comfy_api.latest import InputImpl
from torch import Tensor

from ..playmate_core.detection.detectors import Face
from ..playmate_core.errors import UserError
from ..playmate_core.media.audio_files import Recording
from ..playmate_core.media.images import Bytes, from_bytes
from ..playmate_core.media.transparency import WHITE, Colour
from ..playmate_core.media.video_reader import Frame, read_frames, video_facts
from ..playmate_core.rendering.footage import Footage, HeldPictures, VideoFile
from ..playmate_core.values import FPS, Transparency

#: Resolution of the fps widget.
RATE_STEP = 0.01


@dataclass(frozen=True)
class VideoSource:
    """Frames that come one at a time, with the second each is shown at; ``total`` of them (0: unknown). ``path`` is
    that of a video on disk, None for any other."""

    frames: Iterable[Frame]
    fps: float
    total: int
    path: Path | None = None


def one_picture(image: Tensor) -> Tensor:
    """IMAGE (1, H, W, C) -> (H, W, 3) float32 on the CPU, transparency on white. Raises UserError for a batch."""
    return transparent_picture(image, WHITE)[0]


def transparent_picture(image: Tensor, background: Colour) -> tuple[Tensor, Transparency | None]:
    """IMAGE (1, H, W, C) -> (H, W, 3) float32 on the CPU, laid on ``background``, and its transparency, None where it
    is opaque. Raises UserError for a batch."""
    if image.ndim != 4 or image.shape[0] != 1:
        raise UserError(
            f"Got {len(image)} pictures where one portrait is expected; please pick one of them with Image From Batch."
        )
    transparency = None
    if image.shape[-1] == 4:
        alpha = image[0, ..., 3].detach().to("cpu", torch.float32).clamp(0, 1)
        transparency = None if bool((alpha == 1).all()) else Transparency(alpha, background)
    return colours(image, background)[0], transparency


def told_faces(
    picture: Tensor,
    landmarks: dict[str, Any] | None = None,
    box: Any = None,
    mask: Tensor | None = None,
) -> list[Face] | None:
    """The faces given by FACE_LANDMARKS, BOUNDING_BOX or MASK; None where none is connected or a mask is empty."""
    if landmarks is not None:
        _expect_same_size(picture, *landmarks.get("image_size", picture.shape[:2]))
        found = landmarks["frames"][0] if landmarks["frames"] else []
        faces = [Face.of(torch.as_tensor(face["landmarks_xy"]).float()) for face in found]
    elif box is not None:
        faces = [_boxed(picture, one) for one in _boxes(box)]
    elif mask is not None and bool(mask.any()):  # Load Image outputs an empty mask for a picture without transparency
        faces = _masked(picture, mask)
    else:
        return None
    if not faces:
        raise UserError("What is connected to Crop Portrait shows no face; please give another, or disconnect it.")
    return faces


def _expect_same_size(picture: Tensor, height: int, width: int) -> None:
    if (height, width) != tuple(picture.shape[:2]):
        raise UserError(
            f"The landmarks were found in a picture of {width} x {height} pixels, but this one has {picture.shape[1]} x"
            f" {picture.shape[0]}; please look for them in the picture that is cropped."
        )


def _boxes(box: Any) -> list[dict[str, float]]:
    """The boxes of the first picture: ComfyUI passes one box, a list, or a list for each picture."""
    if isinstance(box, dict):
        return [box]
    first = box[0] if box else []
    return list(box) if isinstance(first, dict) else list(first)


def _boxed(picture: Tensor, box: dict[str, float]) -> Face:
    height, width = picture.shape[:2]
    left, top = max(0.0, float(box["x"])), max(0.0, float(box["y"]))
    right, bottom = min(width, box["x"] + box["width"]), min(height, box["y"] + box["height"])
    if not (left < right and top < bottom):
        raise UserError(f"The face box {box} lies outside the {width} x {height} picture; please move it.")
    return Face((left, top, float(right), float(bottom)))


def _masked(picture: Tensor, mask: Tensor) -> list[Face]:
    """The box around what a mask (B, H, W) covers."""
    covered = mask.reshape(-1, *mask.shape[-2:])[0] > 0.5
    if tuple(covered.shape) != tuple(picture.shape[:2]):
        raise UserError(
            f"The mask is {covered.shape[1]} x {covered.shape[0]} and the picture {picture.shape[1]} x"
            f" {picture.shape[0]}; please give a mask of the picture's size."
        )
    rows, columns = covered.any(1).nonzero()[:, 0], covered.any(0).nonzero()[:, 0]
    if not len(rows):
        return []
    return [Face((float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)))]


def colours(images: Tensor, background: Colour = WHITE) -> Tensor:
    """IMAGE (B, H, W, C) of 1, 3 or 4 channels -> (B, H, W, 3) float32 on the CPU, laid on ``background``."""
    images = images.detach().to("cpu", torch.float32)
    if images.shape[-1] == 4:
        alpha = images[..., 3:]
        return images[..., :3] * alpha + (1 - alpha) * torch.tensor(background)
    return images.expand(*images.shape[:-1], 3) if images.shape[-1] == 1 else images[..., :3]


def to_image(frames: Bytes | Tensor) -> Tensor:
    """Pictures (n, H, W, 3) or (H, W, 3), uint8 or float -> IMAGE (n, H, W, 3)."""
    pictures = torch.as_tensor(frames)
    pictures = pictures if pictures.is_floating_point() else from_bytes(pictures)
    return pictures if pictures.ndim == 4 else pictures[None]


def recording(audio: dict[str, Any]) -> Recording:
    """AUDIO -> its samples. Raises UserError where it is empty or a batch."""
    waveform = audio["waveform"].detach().to("cpu", torch.float32)
    if waveform.ndim != 3 or waveform.shape[0] != 1:
        raise UserError(f"Got {len(waveform)} recordings where one is expected; please give a single AUDIO.")
    if not waveform.numel():
        raise UserError("The audio is empty; please give a recording with at least one sample.")
    return Recording(waveform[0].numpy(), int(audio["sample_rate"]))


def to_audio(sound: Recording) -> dict[str, Any]:
    """Samples -> AUDIO."""
    return {"waveform": torch.from_numpy(np.ascontiguousarray(sound.samples))[None], "sample_rate": sound.rate}


def video_source(source: Any, fps: float = FPS) -> VideoSource:
    """VIDEO, or IMAGE at ``fps``, as frames. A video on disk is read frame by frame and never held as a whole.

    Raises UserError where a VIDEO of another rate is given together with an ``fps`` other than the default.
    """
    if path := _file_of(source):
        facts = video_facts(path)
        return VideoSource(read_frames(path), _own_rate(facts.fps, fps), facts.frames, Path(path))
    pictures, rate = _held(source, fps)
    return VideoSource(_steady(pictures, rate), rate, len(pictures))


def footage(source: Any, fps: float = FPS) -> Footage:
    """VIDEO, or IMAGE at ``fps``, to be read several times; as :func:`video_source`."""
    if path := _file_of(source):
        _own_rate(video_facts(path).fps, fps)
        return VideoFile(Path(path))
    return HeldPictures.of(*_held(source, fps))


def _file_of(source: Any) -> str | None:
    """The path of a whole video file; None for frames in memory, for which ComfyUI would encode a file, and 0.3.64
    fails at it."""
    trimmed = any(getattr(source, "get_active_trim_window", lambda: (0.0, 0.0))())
    path = source.get_stream_source() if isinstance(source, InputImpl.VideoFromFile) and not trimmed else None
    return path if isinstance(path, str) else None


def _held(source: Any, fps: float) -> tuple[Tensor, float]:
    """Pictures (n, H, W, 3) and their rate."""
    if torch.is_tensor(source):
        return colours(source), fps
    parts = source.get_components()
    return colours(parts.images), _own_rate(float(parts.frame_rate), fps)


def _own_rate(own: float, given: float) -> float:
    """The rate of a VIDEO; the widget's value counts as set only where it differs from its default."""
    if abs(given - FPS) > RATE_STEP and abs(given - own) > RATE_STEP:
        raise UserError(
            f"The video runs at {own:.6g} frames a second, but fps says {given:g}; please set fps back to {FPS:g},"
            " since it is only for a batch of pictures, or change the video's rate before it comes here."
        )
    return own


def _steady(pictures: Tensor, fps: float) -> Iterator[Frame]:
    """Pictures (n, H, W, 3), ``fps`` a second."""
    return (Frame(picture, i / fps) for i, picture in enumerate(pictures))


def to_video(path: str) -> Any:
    """A file as VIDEO."""
    return InputImpl.VideoFromFile(path)
