"""The emotion of a talking video: named, written as a timeline, tagged in subtitles, or as loud as the voice."""

from __future__ import annotations

from pathlib import Path

from ..diffusion.emotion_cues import by_loudness, read_cues
from ..diffusion.emotion_schedule import EmotionSchedule
from ..errors import UserError
from ..values import AudioFeatures

#: Bytes of a text with subtitles, at most.
_LARGEST = 10_000_000


def told_emotion(written: str, intensity: float, tags: Path | None = None) -> EmotionSchedule:
    """The emotion in a name or a timeline, or in the tags of a SubRip, WebVTT or LRC file.

    Raises UserError for what cannot be read.
    """
    if tags is None:
        return EmotionSchedule.written(written, intensity)
    try:
        if tags.stat().st_size > _LARGEST:
            raise UserError(f"{tags} is too large for subtitles; please name the right file.")
        return read_cues(tags.read_text(encoding="utf-8-sig"), intensity)
    except UnicodeDecodeError:
        raise UserError(f"{tags} is no text in UTF-8; please save the subtitles as UTF-8.") from None
    except OSError as problem:
        raise UserError(f"Cannot read {tags}: {problem.strerror}; please check the path.") from None


def with_loudness(schedule: EmotionSchedule, audio: AudioFeatures, quiet: float) -> EmotionSchedule:
    """``schedule`` with ``quiet`` times its intensity where the voice is quiet and all of it where it is loud; 1 leaves
    it as it is."""
    return schedule if quiet == 1.0 else by_loudness(schedule, audio.energy, quiet, 1.0, audio.fps)
