"""A portrait of many frames: a video whose face is driven in its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..detection.video_paste import VideoPaster
from ..errors import UserError
from ..face import FaceModel
from ..keypoint_space import adapt_motion
from ..media.images import from_bytes
from ..motion.edit import resample_motion
from ..progress import Progress
from ..values import Motion, Portrait
from .footage import Footage
from .portrait import FaceLimits
from .source_frames import DrivenFace, driven
from .source_image import read_source_portrait
from .source_video import FaceVideoOptions, SourceVideo, read_source_video, shown_pictures
from .video_order import VIDEO_FITS


@dataclass(frozen=True)
class VideoPortrait(Portrait):
    """The portrait of a video's first frame, with the ``video``; ``fit``, one of VIDEO_FITS, is how the video becomes
    as long as a motion."""

    video: SourceVideo = field(kw_only=True)
    fit: str = field(default="bounce", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fit not in VIDEO_FITS:
            raise UserError(f"Unknown video fit {self.fit!r}; please choose one of {', '.join(VIDEO_FITS)}.")

    def fitted(self, frames: int) -> SourceVideo:
        """The video made as long as ``frames``, or shorter where it is cut."""
        return self.video.fitted(frames, self.fit)


def read_video_portrait(
    face: FaceModel,
    footage: Footage,
    options: FaceVideoOptions,
    fit: str = "bounce",
    limits: FaceLimits | None = None,
    progress: Progress | None = None,
) -> VideoPortrait:
    """Read a video as a portrait: its first frame as a picture, then all of it.

    ``limits`` as in :func:`read_source_portrait`. Raises UserError for a video without a face.
    """
    first = from_bytes(next(footage.frames()).picture)
    where, pick, crop = options.where, options.pick, options.crop
    still = read_source_portrait(face, first, where, pick, crop, limits, options.threshold).portrait
    video = read_source_video(face, footage, options, progress=progress)
    return VideoPortrait(**{one.name: getattr(still, one.name) for one in fields(still)}, video=video, fit=fit)


def video_of(portrait: Portrait) -> VideoPortrait | None:
    """``portrait`` where it is one of a video; the host may hold two copies of its class."""
    return portrait if hasattr(portrait, "video") else None  # type: ignore[return-value]


def driven_face(face: FaceModel, portrait: VideoPortrait, motion: Motion, stitching: bool = True) -> DrivenFace:
    """The face of the video, fitted to ``motion`` and driven by it at the video's rate.

    A motion of other keypoints moves the head only.
    """
    motion = resample_motion(motion, portrait.video.motion.fps)
    source = portrait.fitted(len(motion))
    return driven(face, source, adapt_motion(motion[: len(source)], source.motion), stitching)


def paste_into_video(
    portrait: VideoPortrait, batches: Iterable[Tensor], frames: int, mask: NDArray[np.uint8] | None = None
) -> Iterator[Tensor]:
    """Paste ``frames`` crops (n, S, S, 3) uint8, in batches, into the video's pictures: uint8 (n, H, W, 3).

    ``mask`` (S, S) are the blend weights of every crop, None for the feathered one.

    Raises UserError where the video is cut and has fewer frames.
    """
    source = portrait.fitted(frames)
    if len(source) < frames:
        raise UserError(
            f"There are {frames} faces and the video has {len(source)} frames; please choose another fit of the video"
            " than cut, or give as many faces."
        )
    paster, pictures = VideoPaster(source.crop_size), shown_pictures(source, 0, frames)
    at = 0
    for crops in batches:
        reach = slice(at, at + len(crops))
        group = [next(pictures) for _ in range(len(crops))]
        pasted = paster.paste(group, crops.numpy(), source.crops[reach], [mask] * len(group))
        yield torch.stack([torch.from_numpy(picture) for picture in pasted])
        at = reach.stop
