"""The voices of a dialogue: one in each channel or track of a recording, or one in each of several files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .audio_files import Recording, Sound, read_sound
from .container import open_medium
from .sound_source import SoundSource, audio_streams, find_sound

#: Two waveforms that correlate more than this are one voice.
_SAME = 0.98
#: Rate of the sound of a video whose voices come from several files.
_MIXED_RATE = 48_000


@dataclass(frozen=True)
class Voice:
    """A channel of a sound, from 0; None mixes all of its channels."""

    source: SoundSource
    channel: int | None = None

    def read(self) -> Sound:
        """Its waveform, as :func:`read_sound`."""
        return read_sound(self.source, channel=self.channel)


def find_voices(path: Path, track: int | None = None) -> list[Voice]:
    """The voices of a recording: its audio tracks where it has several, or the channels of its only ``track``.

    Raises UserError for a file without audio.
    """
    with open_medium(path, "speech") as container:
        streams = audio_streams(container, path)
        counts = [stream.codec_context.layout.nb_channels for stream in streams]
    if track is None and len(counts) > 1:
        return [Voice(find_sound(path, number, keep_lead=True)) for number in range(len(counts))]
    source = find_sound(path, track or 0, keep_lead=True)
    channels = counts[source.track]
    return [Voice(source, number if channels > 1 else None) for number in range(channels)]


def require_different(voices: Sequence[Sound], path: Path) -> None:
    """Raise UserError where two voices of a recording are one and the same, as in a mono sound saved as stereo."""
    for number, one in enumerate(voices):
        for other in voices[:number]:
            if _correlation(one.waveform, other.waveform) > _SAME:
                raise UserError(
                    f"Two channels of {path} hold the same sound, so it does not say who speaks when; please give a"
                    " recording with one voice in each channel, or one file for each voice."
                )


def mixed(voices: Sequence[Voice]) -> Recording:
    """The sum of several voices, the longest's length, as one channel; quieter where it would clip."""
    sounds = [read_sound(voice.source, _MIXED_RATE, voice.channel).waveform for voice in voices]
    total = np.zeros(max(map(len, sounds)), np.float32)
    for sound in sounds:
        total[: len(sound)] += sound
    return Recording((total / max(1.0, float(np.abs(total).max())))[None], _MIXED_RATE)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    length = min(len(one), len(other))
    a, b = one[:length].astype(np.float64), other[:length].astype(np.float64)
    power = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    return 0.0 if power == 0.0 else float(np.dot(a, b)) / power
