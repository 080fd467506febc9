"""Render jobs for portraits and source videos: what is rendered, composited and hashed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..detection.crop import cut_plane
from ..diffusion.request import joined
from ..face import FaceModel
from ..keypoint_space import MotionAdapter
from ..media.transparency import with_alpha
from ..motion.stream import MotionStream, first_frame_alone
from ..progress import Progress
from ..values import Motion, Portrait, Transparency
from .device import batch_on
from .fallback import FallbackRenderer
from .moving_alpha import CLEAR, OPAQUE, finished, moving_alpha
from .render import RenderOptions, offset_progress, paste_back, relative_to_rest, render, render_keypoints
from .segments import DrawFrames, Finish, RenderJob
from .source_frames import DrivenFace, SourceVideoRenderer
from .trajectory import KeypointTrajectory
from .video_portrait import driven_face, video_of

#: Draws one portrait as :data:`segments.DrawFrames` does.
DrawPortrait = Callable[[Portrait, FallbackRenderer, int, int, Progress | None], Iterator[Tensor]]


@dataclass(frozen=True)
class Composition:
    """What a frame shows: the crop, or with ``pasted`` the whole picture with the crop blended in by ``mask`` (S, S),
    None for a feathered crop; with ``alpha`` as transparent as the portrait's picture is."""

    pasted: bool = False
    mask: NDArray[np.uint8] | None = None
    alpha: bool = False

    def size(self, portrait: Portrait) -> tuple[int, int]:
        """Height and width of a frame."""
        height, width = portrait.image.shape[:2]
        return (height, width) if self.pasted else (portrait.crop_size, portrait.crop_size)

    def finish(self, portrait: Portrait, moving: bool = False) -> Finish:
        """The post-processing of rendered crops, which have alpha of their own where it is ``moving``."""
        shown: Finish = partial(paste_back, portrait, mask=self.mask) if self.pasted else iter
        transparency = self._transparency(portrait)
        if transparency is None:
            return shown
        if moving:
            return lambda crops: finished(crops, portrait, transparency, self.pasted, self.mask)
        return lambda crops: with_alpha(shown(crops), transparency)

    def decisive(self, portrait: Portrait) -> list[Tensor]:
        """The tensors that determine pictures besides the crops."""
        transparency = self._transparency(portrait)
        mask = [] if self.mask is None else [torch.from_numpy(self.mask)]
        return mask if transparency is None else [*mask, transparency.alpha, torch.tensor(transparency.background)]

    def _transparency(self, portrait: Portrait) -> Transparency | None:
        """That of a frame in which nothing moves, None without ``alpha``."""
        found = portrait.transparency if self.alpha else None
        if found is None or self.pasted:
            return found
        return replace(found, alpha=cut_plane(found.alpha, portrait.crop_to_image, portrait.crop_size))


def portrait_job(
    face: FaceModel,
    portrait: Portrait,
    motion: Motion | MotionStream,
    rendering: RenderOptions | None = None,
    composition: Composition | None = None,
) -> RenderJob:
    """The job to render a portrait with ``motion``, at the motion's rate; a stream is generated as far as drawn.

    The portrait of a video is drawn over the video at its rate, with the expressions as the motion has them.
    """
    rendering, composition = rendering or RenderOptions(), composition or Composition()
    stream = motion if isinstance(motion, MotionStream) else MotionStream.of(motion)
    if video := video_of(portrait):
        faces = [driven_face(face, video, stream.whole(), rendering.stitching)]
        return source_video_job(face, faces, rendering.batch, composition.pasted, rendering.profile)
    relative, adapted = rendering.expression == "relative", MotionAdapter(portrait.rest)
    if not portrait.familiar and rendering.expression != "absolute":  # its lids are measured on the whole motion
        whole, relative = adapted(stream.whole()), False
        stream, adapted = MotionStream.of(rendering.expressed(portrait, whole)), MotionAdapter(portrait.rest)
    placed = replace(rendering, expression="absolute")

    def shown(part: Motion) -> Motion:
        part = adapted(part)
        if not relative:
            return part
        # Relative to the first frame of the whole motion, not of a segment.
        return relative_to_rest(portrait, part, adapted(stream.first_frame()))

    def drawn(
        one: Portrait, renderer: FallbackRenderer, start: int, stop: int, progress: Progress | None
    ) -> Iterator[Tensor]:
        done, parts = 0, stream.parts(start, stop)
        for part in first_frame_alone(parts) if start == 0 else parts:  # not of a segment: it may be resumed from
            onward = offset_progress(progress, done, stop - start)
            yield from render(face, one, shown(part), placed, onward, renderer)
            done += len(part)

    def shared() -> list[Tensor]:
        return [portrait.keypoints, *_numbers(portrait.rest), *_decisive(portrait, composition)]

    def tensors(start: int, stop: int) -> list[Tensor]:
        return _numbers(shown(joined(list(stream.parts(start, stop)))))

    draw, alpha, finish = _with_alpha(face, portrait, composition, drawn)
    facts, batch = (asdict(placed), composition.pasted, alpha, stream.fps), _batch(face, placed.batch)
    return RenderJob(face, len(stream), stream.fps, batch, draw, facts, shared, tensors, finish, placed.profile)


def trajectory_job(
    face: FaceModel, portrait: Portrait, trajectory: KeypointTrajectory, batch: int, composition: Composition
) -> RenderJob:
    """The job to render a portrait whose keypoints follow ``trajectory``."""

    def drawn(
        one: Portrait, renderer: FallbackRenderer, start: int, stop: int, progress: Progress | None
    ) -> Iterator[Tensor]:
        return render_keypoints(renderer, one, trajectory.x_s, trajectory.x_d, slice(start, stop), progress)

    def shared() -> list[Tensor]:
        return [trajectory.x_s, *_decisive(portrait, composition)]

    def tensors(start: int, stop: int) -> list[Tensor]:
        return [trajectory.x_d(start, stop)]

    draw, alpha, finish = _with_alpha(face, portrait, composition, drawn)
    facts, batch = (composition.pasted, alpha, trajectory.fps), _batch(face, batch)
    return RenderJob(face, trajectory.frames, trajectory.fps, batch, draw, facts, shared, tensors, finish)


def source_video_job(
    face: FaceModel, faces: Sequence[DrivenFace], batch: int, pasted: bool = True, profile: str = "auto"
) -> RenderJob:
    """The job to render the driven ``faces`` of a source video in its pictures; not ``pasted``: the crops of one."""
    frames, source = SourceVideoRenderer(faces, pasted), faces[0].source

    def tensors(start: int, stop: int) -> list[Tensor]:
        moving = [(one.x_s, one.x_d, one.source.crops, one.source.shown) for one in faces]
        return [values[start:stop] for one in moving for values in one]

    def shared() -> list[Tensor]:
        return [torch.tensor(list(source.footage.digest().encode()))]

    facts = ("source video", source.crop_size, source.motion.fps, pasted)
    count, batch = min(len(one.x_d) for one in faces), _batch(face, batch)
    return RenderJob(face, count, source.motion.fps, batch, frames.show, facts, shared, tensors, profile=profile)


def _with_alpha(
    face: FaceModel, portrait: Portrait, composition: Composition, drawn: DrawPortrait
) -> tuple[DrawFrames, object, Finish]:
    """How a portrait is drawn and finished, with the alpha of a moving head where the face model can draw it; and a
    fact that says so."""
    moving = moving_alpha(face, portrait) if composition.alpha else None
    if moving is None:
        return partial(drawn, portrait), composition.alpha, composition.finish(portrait)

    def draw(renderer: FallbackRenderer, start: int, stop: int, progress: Progress | None) -> Iterator[Tensor]:
        return moving.with_matte(
            drawn(portrait, renderer, start, stop, progress), drawn(moving.portrait, renderer, start, stop, None)
        )

    return draw, ("alpha drawn", CLEAR, OPAQUE), composition.finish(portrait, moving=True)


def _batch(face: FaceModel, frames: int) -> int:
    return batch_on(next(face.parameters()).device, frames)


def _numbers(motion: Motion) -> list[Tensor]:
    pose = motion.pose
    return [pose.rotation, pose.translation, pose.scale, motion.expression]


def _decisive(portrait: Portrait, composition: Composition) -> list[Tensor]:
    """The tensors that determine a portrait's pictures besides keypoints."""
    size = torch.tensor(portrait.crop_size)
    return [portrait.image, portrait.crop_to_image, size, portrait.appearance, *composition.decisive(portrait)]
