"""How a video is encoded and marked, in one place for all formats."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import UserError
from ..ranges import check_ranges, ranged
from .credentials import Signing
from .provenance import Mark
from .video_formats import BOXED, CODECS, VideoFormat, check_video_output, format_named

#: Whether a transparent picture makes a transparent video: where the format can hold it, always (or an error), never.
ALPHAS = ("auto", "keep", "none")


@dataclass(frozen=True)
class VideoOptions:
    """Encoder settings. ``crf`` is the constant rate factor of h264, hevc and vp9, ``preset`` that of the first two;
    AAC and Opus take ``bits_per_channel`` a second."""

    crf: int = ranged(18, 0, 51)
    preset: str = "faster"
    bits_per_channel: int = ranged(96_000, 8_000, 512_000, "bits a second")
    #: Capacity of the queue before the encoder: enough to overlap with rendering, little memory.
    queued_batches: int = ranged(4, 1, 1024, "batches")
    #: Further (key, text) tags to store in the file.
    tags: tuple[tuple[str, str], ...] = ()
    #: Provenance metadata; None stores none.
    mark: Mark | None = field(default_factory=Mark)
    #: Who signs what the mark says; None is nobody.
    signing: Signing | None = None
    #: One of CODECS; None is the usual one of the file's suffix.
    codec: str | None = None
    #: n frames are followed by the frames n - 1 to 2, so that the video ends where it begins.
    ping_pong: bool = False
    #: One of ALPHAS.
    alpha: str = "auto"

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.signing and not self.mark:
            raise ValueError("What is signed is the mark of a synthetic video, which is off.")
        if self.codec is not None:
            format_named(self.codec)
        if self.alpha not in ALPHAS:
            raise ValueError(f"alpha must be one of {', '.join(ALPHAS)}, got {self.alpha!r}.")

    def unmarked(self) -> VideoOptions:
        """The same pictures without anything that is said of them."""
        return replace(self, tags=(), mark=None, signing=None)

    def metadata(self) -> dict[str, str]:
        """All tags of the container."""
        return {**dict(self.tags), **(self.mark.tags() if self.mark else {})}

    def check(self, path: Path, fps: float | None = None) -> VideoFormat:
        """The format of the video at ``path``. Raises UserError, before any slow work, for what it cannot hold."""
        found = check_video_output(path, self.codec)
        if fps is not None:
            found.check_rate(fps)
        if self.signing and path.suffix.lower() != ".mp4":
            raise UserError(f"Only .mp4 files are signed, and {path} is none; please leave out the certificate.")
        if self.alpha == "keep" and not found.alpha:
            able = ", ".join(name for name in CODECS if format_named(name).alpha)
            raise UserError(f"{found.name} holds no transparency; please choose one of {able}, or another alpha.")
        return found

    def keeps_alpha(self, format: VideoFormat, transparent: bool) -> bool:
        """Whether the video of a picture that may be ``transparent`` has alpha. Raises UserError where it must have
        it and cannot."""
        if self.alpha == "keep" and not transparent:
            raise UserError(
                "The portrait has no transparent pixels, so the video cannot keep them; please give a picture with"
                " alpha, or another alpha than keep."
            )
        return self.alpha != "none" and transparent and bool(format.alpha)


def movflags(options: VideoOptions) -> str:
    """FFmpeg's movflags: the index first, and custom metadata tags if there are any."""
    return "+faststart+use_metadata_tags" if options.metadata() else "+faststart"


def muxer_options(path: Path, options: VideoOptions) -> dict[str, str]:
    """Options of the muxer for ``path``."""
    return {"movflags": movflags(options)} if path.suffix.lower() in BOXED else {}


def finish_file(path: Path, named: Path, options: VideoOptions) -> None:
    """Append to a complete file, which will be ``named``, what FFmpeg does not write: the XMP packet, and a signature
    of the whole file."""
    if options.mark and named.suffix.lower() in BOXED:
        options.mark.append_to(path)
        if options.signing:
            options.signing.sign(path, options.mark.kind, named.name)
