"""Media files opened and decoded by FFmpeg: a name is a path and nothing else, a damaged packet is skipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .input_files import check_file
from .truncation import check_complete

#: Attempts to go on reading after the demuxer failed without giving a single packet in between.
_DEMUX_ATTEMPTS = 3
#: Major brands of ISO media files that hold a still picture.
_STILL_BRANDS = ("heic", "heix", "heim", "heis", "mif1", "avif")
_ATTACHED_PICTURE, _DEFAULT = 0x400, 0x1


@dataclass
class Damage:
    """How many packets of a stream were ``decoded`` and how many ``skipped`` because they could not be."""

    decoded: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.skipped} of {self.decoded + self.skipped} packets are damaged"


def ffmpeg_name(path: str | Path) -> str:
    """``path`` as FFmpeg opens it: with the protocol spelled out, or 10:30.wav and concat:a would name others."""
    return f"file:{path}"


@contextmanager
def open_medium(path: Path, what: str) -> Iterator[Any]:
    """Open an audio or video file for reading; every complaint of FFmpeg inside the block becomes a UserError.

    Raises UserError for a file that is missing, empty, no medium, a still picture, or provably cut short.
    """
    with open_container(path, what) as container, decoding(path, what):
        yield container


def open_container(path: Path, what: str) -> Any:
    """The same, for a block in which other files may be complained of."""
    import av

    check_file(path, what)
    check_complete(path)
    with decoding(path, what):
        container = av.open(ffmpeg_name(path))
    name = container.format.name
    still = name.endswith("_pipe") or name == "image2" or container.metadata.get("major_brand") in _STILL_BRANDS
    if name == "tty" or still:  # FFmpeg takes these for films
        container.close()
        seems = "text" if name == "tty" else "a still picture"
        raise UserError(f"{path} is {seems}, not a {what} file; please give another.")
    return container


@contextmanager
def decoding(path: Path, what: str) -> Iterator[None]:
    """Turn FFmpeg's complaints about ``path`` into one UserError."""
    import av

    try:
        yield
    except av.error.FFmpegError as problem:
        raise UserError(
            f"{path} is not a {what} file that can be decoded ({problem.strerror}): it is damaged, cut short or of"
            " another type."
        ) from problem


def decoded(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    """The frames of a stream. Packets that cannot be decoded are skipped and counted in ``damage``.

    Raises FFmpeg's error where more packets had to be skipped than could be decoded: such a file is not damaged but
    of another kind.
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
    """Whether a video stream is a cover picture and no film."""
    return bool(disposition(stream) & _ATTACHED_PICTURE)


def is_default(stream: Any) -> bool:
    """Whether the file marks a stream as the one to take."""
    return bool(disposition(stream) & _DEFAULT)


def disposition(stream: Any) -> int:
    """FFmpeg's disposition bits: PyAV's flags are integers only from its 18th version on."""
    flags = stream.disposition
    return int(getattr(flags, "value", flags))


def film_stream(container: Any) -> Any:
    """The first video stream that is a film, or None."""
    streams = (stream for stream in container.streams.video if stream.codec_context)
    return next((stream for stream in streams if not is_attached_picture(stream)), None)


def _packets(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    """The packets of a stream, the flushing one included; goes on where the demuxer stumbles over damage."""
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
                raise
