"""Several moving faces in one video: on one plate, a picture or a video that shows them all, or in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..detection.crop import Patch
from ..detection.plate_masks import plate_masks
from ..errors import UserError
from ..face import FaceModel
from ..media.images import to_bytes
from ..media.transparency import taken_off
from ..motion.edit import fit_motion, resample_motion
from ..progress import Progress
from ..values import Motion, Portrait
from .fallback import FallbackRenderer
from .render import RenderOptions
from .segments import RenderJob
from .side_by_side import as_high
from .video_portrait import VideoPortrait, driven_face, video_of
from .write_video import Composition, portrait_job, source_video_job

#: "plate": all faces in the one picture or video they were read from. "row": one beside the other, from the left.
ARRANGEMENTS = ("plate", "row")
#: Puts one frame of every face, finished, into one picture (H, W, 3).
Show = Callable[[Sequence[Tensor]], NDArray[np.uint8]]


@dataclass(frozen=True)
class MovingFace:
    """A portrait and what it does."""

    portrait: Portrait
    motion: Motion


@dataclass(frozen=True)
class Arrangement:
    """``how``: one of ARRANGEMENTS; ``pasted``: a row of whole pictures instead of face crops; ``alpha``: the frames
    are as transparent as the pictures are."""

    how: str = "plate"
    pasted: bool = False
    alpha: bool = False

    def __post_init__(self) -> None:
        if self.how not in ARRANGEMENTS:
            raise UserError(f"Unknown arrangement {self.how!r}; please choose one of {', '.join(ARRANGEMENTS)}.")


def faces_job(
    face: FaceModel, faces: Sequence[MovingFace], arrangement: Arrangement, rendering: RenderOptions | None = None
) -> RenderJob:
    """The job to render several faces, each with its own motion, as long as the longest of them.

    Where a motion ends before the others, its last frame is held. The rate is that of the video, or of the first
    motion where all are pictures. Raises UserError for portraits that do not show one plate.
    """
    rendering = rendering or RenderOptions()
    faces = _alike(faces)
    if arrangement.how == "row":
        return _row_job(face, faces, arrangement, rendering)
    videos = [video for one in faces if (video := video_of(one.portrait))]
    if not videos:
        return _picture_job(face, faces, arrangement.alpha, rendering)
    _require_one_video(faces, videos)
    driven = [
        driven_face(face, video, one.motion, rendering.stitching) for video, one in zip(videos, faces, strict=True)
    ]
    return source_video_job(face, driven, rendering.batch, True, rendering.profile)


def _alike(faces: Sequence[MovingFace]) -> list[MovingFace]:
    """The faces with motions of one rate and length."""
    if not faces:
        raise ValueError("Several faces need at least one.")
    rates = [video.video.motion.fps for one in faces if (video := video_of(one.portrait))]
    if any(abs(rate - rates[0]) > 1e-6 for rate in rates):
        told = " and ".join(f"{rate:g}" for rate in sorted(set(rates)))
        raise UserError(f"The videos run at {told} frames a second; please change the rate of one of them first.")
    fps = rates[0] if rates else faces[0].motion.fps
    motions = [resample_motion(one.motion, fps) for one in faces]
    frames = max(map(len, motions))
    return [MovingFace(one.portrait, fit_motion(motion, frames)) for one, motion in zip(faces, motions, strict=True)]


def _require_one_video(faces: Sequence[MovingFace], videos: Sequence[VideoPortrait]) -> None:
    same = len({(video.video.footage.digest(), video.fit) for video in videos}) == 1
    if len(videos) < len(faces) or not same:
        raise UserError(
            "The portraits are not all of one video with one fit, so they cannot move in it together; please read every"
            " face from the same video, or choose the arrangement row."
        )


def _picture_job(face: FaceModel, faces: Sequence[MovingFace], alpha: bool, rendering: RenderOptions) -> RenderJob:
    """Several faces of one picture, with ``alpha`` as transparent as that is."""
    picture = faces[0].portrait.image
    if not all(one.portrait.image.shape == picture.shape and torch.equal(one.portrait.image, picture) for one in faces):
        raise UserError(
            "The portraits are of different pictures, so they cannot move in one; please crop every face out of the"
            " same picture, or choose the arrangement row."
        )
    size = faces[0].portrait.crop_size
    places = torch.stack([one.portrait.crop_to_image for one in faces])
    masks = plate_masks(places, size)
    height, width = picture.shape[:2]
    patches = [Patch(place, size, height, width, mask) for place, mask in zip(places, masks, strict=True)]
    plate, transparency = to_bytes(picture).numpy(), faces[0].portrait.transparency if alpha else None
    jobs = [portrait_job(face, one.portrait, one.motion, rendering, Composition(alpha=alpha)) for one in faces]

    def pasted(ground: NDArray[np.uint8], crops: Sequence[NDArray[np.uint8] | None]) -> NDArray[np.uint8]:
        for patch, crop in zip(patches, crops, strict=True):
            ground = ground if crop is None else patch.paste(ground, crop)
        return ground

    if transparency is None:
        return _together(jobs, "plate", lambda crops: pasted(plate, [crop.numpy() for crop in crops]))
    clear = np.repeat((transparency.alpha.numpy() * 255).round().astype(np.uint8)[..., None], 3, -1)

    def shown(crops: Sequence[Tensor]) -> NDArray[np.uint8]:
        colours = pasted(plate, [np.ascontiguousarray(crop[..., :3]) for crop in crops])
        # The alpha of a face that the model cannot draw stays where it is.
        mattes = [np.repeat(crop[..., 3:].numpy(), 3, -1) if crop.shape[-1] == 4 else None for crop in crops]
        alphas = pasted(clear, mattes)[..., 0]
        return taken_off(torch.from_numpy(colours)[None], torch.from_numpy(alphas)[None], transparency.background)[
            0
        ].numpy()

    return _together([replace(job, finish=iter) for job in jobs], "plate", shown)


def _row_job(
    face: FaceModel, faces: Sequence[MovingFace], arrangement: Arrangement, rendering: RenderOptions
) -> RenderJob:
    """Portraits of any kind, one beside the other, all as high as the highest."""
    composition = Composition(arrangement.pasted, alpha=arrangement.alpha)
    jobs = [portrait_job(face, one.portrait, one.motion, rendering, composition) for one in faces]
    height = max(composition.size(one.portrait)[0] for one in faces)

    def shown(pictures: Sequence[Tensor]) -> NDArray[np.uint8]:
        shown = [_with_channels(as_high(picture.numpy(), height), 3 + arrangement.alpha) for picture in pictures]
        return np.concatenate(shown, 1)

    return _together(jobs, "row", shown)


def _together(jobs: Sequence[RenderJob], how: str, shown: Show) -> RenderJob:
    """One job of several whose finished frames ``shown`` puts into one picture."""

    def draw(renderer: FallbackRenderer, start: int, stop: int, progress: Progress | None) -> Iterator[Tensor]:
        frames = zip(*(_frames(job.finish(job.draw(renderer, start, stop, None))) for job in jobs), strict=True)
        done = 0
        while group := list(islice(frames, renderer.batch)):
            yield torch.from_numpy(np.stack([shown(one) for one in group]))
            done += len(group)
            if progress:
                progress(done, stop - start)

    def shared() -> list[Tensor]:
        return [tensor for job in jobs for tensor in job.shared()]

    def tensors(start: int, stop: int) -> list[Tensor]:
        return [tensor for job in jobs for tensor in job.tensors(start, stop)]

    first, facts = jobs[0], (how, [job.facts for job in jobs])
    count = min(job.frames for job in jobs)
    return RenderJob(first.face, count, first.fps, first.batch, draw, facts, shared, tensors, profile=first.profile)


def _with_channels(picture: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """An opaque picture among transparent ones gets the alpha that it lacks."""
    missing = channels - picture.shape[-1]
    return np.pad(picture, ((0, 0), (0, 0), (0, missing)), constant_values=255) if missing else picture


def _frames(batches: Iterator[Tensor]) -> Iterator[Tensor]:
    for batch in batches:
        yield from batch
