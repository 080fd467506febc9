"""A film written part by part: what is finished stays when the process is killed, and is gone on from.

The parts lie in a hidden folder beside the film until it is whole; joining copies their packets, so that the frames do
not depend on whether and how often the work was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..atomic_file import write_atomically
from ..face import FaceModel
from ..face.fast import choose_profile
from ..media.audio_files import Recording
from ..media.concat import join
from ..media.video_writer import VideoOptions, VideoWriter
from .render import offset_progress

#: Frames of a part; x264 begins a new group of pictures about as often.
PART = 250
Progress = Callable[[int, int], None]
#: Gives a video the frames from one up to another, W and G arranged by a profile of :mod:`face.fast`.
Give = Callable[[VideoWriter, int, int, str, Progress | None], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scene:
    """The pictures of a film: ``frames`` of them at ``fps``, given by ``give`` in order, part after part, from any
    frame on. ``sign`` makes a hash of everything that decides them; ``profile`` is how W and G are arranged."""

    frames: int
    fps: float
    give: Give
    sign: Callable[[], str]
    profile: str


def write_at_once(
    scene: Scene, path: Path, sound: Recording | str | Path | None, options: VideoOptions, progress: Progress | None
) -> int:
    """Write the film, the very frames that :func:`write_parts` writes; nothing is left when it is stopped. Returns the
    number of frames."""
    if scene.frames > PART:  # an encoder begins anew with each part, and what it makes of a frame depends on that
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
            return _in_parts(scene, Path(folder), scene.profile, path, sound, options, progress)
    with VideoWriter(path, scene.fps, sound, options) as video:
        scene.give(video, 0, scene.frames, scene.profile, progress)
    return video.frames


def write_parts(
    scene: Scene, path: Path, sound: Recording | str | Path | None, options: VideoOptions, progress: Progress | None
) -> int:
    """Write the film part by part, going on from the parts that are there. Returns the number of frames."""
    folder = parts_folder(path)
    profile = _enter(folder, sign((scene.sign(), options)), scene.profile)
    frames = _in_parts(scene, folder, profile, path, sound, options, progress)
    shutil.rmtree(folder)
    return frames


def _in_parts(
    scene: Scene,
    folder: Path,
    profile: str,
    path: Path,
    sound: Recording | str | Path | None,
    options: VideoOptions,
    progress: Progress | None,
) -> int:
    """Write the parts that ``folder`` lacks and join all of them."""
    parts = []
    for start in range(0, scene.frames, PART):
        stop = min(start + PART, scene.frames)
        parts.append(folder / f"{start:08d}.mp4")
        if not parts[-1].is_file():  # it got this name when it was whole
            with VideoWriter(parts[-1], scene.fps, None, options) as video:
                scene.give(video, start, stop, profile, offset_progress(progress, start, scene.frames))
        elif progress:
            progress(stop, scene.frames)
    join(parts, path, scene.fps, sound, options)
    return scene.frames


def parts_folder(path: Path) -> Path:
    """Where a film keeps its parts until it is whole."""
    return path.with_name(f".{path.stem}.parts")


def resolve_profile(face: FaceModel, profile: str) -> str:
    """The profile itself, or that which suits ``face`` here and now."""
    return choose_profile(face) if profile == "auto" else profile


def sign(choices: object, tensors: Iterable[Tensor] = ()) -> str:
    """A hash of values that tell all of themselves when printed, and of tensors."""
    digest = hashlib.sha256(repr(choices).encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _enter(folder: Path, film: str, profile: str) -> str:
    """Make the folder, or find it as it was left: of the same film, or emptied. Returns the profile of W and G that it
    was begun with, whatever memory is free now."""
    book = folder / "film.json"
    try:
        left = json.loads(book.read_text())
        if left["film"] == film:
            for cut in folder.glob("*.part"):  # what a killed encoder was at, also under a leading dot
                cut.unlink()
            return str(left["profile"])
        log.warning("The parts in %s are of another film; beginning anew.", folder)
    except (OSError, ValueError, KeyError):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_atomically(book, json.dumps({"film": film, "profile": profile}).encode())
    return profile
