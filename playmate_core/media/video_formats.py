"""What a video can be written as: codecs, their containers and pixel formats, and the settings of FFmpeg's encoders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError, elided, suggestion
from .output_file import check_folder_output, check_output

#: FFmpeg's muxers by suffix. Names without a suffix are folders of pictures, which no muxer writes.
MUXERS = {".mp4": "mp4", ".mov": "mov", ".webm": "webm", ".gif": "gif", ".mkv": "matroska"}
#: Those whose files are made of boxes, as in ISO/IEC 14496-12.
BOXED = (".mp4", ".mov")
_X26X = (("crf", "{crf}"), ("preset", "{preset}"))


@dataclass(frozen=True)
class VideoFormat:
    """A codec as this program writes it.

    ``suffixes``: the containers, the usual one first, "" a folder of pictures. ``pixels`` and ``alpha``: FFmpeg's
    pixel formats without and with alpha, "" where it has none. ``sound``: the encoder of the sound, "" for none.
    ``settings`` of the encoder may name ``{crf}`` and ``{preset}``. ``tag``: the codec's four letters, where players
    expect others than FFmpeg's. ``most_fps``: the highest rate the container can state. ``assembled``: the file is
    made of the complete pictures, not frame by frame.
    """

    name: str
    encoder: str
    suffixes: tuple[str, ...]
    pixels: str
    alpha: str = ""
    sound: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    tag: str = ""
    most_fps: float = 240.0
    assembled: bool = False

    def options(self, crf: int, preset: str) -> dict[str, str]:
        """The encoder's settings, filled in."""
        return {key: value.format(crf=crf, preset=preset) for key, value in self.settings}

    @property
    def halves_colour(self) -> bool:
        """Whether colour is stored at half size, so that sides must be even."""
        return "420p" in self.pixels

    def check_rate(self, fps: float) -> None:
        """Raise UserError for a rate that the container cannot state."""
        if fps > self.most_fps:
            raise UserError(
                f"{self.name} holds at most {self.most_fps:g} frames a second, got {fps:g}; please choose another fps"
                " or codec."
            )


#: What a user can choose from. The first of several codecs for a suffix whose usual container it is, is its default.
VIDEO_FORMATS = (
    VideoFormat("h264", "libx264", (".mp4", ".mov"), "yuv420p", sound="aac", settings=_X26X),
    VideoFormat(
        "hevc",
        "libx265",
        (".mp4", ".mov"),
        "yuv420p",
        sound="aac",
        settings=(*_X26X, ("x265-params", "log-level=error")),
        tag="hvc1",
    ),
    VideoFormat("prores", "prores_ks", (".mov",), "yuv444p10le", "yuva444p10le", "pcm_s16le", (("profile", "4444"),)),
    VideoFormat(
        "vp9",
        "libvpx-vp9",
        (".webm",),
        "yuv420p",
        "yuva420p",
        "libopus",
        # Alternate reference frames have no alpha.
        (("crf", "{crf}"), ("b", "0"), ("deadline", "good"), ("cpu-used", "4"), ("auto-alt-ref", "0")),
    ),
    # Times are stated in hundredths of a second, and players slow down what is shorter than two.
    VideoFormat("gif", "gif", (".gif",), "pal8", most_fps=50.0, assembled=True),
    VideoFormat("png", "png", ("",), "rgb24", "rgba", assembled=True),
)
CODECS = tuple(row.name for row in VIDEO_FORMATS)
#: Keeps pictures exactly, each for itself: for pictures that are needed once more.
LOSSLESS = VideoFormat("ffv1", "ffv1", (".mkv",), "bgr0", "bgra", settings=(("g", "1"), ("level", "3")))


def format_named(codec: str) -> VideoFormat:
    """The format of a codec. Raises UserError for an unknown one."""
    found = next((row for row in (*VIDEO_FORMATS, LOSSLESS) if row.name == codec), None)
    if found is None:
        raise UserError(f"There is no codec {elided(repr(codec))}{suggestion(codec, CODECS)}; choose from {_listed()}.")
    return found


def format_of(path: str | Path, codec: str | None = None) -> VideoFormat:
    """The format of a video at ``path``, by its suffix unless a ``codec`` is given; an existing folder is for pictures.

    Raises UserError where the container cannot hold the codec, or has a suffix nobody knows.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if codec is None:
        folder = path.is_dir() and suffix not in MUXERS
        found = next((row for row in VIDEO_FORMATS if row.suffixes[0] == ("" if folder else suffix)), None)
        if found is None or (not suffix and not folder):  # a name without a suffix is rather a slip
            known = ", ".join(key for key in MUXERS if any(key in row.suffixes for row in VIDEO_FORMATS))
            raise UserError(
                f"The output {path} must end in {known}, or in / for a folder of PNG pictures; please rename it."
            )
        return found
    found = format_named(codec)
    if suffix not in found.suffixes and "" not in found.suffixes:
        named = " or ".join(found.suffixes)
        raise UserError(f"The output {path} cannot hold {codec}; please let its name end in {named}.")
    return found


def check_video_output(path: str | Path, codec: str | None = None) -> VideoFormat:
    """The format of a video. Raises UserError, before any slow work, where it cannot be written to ``path``."""
    path = Path(path)
    found = format_of(path, codec)
    require_encoder(found)
    if "" in found.suffixes:
        check_folder_output(path)
    else:
        check_output(path, path.suffix.lower())
    return found


def require_encoder(wanted: VideoFormat) -> None:
    """Raise UserError where the installed PyAV lacks an encoder of a format."""
    missing = next((name for name in (wanted.encoder, wanted.sound) if name and not has_encoder(name)), None)
    if missing:
        there = [
            row.name for row in VIDEO_FORMATS if all(not name or has_encoder(name) for name in (row.encoder, row.sound))
        ]
        raise UserError(
            f"The installed PyAV cannot write {wanted.name}, as its FFmpeg has no encoder {missing}; please choose one"
            f" of {', '.join(there)}, or install PyAV with pip."
        )


def has_encoder(name: str) -> bool:
    """Whether the FFmpeg of the installed PyAV has an encoder."""
    import av

    try:
        av.codec.Codec(name, "w")
    except ValueError:  # UnknownCodecError
        return False
    return True


def _listed() -> str:
    return ", ".join(CODECS)
