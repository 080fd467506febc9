"""Encode speech while it is being recorded, row by row, as :class:`encoders.LogMel` encodes the whole of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..values import AudioFeatures
from .encoders import ENCODERS, LogMel
from .listener import Source
from .waveform import FRAME, Speech, Waveform, loudness, mono, speech_gain

#: Frames of the recent past by which the level is estimated where none is given: 10 s.
RECENT = 250


@dataclass(frozen=True)
class SpeechLevel:
    """What is measured on a whole recording: its ``mean`` and the ``gain`` that levels its speech."""

    mean: float
    gain: float

    @staticmethod
    def of(waveform: Waveform, rate: int) -> SpeechLevel:
        """The level of a recording, for example of the same voice and microphone."""
        speech = Speech.from_waveform(waveform, rate)
        return SpeechLevel(float(speech.mean), speech_gain(speech.power()))


class LiveLogMel:
    """Takes samples, 16 kHz mono, in pieces of any length and returns the rows of the frames that are complete.

    A row needs 176 samples (11 ms) after its frame. ``level`` None estimates the gain from the last ten seconds and
    takes the mean to be zero; with the level of the whole recording, rows equal those of the whole recording.
    """

    def __init__(self, level: SpeechLevel | None = None) -> None:
        self._encoder = LogMel("logmel", ENCODERS["logmel"], Source())
        self._level = level
        margin = self._encoder.margin
        self._held = np.zeros(margin, np.float32)  # from ``margin`` samples before the next frame on
        self._powers: list[float] = []

    def push(self, samples: Waveform) -> AudioFeatures | None:
        """The rows of the frames that ``samples`` complete, None if there are none. Raises UserError as :func:`mono`
        does."""
        if len(samples) == 0:
            return None
        mean = np.float32(0.0 if self._level is None else self._level.mean)
        self._held = np.concatenate([self._held, mono(samples) - mean])
        return self._encoded((len(self._held) - 2 * self._encoder.margin) // FRAME)

    def finish(self) -> AudioFeatures | None:
        """The rows of the last frames, the very last one padded with silence."""
        left = len(self._held) - self._encoder.margin
        frames = -(-left // FRAME)
        missing = frames * FRAME + self._encoder.margin - left
        self._held = np.concatenate([self._held, np.zeros(missing, np.float32)])
        return self._encoded(frames)

    def _encoded(self, frames: int) -> AudioFeatures | None:
        if frames < 1:
            return None
        margin, end = self._encoder.margin, frames * FRAME
        inside = self._held[margin : margin + end].reshape(-1, FRAME)
        powers = np.einsum("ts,ts->t", inside, inside).astype(np.float64) / FRAME
        self._powers = [*self._powers, *powers][-RECENT:]
        gain = np.float32(speech_gain(np.array(self._powers)) if self._level is None else self._level.gain)
        rows = self._encoder.encode(self._held[: end + 2 * margin] * gain)
        self._held = self._held[end:]
        energy = loudness(powers, float(gain))
        return AudioFeatures(rows, energy, self._encoder.name)
