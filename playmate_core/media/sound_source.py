"""Select the audio stream of a file, aligned to the file's first picture if it has a video stream."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..speech.waveform import GATE_DB
from .container import Damage, decoded, is_default, open_medium
from .timestamps import first_shown

#: Plausible sample rates in Hz; outside them the header is damaged, and its durations could exhaust memory.
LOWEST_BELIEVED, HIGHEST_BELIEVED = 2_000, 768_000
#: Audio that begins at most this long before the first picture is encoder priming.
_PRIMING_SECONDS = 0.1
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SoundSource:
    """Audio stream number ``track`` of a file, from 0. It begins at ``origin``, a timestamp in seconds, or with its
    first sample if None. ``reported``: damage was already logged by an earlier reader."""

    path: Path
    track: int = 0
    origin: float | None = None
    reported: bool = False


def find_sound(path: str | Path, track: int | None = None, keep_lead: bool = False) -> SoundSource:
    """The audio stream of a file, starting at the first picture.

    ``track`` None selects the default stream of the file, or the first audible one if that is silent. ``keep_lead``
    keeps audio before the first picture. Raises UserError when there is no such stream.
    """
    path = Path(path)
    with open_medium(path, "speech") as container:
        streams = audio_streams(container, path)
        if track is not None and not 0 <= track < len(streams):
            count = "1 audio track" if len(streams) == 1 else f"{len(streams)} audio tracks"
            raise UserError(f"{path} has {count}, counted from 0, so there is no track {track}; please choose another.")
        # Default streams first; sorting keeps the file's order among equals.
        order = sorted(range(len(streams)), key=lambda number: not is_default(streams[number]))
    if track is None:
        track = order[0] if len(order) == 1 else _choose(path, order)
    return SoundSource(path, track, _origin(path, track, keep_lead))


def audio_streams(container: Any, path: Path) -> list[Any]:
    """The audio streams of an open container. Raises UserError when none can be decoded."""
    known = [stream for stream in container.streams.audio if stream.codec_context]
    if not known:
        raise UserError(f"{path} has no audio in it; please give a recording of speech.")
    sane = [stream for stream in known if LOWEST_BELIEVED <= stream.codec_context.sample_rate <= HIGHEST_BELIEVED]
    if not sane:
        raise UserError(
            f"{path} has audio of {known[0].codec_context.sample_rate:,} samples a second, outside"
            f" {LOWEST_BELIEVED:,} to {HIGHEST_BELIEVED:,}: its header is damaged; please export it again."
        )
    return sane


def _choose(path: Path, order: list[int]) -> int:
    """The first stream of ``order`` that is not silent, or the first of them; logs the choice."""
    chosen = next((number for number in order if is_audible(path, number)), order[0])
    why = "" if chosen == order[0] else f", since track {order[0]} is silent"
    level = logging.WARNING if why else logging.INFO
    log.log(level, "%s has %d audio tracks; track %d, counted from 0, is taken%s.", path, len(order), chosen, why)
    return chosen


def is_audible(path: Path, track: int) -> bool:
    """Whether a track has any block louder than the speech gate; reads up to the first."""
    import av

    resampler = av.AudioResampler(format="flt")  # packed: see audio_files
    with open_medium(path, "speech") as container:
        stream = audio_streams(container, path)[track]
        for frame in decoded(container, stream, Damage()):
            for piece in resampler.resample(frame):
                samples = np.nan_to_num(piece.to_ndarray()).reshape(-1, piece.layout.nb_channels)
                power = np.square(samples, dtype=np.float64).mean(0).max(initial=0.0)
                if power > 10 ** (GATE_DB / 10):
                    return True
    return False


def _origin(path: Path, track: int, keep_lead: bool) -> float | None:
    """The timestamp, in seconds, at which the sound begins."""
    import av

    with open_medium(path, "speech") as container:
        try:
            shown = first_shown(container)
        except av.error.FFmpegError:  # the video stream is damaged, the audio may still be fine
            shown = None
    if shown is None or not keep_lead:
        return shown
    with open_medium(path, "speech") as container:
        first = next(decoded(container, audio_streams(container, path)[track], Damage()), None)
    if first is None or first.time is None or first.time >= shown - _PRIMING_SECONDS:
        return shown
    return float(first.time)
