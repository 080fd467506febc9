"""Videos written in segments: finished segments survive a kill, and the same job resumes from them.

Segments lie in a hidden folder beside the video until it is complete, or in a folder that keeps them for the next
render of a changed motion. Each is named by a hash of what determines its own frames, so that only those are rendered
again that changed. Concatenation copies their packets, so the frames do not depend on where they came from.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..atomic_file import MARK, beside, is_temporary, temporary_name, write_atomically
from ..errors import UserError
from ..face import FaceModel
from ..face.fast import choose_profile
from ..media.audio_track import AnySound
from ..media.concat import join
from ..media.prefetch import background_consumer
from ..media.stored_frames import StoredFrames, played_count
from ..media.video_formats import LOSSLESS, MUXERS, VideoFormat, format_of
from ..media.video_options import VideoOptions
from ..media.video_writer import VideoWriter
from ..progress import Progress
from .assembly import write_assembled
from .fallback import FallbackRenderer
from .render import offset_progress

#: Frames per segment, about x264's default key frame interval.
PART = 250
#: Renders the frames from ``start`` up to ``stop``: batches (n, H, W, 3) uint8.
DrawFrames = Callable[[FallbackRenderer, int, int, Progress | None], Iterator[Tensor]]
#: The tensors that determine the frames from ``start`` up to ``stop``, and no others.
FrameTensors = Callable[[int, int], Iterable[Tensor]]
#: Post-processes batches of pictures before encoding.
Finish = Callable[[Iterator[Tensor]], Iterator[Tensor]]
#: Puts other pictures beside finished ones, which begin at a frame number.
Beside = Callable[[int, Iterator[Tensor]], Iterator[Tensor]]
#: Names of all files that this module writes into the folder of a job.
_OURS = re.compile(rf"^(film\.json|(\d{{8}}|[0-9a-f]{{32}})({'|'.join(map(re.escape, MUXERS))}))$")
#: The dtype and hash of the weights of face models.
_hashed: WeakKeyDictionary[FaceModel, tuple[torch.dtype, str]] = WeakKeyDictionary()
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RenderJob:
    """A video to render: ``frames`` at ``fps``, rendered with ``face`` in order, starting at any frame.

    ``finish`` runs on another thread while the next batch is rendered. ``facts`` (values fully described by their repr)
    and the tensors that are ``shared`` by all frames, with the weights and the batch size, determine every pixel
    together with ``tensors``, those of the frames from a number up to another. ``profile``: see :mod:`face.fast`.
    ``beside`` follows ``finish`` on its thread.
    """

    face: FaceModel
    frames: int
    fps: float
    batch: int
    draw: DrawFrames
    facts: object
    shared: Callable[[], Iterable[Tensor]]
    tensors: FrameTensors
    finish: Finish = iter
    profile: str = "auto"
    beside: Beside | None = None

    def fingerprint(self) -> str:
        """A hash of what determines the pictures besides the :meth:`key` of their frames."""
        return fingerprint((self.facts, self.batch, _weights(self.face)), self.shared())

    def key(self, start: int, stop: int) -> str:
        """A hash of what determines the frames from ``start`` up to ``stop`` besides the :meth:`fingerprint`."""
        return fingerprint((stop - start, self.beside and start), self.tensors(start, stop))

    def pictures(self, progress: Progress | None = None) -> Iterator[Tensor]:
        """All finished batches (n, H, W, 3) uint8, one after another; (n, H, W, 4) where the job has alpha."""
        profile = resolve_profile(self)
        drawn = self.draw(FallbackRenderer(self.face, self.batch, profile), 0, self.frames, progress)
        return self._finished(0, drawn)

    def _finished(self, start: int, drawn: Iterator[Tensor]) -> Iterator[Tensor]:
        finished = self.finish(drawn)
        return finished if self.beside is None else self.beside(start, finished)

    def encode(
        self, video: VideoWriter, renderer: FallbackRenderer, start: int, stop: int, progress: Progress | None
    ) -> None:
        """Render the frames from ``start`` up to ``stop`` into ``video``."""
        encode(video, self.draw(renderer, start, stop, progress), partial(self._finished, start))


@dataclass(frozen=True)
class VideoOutput:
    """The output of a job: the video's ``path`` and ``sound``; ``resumable`` keeps finished segments beside ``path``
    when the job is stopped or killed, and resumes from them when the same job runs again. ``parts`` is a folder that
    keeps them after the end as well, for the next render: it takes those whose frames stayed the same."""

    path: Path
    sound: AnySound = None
    resumable: bool = False
    encoding: VideoOptions = field(default_factory=VideoOptions)
    parts: Path | None = None


def write_video(job: RenderJob, output: VideoOutput, progress: Progress | None = None) -> int:
    """Render and encode the video; returns its number of frames. If it is stopped, nothing is left unless resumable.

    ``progress(frames done, total)``; raising in it cancels. Raises UserError, before the first frame, for what the
    format cannot hold.
    """
    encoding, written = output.encoding, output.encoding.check(output.path, job.fps)
    profile = resolve_profile(job)
    if output.resumable or output.parts:
        folder = output.parts or segments_folder(output.path)
        profile = _enter(folder, fingerprint((job.fingerprint(), encoding.unmarked())), profile)
        made = _in_segments(job, profile, folder, output, progress, lambda start, stop: job.key(start, stop)[:32])
        _leave(folder, made if output.parts else ())
    elif job.frames > PART or _in_two_passes(written, encoding):
        # As when resumable: the encoder restarts per segment, which affects encoded frames.
        folder = temporary_name(output.path, "parts")
        folder.mkdir()
        try:
            _in_segments(job, profile, folder, output, progress, lambda start, stop: f"{start:08d}")
        finally:
            _leave(folder)
    else:
        renderer = FallbackRenderer(job.face, job.batch, profile)
        with VideoWriter(output.path, job.fps, output.sound, encoding) as video:
            job.encode(video, renderer, 0, job.frames, progress)
    return played_count(job.frames, encoding.ping_pong)


def resolve_profile(job: RenderJob) -> str:
    """The profile of a job; "auto" is resolved for its face model and the free memory."""
    return choose_profile(job.face) if job.profile == "auto" else job.profile


def encode(video: VideoWriter, batches: Iterable[Tensor], finish: Finish) -> None:
    """Write batches of pictures (n, H, W, 3) to ``video`` after ``finish``.

    Rendering, ``finish`` and encoding run concurrently on three threads.
    """

    def write(drawn: Iterator[Tensor]) -> None:
        for pictures in finish(drawn):
            video.write(pictures)

    with background_consumer(write) as put:
        for batch in batches:
            put(batch)


def segments_folder(path: Path) -> Path:
    """The folder for the segments of a resumable video."""
    return beside(path, "parts")


def fingerprint(facts: object, tensors: Iterable[Tensor] = ()) -> str:
    """A hash of values that are fully described by their repr, and of tensors."""
    digest = hashlib.sha256(repr(facts).encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _weights(face: FaceModel) -> str:
    """A hash of the weights of ``face``, computed once per model and dtype: half a gigabyte takes a second."""
    dtype, known = next(face.parameters()).dtype, _hashed.get(face)
    if known is None or known[0] != dtype:
        known = _hashed[face] = (dtype, fingerprint((), face.state_dict().values()))
    return known[1]


def _in_segments(
    job: RenderJob,
    profile: str,
    folder: Path,
    output: VideoOutput,
    progress: Progress | None,
    name: Callable[[int, int], str],
) -> list[Path]:
    """Write the missing segments in ``folder``, named by their first and last frame, and make the video of them all."""
    encoding, written = output.encoding, format_of(output.path, output.encoding.codec)
    twice, plain, suffix = _in_two_passes(written, encoding), encoding.unmarked(), output.path.suffix.lower()
    if twice:
        plain, suffix = replace(plain, codec=LOSSLESS.name), LOSSLESS.suffixes[0]
    renderer = cache(lambda: FallbackRenderer(job.face, job.batch, profile))  # one for all missing segments
    segments = []
    for start in range(0, job.frames, PART):
        stop = min(start + PART, job.frames)
        segments.append(folder / f"{name(start, stop)}{suffix}")
        if not segments[-1].is_file():  # segments get their name when they are complete
            with VideoWriter(segments[-1], job.fps, None, plain) as video:
                job.encode(video, renderer(), start, stop, offset_progress(progress, start, job.frames))
        elif progress:
            progress(stop, job.frames)
    if twice:
        write_assembled(StoredFrames(segments, job.fps), output.path, job.fps, output.sound, encoding)
    else:
        join(segments, output.path, job.fps, output.sound, encoding)
    return segments


def _in_two_passes(written: VideoFormat, encoding: VideoOptions) -> bool:
    """Whether all pictures must be there before the first is encoded."""
    return written.assembled or encoding.ping_pong


def _enter(folder: Path, job: str, profile: str) -> str:
    """Create the folder, or reuse that of the same job; segments of another job are deleted. Returns the profile the
    job was begun with, regardless of memory free now. Raises UserError for a folder that this program did not
    create."""
    begun = folder / "film.json"
    if os.path.lexists(folder):
        left = _left(folder, begun)
        if left.get("film") == job:
            for path in folder.iterdir():
                if is_temporary(path.name):  # left by a killed encoder
                    path.unlink()
            return str(left["profile"])
        if left:
            log.warning("The segments in %s are of another video; starting again.", folder)
        _leave(folder)
    folder.mkdir()
    write_atomically(begun, json.dumps({"program": MARK, "film": job, "profile": profile}).encode())
    return profile


def _left(folder: Path, begun: Path) -> dict[str, str]:
    """The manifest of a segments folder; {} if its job was killed before writing it. Raises UserError for a folder with
    foreign files."""
    foreign = folder.name
    if folder.is_dir() and not folder.is_symlink():
        found = [path for path in folder.iterdir() if not is_temporary(path.name)]
        try:
            left = json.loads(begun.read_text()) if found else {}
        except (OSError, ValueError):
            left = None
        strange = [path.name for path in found if not _OURS.match(path.name) or not path.is_file()]
        if not found or (not strange and isinstance(left, dict) and left.get("program") == MARK and "profile" in left):
            return left or {}
        foreign = (strange or [path.name for path in found])[0]
    raise UserError(
        f"{folder} holds {foreign}, which this program did not write; please move the folder away or choose another"
        " output."
    )


def _leave(folder: Path, kept: Sequence[Path] = ()) -> None:
    """Delete a folder of segments, or only the segments that are not ``kept``; files not written by this module are
    kept, with a warning."""
    for path in folder.iterdir():
        stays = path in kept or (kept and path.suffix == ".json")
        if not stays and (_OURS.match(path.name) or is_temporary(path.name)):
            path.unlink()
    if kept:
        return
    try:
        folder.rmdir()
    except OSError:  # it contains foreign files
        log.warning("%s is kept: it holds what this program did not write.", folder)
