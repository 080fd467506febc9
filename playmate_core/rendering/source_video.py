"""Driving and source videos: tracked in a first pass, read in a second, one frame in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ..detection.crop import DRIVING_CROP, CropOptions, Square, crop_to_image, shrink, whole_to_image
from ..detection.detect import FaceSource, Pick, detector, fills, select_face
from ..detection.detectors import available
from ..detection.landmarks import Openings
from ..detection.reading_crop import ReadingCrop, cut_bytes
from ..detection.tiling import full_search
from ..detection.tracking import FaceTrack, GapLimits, fill_gaps, follow
from ..face import FaceModel
from ..interpolation import FrameInterpolation, frames_by_timestamp, rate_of, steady_rate
from ..media.images import Bytes, from_bytes, read_picture
from ..motion.edit import interpolate_motion
from ..motion.motion_file import MotionClip, interpolate_openings
from ..progress import Progress
from ..ranges import check_ranges, ranged
from ..values import FPS, Motion
from ..weights.files import tensor_hash
from .face_checks import FaceSamples
from .footage import Footage, VideoFile
from .portrait import read_crops
from .video_order import fitted_frames


@dataclass(frozen=True)
class FaceVideoOptions:
    """How a video of a face is read: ``where`` and ``pick`` as in :func:`detect.select_face`, ``crop`` the area around
    the face, ``limits`` of detection gaps, ``smoothing`` of the crops of a source video (observation variance, in sides
    of the crop; 0 leaves them as detected), ``threshold`` as in :func:`detect.detector`."""

    where: FaceSource = "auto"
    pick: Pick | None = None
    crop: CropOptions = DRIVING_CROP
    limits: GapLimits = field(default_factory=GapLimits)
    batch: int = ranged(8, 1, 1024, "frames")
    smoothing: float = ranged(1e-4, 0.0, 1.0)
    threshold: float | None = ranged(None, 0.01, 0.99, "of certainty")

    def __post_init__(self) -> None:
        check_ranges(self)


def read_driving(
    face: FaceModel, path: Path, options: FaceVideoOptions | None = None, progress: Progress | None = None
) -> MotionClip:
    """The motion of the face in a driving video, at the video's rate (variable-rate videos: at the mean rate).

    One upright box is used for all frames. Where the detector lost the face, motion is interpolated.
    """
    options, video = options or FaceVideoOptions(), VideoFile(path)
    facts, times = video.facts(), list[float]()
    track, report = _track(video, options, facts.frames, progress)
    square, height, width = _fixed_square(video, track, options)
    reading = ReadingCrop.of(square, height, width, face.config)
    crops, samples = (reading.read(picture) for picture in _pictures(video, times, track is None)), FaceSamples()
    motion, _ = read_crops(face, samples.of(crops), facts.fps, options.batch, facts.frames, report)
    openings = None
    if track is None:
        samples.warn_unless_face(face, f"driving video {path.name}")
    else:
        first, second, weight = fill_gaps(track.seen)
        motion = interpolate_motion(motion, FrameInterpolation(first, second, weight), motion.fps)
        openings = track.openings
    seen = MotionClip(motion, openings, path.name, tensor_hash(face.motion))
    shown = torch.tensor(times, dtype=torch.float64)
    if steady_rate(shown, facts.fps):
        return seen
    rate = rate_of(shown, facts.fps)
    return seen.interpolate(frames_by_timestamp(shown, rate), rate)


def read_driving_picture(face: FaceModel, path: Path, options: FaceVideoOptions | None = None) -> MotionClip:
    """The motion of a driving picture, one frame. Raises UserError when no face is found."""
    options = options or FaceVideoOptions()
    image = read_picture(path)
    found = select_face(image, options.where, options.pick, options.threshold)
    found = replace(found, face=found.face and found.face.in_video())
    height, width = image.shape[:2]
    reading = ReadingCrop.of(found.square(options.crop), height, width, face.config)
    motion, _ = read_crops(face, [reading.read(image)], FPS, 1, 1, None)
    openings = None if found.face is None or found.face.finest is None else Openings.of(found.face.finest[None])
    return MotionClip(motion, openings, path.name, tensor_hash(face.motion))


@dataclass(frozen=True)
class SourceVideo:
    """A source video to be driven, at ``motion.fps``.

    ``shown`` (T,): index of the footage's frame for each output frame; ``crops`` (T, 2, 3): crop to picture affines;
    ``keypoints`` (T, K, 3) canonical; ``motion`` of the face itself; ``openings`` of eyes and lips.
    """

    footage: Footage
    shown: Tensor
    crops: Tensor
    crop_size: int
    keypoints: Tensor
    motion: Motion
    openings: Openings | None

    def __len__(self) -> int:
        return len(self.shown)

    def fitted(self, frames: int, how: str) -> SourceVideo:
        """The video made as long as ``frames`` by one of VIDEO_FITS; see :func:`video_order.fitted_frames`."""
        order = torch.tensor(fitted_frames(len(self), frames, how))
        openings = None if self.openings is None else self.openings[order]
        motion, keypoints = self.motion[order], self.keypoints[order]
        return replace(
            self,
            shown=self.shown[order],
            crops=self.crops[order],
            keypoints=keypoints,
            motion=motion,
            openings=openings,
        )


def read_source_video(
    face: FaceModel,
    video: Path | Footage,
    options: FaceVideoOptions | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
) -> SourceVideo:
    """Read a source video, cropped per frame unless it is a face crop already.

    ``fps`` is the output rate, None for the video's own.
    """
    options = options or FaceVideoOptions(crop=CropOptions())
    video = VideoFile(video) if isinstance(video, Path) else video
    facts, times = video.facts(), list[float]()
    track, report = _track(video, options, facts.frames, progress)
    size = 2 * face.config.image_size
    still = track is None or _is_crop(video, track, options)
    fixed = None
    if still:
        square, height, width = _fixed_square(video, track, options)
        fixed = whole_to_image(height, width, size) if square is None else crop_to_image(square, size)
    squares = () if track is None or still else track.squares(options.crop, options.smoothing)
    affines = [crop_to_image(square, size) for square in squares]

    def crops() -> Iterator[Tensor]:
        for i, picture in enumerate(_pictures(video, times, track is None)):
            affine = fixed if fixed is not None else affines[min(i, len(affines) - 1)]
            yield from_bytes(shrink(cut_bytes(picture, affine, size), face.config.reading_size))

    samples = FaceSamples()
    motion, keypoints = read_crops(face, samples.of(crops()), facts.fps, options.batch, facts.frames, report)
    if track is None:
        samples.warn_unless_face(face, f"video portrait {video.name}")
    openings = None if track is None else track.openings
    if track is not None:
        motion = interpolate_motion(motion, FrameInterpolation(*fill_gaps(track.seen)), motion.fps)
    places = torch.stack(affines) if fixed is None else fixed.expand(len(motion), -1, -1)
    shown = torch.tensor(times, dtype=torch.float64)
    rate = fps or rate_of(shown, facts.fps)
    nearest = _nearest(frames_by_timestamp(shown, rate))
    chosen = FrameInterpolation(nearest, nearest, torch.zeros(len(nearest), dtype=torch.float64))
    return SourceVideo(
        video,
        nearest,
        places[nearest],
        size,
        keypoints[nearest],
        interpolate_motion(motion, chosen, rate),
        interpolate_openings(openings, chosen),
    )


def _track(
    video: Footage, options: FaceVideoOptions, frames: int, progress: Progress | None
) -> tuple[FaceTrack | None, Progress | None]:
    """The face track, None without a detector; and the progress callback of the second pass."""
    name = options.where
    if name == "auto":
        first = from_bytes(next(video.frames()).picture)
        name = next(
            (finder for finder in available()[:1] if full_search(detector(finder, options.threshold))(first)), "whole"
        )
    if not isinstance(name, str) or name == "whole":
        return None, progress

    def half(done: int, total: int) -> None:
        if progress:
            progress(done, 2 * total)

    def other_half(done: int, total: int) -> None:
        if progress:
            progress(total + done, 2 * total)

    pictures = (frame.picture for frame in video.frames())
    return follow(pictures, detector(name, options.threshold), options.pick, options.limits, frames, half), other_half


def _fixed_square(video: Footage, track: FaceTrack | None, options: FaceVideoOptions) -> tuple[Square | None, int, int]:
    """One square for the whole video, None for the largest there is; and the height and width of the pictures."""
    first = from_bytes(next(video.frames()).picture)
    height, width = first.shape[:2]
    if track is None:
        return select_face(first, options.where, options.pick).square(options.crop), height, width
    return None if _is_crop(video, track, options) else track.box(options.crop), height, width


def _is_crop(video: Footage, track: FaceTrack, options: FaceVideoOptions) -> bool:
    """Whether the video is a face crop already."""
    facts = video.facts()
    return (
        options.where == "auto" and options.pick is None and fills(track.box(options.crop), facts.height, facts.width)
    )


def _pictures(video: Footage, times: list[float], warn: bool) -> Iterator[Bytes]:
    """The pictures of a video; appends their timestamps to ``times``."""
    for frame in video.frames(warn):
        times.append(frame.time)
        yield frame.picture


def _nearest(reading: FrameInterpolation) -> Tensor:
    return torch.where(reading.weight < 0.5, reading.first, reading.second)


def shown_pictures(source_video: SourceVideo, start: int, stop: int) -> Iterator[Bytes]:
    """The footage's pictures for output frames ``start`` up to ``stop``, in any order and with repetitions."""
    return source_video.footage.in_order(source_video.shown[start:stop].tolist())
