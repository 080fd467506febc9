"""What a picture or a sound file holds, in one line for users."""

from __future__ import annotations

import io
import logging
import mimetypes
from pathlib import Path

from ..errors import with_article
from .colour_profiles import embedded_profile
from .container import open_medium
from .heif import is_heif, read_heif
from .images import PNG, read_bytes, read_picture
from .pillow_limits import of_any_size
from .sound_source import audio_streams, find_sound, is_audible
from .timestamps import stated_length

#: First bytes of the common picture types, which a misleading suffix does not change.
_PICTURES = (PNG, b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
#: Sound types that not every system's table of suffixes knows.
_SOUNDS = (".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".aif", ".aiff", ".wma", ".amr", ".caf")


def is_picture_file(path: Path) -> bool:
    """Whether a file is a still picture, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(64)
    return head.startswith(_PICTURES) or is_heif(head) or (head[:4], head[8:12]) == (b"RIFF", b"WEBP")


def is_sound_file(path: Path) -> bool:
    """Whether a file is a sound, by its suffix."""
    return path.suffix.lower() in _SOUNDS or (mimetypes.guess_type(path.name)[0] or "").startswith("audio/")


def describe_picture(path: Path) -> str:
    """Type, size as shown and colour profile. Raises UserError for a damaged picture."""
    content = read_bytes(path, "picture")
    heif = read_heif(content) if is_heif(content[:64]) else None
    if heif:
        kind, (width, height), profile = "HEIC or AVIF", heif.shown_size, heif.profile
    else:
        read_picture(path)  # raises with the reason for what cannot be read
        kind, (width, height) = _kind_and_size(content)
        profile = embedded_profile(content)
    colours = "with a colour profile, which is converted to sRGB" if profile else "in sRGB"
    return f"{path.name}: {with_article(kind)} picture of {width} x {height} pixels {colours}"


def _kind_and_size(content: bytes) -> tuple[str, tuple[int, int]]:
    """Type and upright size of a picture that was read, so that it may be large: Pillow would suspect an attack."""
    from PIL import Image, ImageOps

    with of_any_size(), Image.open(io.BytesIO(content)) as image:
        return image.format or "", ImageOps.exif_transpose(image).size


def describe_sound(path: Path) -> str:
    """Length, and codec, rate and channels of every track, with the one that is taken for the speech. Raises UserError
    for a file that is damaged or has no sound."""
    logger = logging.getLogger("playmate_core.media.sound_source")
    before = logger.level
    logger.setLevel(logging.ERROR)  # the choice is part of the answer
    try:
        chosen = find_sound(path).track
    finally:
        logger.setLevel(before)
    with open_medium(path, "sound") as container:
        lines = [f"{path.name}: a sound of {stated_length(container):.2f} s"]
        for number, stream in enumerate(audio_streams(container, path)):
            codec = stream.codec_context
            taken = ", the one that is taken" if number == chosen else ""
            silent = "" if is_audible(path, number) else ", silent"
            channels = "1 channel" if codec.channels == 1 else f"{codec.channels} channels"
            lines.append(f"  track {number}      {codec.name}, {codec.sample_rate} Hz, {channels}{silent}{taken}")
    return "\n".join(lines)
