"""Open and decode media files with FFmpeg: names are always paths, damaged packets are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, with_article
from .input_files import check_file
from .truncation import check_complete

#: Attempts to continue after consecutive demuxer errors without a packet in between.
_DEMUX_ATTEMPTS = 3
#: Major brands of ISO media files that are still pictures.
_STILL_BRANDS = ("heic", "heix", "heim", "heis", "mif1", "avif")
_ATTACHED_PICTURE, _DEFAULT = 0x400, 0x1


@dataclass
class Damage:
    """Packets of a stream that were ``decoded``, and those ``skipped`` because they were damaged."""

    decoded: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.skipped} of {self.decoded + self.skipped} packets are damaged"


def ffmpeg_name(path: str | Path) -> str:
    """``path`` with the file protocol, or FFmpeg would take 10:30.wav and concat:a for other protocols."""
    return f"file:{path}"


@contextmanager
def open_medium(path: Path, what: str) -> Iterator[Any]:
    """Open an audio or video file for reading; FFmpeg errors inside the block become UserErrors.

    Raises UserError for a file that is missing, empty, of an unknown format, a still picture, or provably truncated.
    """
    with open_container(path, what) as container, decoding(path, what):
        yield container


def open_container(path: Path, what: str) -> Any:
    """As :func:`open_medium`, but errors after opening are not attributed to this file; the caller closes it."""
    import av

    check_file(path, what)
    check_complete(path)
    with decoding(path, what):
        container = av.open(ffmpeg_name(path))
    name = container.format.name
    still = name.endswith("_pipe") or name == "image2" or container.metadata.get("major_brand") in _STILL_BRANDS
    if name == "tty" or still:  # FFmpeg opens these as videos
        container.close()
        seems = "text" if name == "tty" else "a still picture"
        raise UserError(f"{path} is {seems}, not {with_article(what)} file; please give another.")
    return container


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Turn FFmpeg errors into a UserError that names ``path``."""
    import av

    try:
        yield
    except av.error.FFmpegError as problem:
        raise UserError(
            f"{path} is not {with_article(what)} file that can be decoded ({problem.strerror}): it is damaged, cut"
            " short or of another type."
        ) from problem


def decoded(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    """The frames of a stream. Packets that cannot be decoded are skipped and counted in ``damage``.

    Raises FFmpeg's error if more packets were skipped than decoded: such a file is of another format.
    """
    import av

    problem: av.error.FFmpegError | None = None
    for packet in _packets(container, stream, damage):
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            damage.skipped += 1
            problem = error
            continue
        damage.decoded += packet.size > 0
        yield from frames
    if problem and damage.skipped > damage.decoded:
        raise problem


def is_attached_picture(stream: Any) -> bool:
    """Whether a video stream is only a cover picture."""
    return bool(disposition(stream) & _ATTACHED_PICTURE)


def is_default(stream: Any) -> bool:
    """Whether the file marks a stream as default."""
    return bool(disposition(stream) & _DEFAULT)


def disposition(stream: Any) -> int:
    """FFmpeg's disposition bits: PyAV's flags are integers only from its 18th version on."""
    flags = stream.disposition
    return int(getattr(flags, "value", flags))


def first_video_stream(container: Any) -> Any:
    """The first video stream that is not a cover picture, or None."""
    streams = (stream for stream in container.streams.video if stream.codec_context)
    return next((stream for stream in streams if not is_attached_picture(stream)), None)


def _packets(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    """The packets of a stream, including the flushing one; continues after demuxer errors, and ends where there are
    only errors left."""
    import av

    failures = 0
    while True:
        try:
            for packet in container.demux(stream):
                failures = 0
                yield packet
            return
        except av.error.InvalidDataError:
            damage.skipped += 1
            failures += 1
            if failures >= _DEMUX_ATTEMPTS:
                if damage.decoded >= damage.skipped:  # the rest cannot be found; what was read is kept
                    return
                raise
