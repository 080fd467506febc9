"""A portrait under a motion as a video file: drawn, pasted back and encoded at once, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from ..face import FaceModel
from ..media.audio_track import AnySound
from ..media.prefetch import background_consumer
from ..media.video_writer import VideoOptions, VideoWriter
from ..values import Motion, Portrait
from .fallback import FallbackRenderer
from .render import RenderOptions, paste_back, relative_to_rest, render
from .segments import Progress, Scene, resolve_profile, sign, write_at_once, write_parts

#: What is done to batches of pictures on their way to the encoder.
Finish = Callable[[Iterator[Tensor]], Iterator[Tensor]]


@dataclass(frozen=True)
class VideoRequest:
    """What to write: ``pasted`` puts the face back into the whole picture; ``resumable`` keeps finished parts beside
    ``path`` when it is stopped or killed, and goes on from them when it is asked for again."""

    path: Path
    sound: AnySound = None
    pasted: bool = False
    resumable: bool = False
    rendering: RenderOptions = RenderOptions()
    encoding: VideoOptions = VideoOptions()


def write_portrait_video(
    face: FaceModel, portrait: Portrait, motion: Motion, request: VideoRequest, progress: Progress | None = None
) -> int:
    """Write the film at the motion's rate, with the sound; returns the number of frames.

    ``progress`` is told the frames drawn and their number; raising in it cancels. The frames do not depend on whether
    a film is resumable, and how often it was interrupted.
    """
    rendering = request.rendering
    if rendering.expression == "relative":  # against the whole motion's first frame, not a part's
        motion, rendering = relative_to_rest(portrait, motion), replace(rendering, expression="absolute")
    finish: Finish = partial(paste_back, portrait) if request.pasted else iter

    renderer = cache(
        partial(FallbackRenderer, face, rendering.batch)
    )  # one for all parts, of the profile that they turn out to have

    def give(video: VideoWriter, start: int, stop: int, profile: str, told: Progress | None) -> None:
        encode(video, render(face, portrait, motion[start:stop], rendering, told, renderer(profile)), finish)

    def fingerprint() -> str:
        pose, rest = motion.pose, portrait.rest
        tensors = [pose.rotation, pose.translation, pose.scale, motion.expression, portrait.keypoints]
        tensors += [rest.pose.rotation, rest.pose.translation, rest.pose.scale, rest.expression]
        return sign((asdict(rendering), request.pasted, motion.fps), [*tensors, *seen_in(portrait, face)])

    scene = Scene(len(motion), motion.fps, give, fingerprint, resolve_profile(face, rendering.profile))
    write = write_parts if request.resumable else write_at_once
    return write(scene, request.path, request.sound, request.encoding, progress)


def seen_in(portrait: Portrait, face: FaceModel) -> list[Tensor]:
    """What decides a portrait's pictures beside keypoints."""
    size = torch.tensor(portrait.crop_size)
    return [portrait.image, portrait.crop_to_image, size, portrait.appearance, *face.state_dict().values()]


def encode(video: VideoWriter, batches: Iterable[Tensor], finish: Finish) -> None:
    """Hand batches of pictures (n, H, W, 3) to ``video`` after ``finish`` was done to them.

    Whoever makes the batches goes on while a thread finishes and another encodes.
    """

    def write(made: Iterator[Tensor]) -> None:
        for pictures in finish(made):
            video.write(pictures)

    with background_consumer(write) as give:
        for batch in batches:
            give(batch)
