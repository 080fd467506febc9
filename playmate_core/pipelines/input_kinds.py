"""What an input file is, by its name, or by its content where the name does not say."""

from __future__ import annotations

from pathlib import Path

from ..media.description import is_sound_file
from ..media.video_reader import has_pictures
from ..motion.motion_tables import MOTION_SUFFIXES

#: Suffixes of driving pictures; other driving files that are not motion files are read as videos.
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
_VIDEO_NAMES = "mp4 mov m4v mkv webm avi gif mpg mpeg ts wmv flv 3gp 3g2 mts m2ts ogv vob asf f4v mxf qt"
VIDEO_SUFFIXES = tuple(f".{name}" for name in _VIDEO_NAMES.split())


def is_motion(path: Path) -> bool:
    """Whether a file is a motion, by its name."""
    return path.suffix.lower() in MOTION_SUFFIXES


def is_picture(path: Path) -> bool:
    """Whether a driving file is a picture, by its name."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def is_video(path: Path) -> bool:
    """Whether a file is a video: by its suffix, or by its content for unknown suffixes."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    return not (is_picture(path) or is_motion(path)) and has_pictures(path)


def is_portrait(path: Path) -> bool:
    """Whether a file can be a portrait: a picture or a video."""
    return is_picture(path) or is_video(path)


def is_speech(path: Path) -> bool:
    """Whether a file can hold speech: a sound or a video."""
    return is_sound_file(path) or (not is_picture(path) and is_video(path))


def is_driving(path: Path) -> bool:
    """Whether a file can drive a portrait: a video, a motion or a picture."""
    return is_motion(path) or is_portrait(path)
