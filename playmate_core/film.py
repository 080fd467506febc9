"""A portrait under a motion as a video file: drawn, pasted back and encoded at once, in memory that does not grow."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from .face import FaceModel
from .face.prepared import suitable
from .joining import join
from .overlap import behind
from .render import RenderOptions, paste_back, relative_to_rest, render, shifted
from .sound import Recording
from .values import Motion, Portrait
from .writer import VideoOptions, VideoWriter

#: Frames of a part of a film that can be resumed; x264 begins a new group of pictures about as often.
PART = 250
Progress = Callable[[int, int], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FilmRequest:
    """What to write: ``pasted`` puts the face back into the whole picture; ``resumable`` keeps finished parts beside
    ``path`` when it is stopped or killed, and goes on from them when it is asked for again."""

    path: Path
    sound: Recording | str | Path | None = None
    pasted: bool = False
    resumable: bool = False
    rendering: RenderOptions = RenderOptions()
    encoding: VideoOptions = VideoOptions()


def write_film(
    face: FaceModel, portrait: Portrait, motion: Motion, request: FilmRequest, progress: Progress | None = None
) -> int:
    """Write the film at the motion's rate, with the sound; returns the number of frames.

    ``progress`` is told the frames drawn and their number; raising in it cancels. The frames do not depend on whether
    and how often a resumable film was interrupted.
    """
    rendering = request.rendering
    if rendering.expression == "relative":  # against the whole motion's first frame, not a part's
        motion, rendering = relative_to_rest(portrait, motion), replace(rendering, expression="absolute")
    request = replace(request, rendering=rendering)
    if request.resumable:
        return _write_parts(face, portrait, motion, request, progress)
    with VideoWriter(request.path, motion.fps, request.sound, request.encoding) as video:
        encode(video, portrait, render(face, portrait, motion, rendering, progress), request.pasted)
    return video.frames


def parts_folder(path: Path) -> Path:
    """Where a resumable film keeps its parts until it is whole."""
    return path.with_name(f".{path.stem}.parts")


def encode(video: VideoWriter, portrait: Portrait, batches: Iterable[Tensor], pasted: bool) -> None:
    """Hand batches of face crops (n, S, S, 3) to ``video``, put back into the whole picture where asked.

    Whoever makes the batches goes on while a thread pastes and another encodes.
    """

    def write(crops: Iterator[Tensor]) -> None:
        for pictures in paste_back(portrait, crops) if pasted else crops:
            video.write(pictures)

    with behind(write) as give:
        for batch in batches:
            give(batch)


def _write_parts(
    face: FaceModel, portrait: Portrait, motion: Motion, request: FilmRequest, progress: Progress | None
) -> int:
    folder, total = parts_folder(request.path), len(motion)
    request = _enter(folder, face, portrait, motion, request)
    parts = []
    for start in range(0, total, PART):
        stop = min(start + PART, total)
        parts.append(folder / f"{start:08d}.mp4")
        if not parts[-1].is_file():  # it got this name when it was whole
            told = shifted(progress, start, total)
            with VideoWriter(parts[-1], motion.fps, None, request.encoding) as video:
                drawn = render(face, portrait, motion[start:stop], request.rendering, told)
                encode(video, portrait, drawn, request.pasted)
        elif progress:
            progress(stop, total)
    join(parts, request.path, motion.fps, request.sound, request.encoding)
    shutil.rmtree(folder)
    return total


def _enter(folder: Path, face: FaceModel, portrait: Portrait, motion: Motion, request: FilmRequest) -> FilmRequest:
    """Make the folder, or find it as it was left: of the same film, or emptied. The profile of W and G is the one it
    was begun with, whatever memory is free now."""
    book = folder / "film.json"
    wanted = _fingerprint(face, portrait, motion, request)
    try:
        left = json.loads(book.read_text())
        if left["film"] == wanted:
            for cut in folder.glob("*.part"):  # what a killed encoder was at, also under a leading dot
                cut.unlink()
            return replace(request, rendering=replace(request.rendering, profile=left["profile"]))
        log.warning("The parts in %s are of another film; beginning anew.", folder)
    except (OSError, ValueError, KeyError):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    profile = request.rendering.profile
    profile = suitable(face) if profile == "auto" else profile
    temporary = book.with_suffix(".part")
    temporary.write_text(json.dumps({"film": wanted, "profile": profile}))
    temporary.replace(book)
    return replace(request, rendering=replace(request.rendering, profile=profile))


def _fingerprint(face: FaceModel, portrait: Portrait, motion: Motion, request: FilmRequest) -> str:
    """A hash of everything that decides the pictures."""
    digest = hashlib.sha256()
    choices = (asdict(request.rendering), asdict(request.encoding), request.pasted, motion.fps, portrait.crop_size)
    digest.update(repr(choices).encode())
    pose, rest = motion.pose, portrait.rest
    tensors = [pose.rotation, pose.translation, pose.scale, motion.expression, portrait.image, portrait.crop_to_image]
    tensors += [portrait.appearance, portrait.keypoints, rest.expression, rest.pose.rotation, rest.pose.translation]
    for tensor in (*tensors, *face.state_dict().values()):
        digest.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
