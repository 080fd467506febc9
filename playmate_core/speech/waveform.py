"""Waveforms: any rate and channels to 16 kHz mono, padded to whole video frames, and their loudness."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..values import FPS
from .samples import Samples, StoredSamples, blocks, cut_samples, mean_of

SAMPLE_RATE = 16000
#: Samples of one video frame.
FRAME = round(SAMPLE_RATE / FPS)
LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000

Waveform = np.ndarray | Tensor
#: Frames whose power is measured at once: 30 s.
_POWERS_AT_ONCE = 750
log = logging.getLogger(__name__)


def frame_count(samples: int, rate: int) -> int:
    """Video frames that ``samples`` at ``rate`` Hz fill, the last perhaps partly: ceil(duration x 25), exactly."""
    return -(-samples * round(FPS) // rate)


class Resampler:
    """Mono float32 from ``rate`` to ``target`` Hz by soxr, piece by piece: the same samples however they are cut.

    All speech is resampled here, so that a file gives the command line and the nodes equal features.
    """

    def __init__(self, rate: int, target: int = SAMPLE_RATE) -> None:
        self.rate, self.target = rate, target
        self._taken = self._given = 0
        self._stream = None
        if rate != target:
            import soxr

            self._stream = soxr.ResampleStream(rate, target, 1, dtype="float32", quality="HQ")

    def take(self, samples: np.ndarray) -> np.ndarray:
        """What ``samples`` (n,) make available, perhaps nothing yet."""
        self._taken += len(samples)
        made = samples if self._stream is None else self._stream.resample_chunk(samples)
        self._given += len(made)
        return made

    def finish(self) -> np.ndarray:
        """The rest, which makes the whole ceil(samples target / rate) long: soxr ends up to a sample early."""
        held = np.zeros(0, np.float32)
        if self._stream is not None:
            held = self._stream.resample_chunk(held, last=True)
        missing = max(-(-self._taken * self.target // self.rate) - self._given, 0)
        return np.pad(held, (0, max(missing - len(held), 0)))[:missing]


def resample(waveform: np.ndarray, rate: int) -> np.ndarray:
    """``waveform`` (samples,) float32 from ``rate`` to 16 kHz; (ceil(samples 16000 / rate),) float32."""
    if rate == SAMPLE_RATE:
        return waveform
    resampler = Resampler(rate)
    return np.concatenate([resampler.take(waveform), resampler.finish()])


def mono(waveform: Waveform) -> np.ndarray:
    """(samples,) or (channels, samples), floats or integers, as the mean of its channels, float32.

    If the channels cancel each other out, the loudest one is used alone.

    Raises UserError for empty or non-finite audio, another shape, or floats far outside -1..1.
    """
    sound = waveform.detach().cpu().numpy() if isinstance(waveform, Tensor) else np.asarray(waveform)
    if sound.ndim not in (1, 2) or (sound.ndim == 2 and len(sound) > 32):
        raise UserError(f"Got audio of shape {sound.shape}; give (samples,) or (channels, samples).")
    if sound.size == 0:
        raise UserError("The audio is empty; give at least one sample.")
    unit = float(np.iinfo(sound.dtype).max) + 1.0 if np.issubdtype(sound.dtype, np.signedinteger) else 1.0
    if sound.ndim == 2:
        sound = _mixed(sound)
    mixed = sound.astype(np.float32) / np.float32(unit) if unit > 1.0 else sound.astype(np.float32, copy=False)
    _check_peak(mixed)
    return mixed


def _check_peak(samples: Samples) -> None:
    peak = float(np.max([[block.max(), -block.min()] for block in blocks(samples)]))
    if not np.isfinite(peak):
        raise UserError("The audio holds NaN or infinite samples; decode or export it again.")
    if peak > 64.0:
        raise UserError(f"Got float samples up to {peak:g}; scale them to -1..1 (16-bit values: divide by 32768).")


def _mixed(sound: np.ndarray) -> np.ndarray:
    """The mean of the channels (C, samples), or the loudest one if the mean has less than 1 % of its power."""
    mean = sound.mean(axis=0, dtype=np.float32)
    if len(sound) == 1:
        return mean
    powers = [float(np.square(channel, dtype=np.float64).sum()) for channel in sound]
    cancelled = float(np.square(mean, dtype=np.float64).sum()) < 0.01 * max(powers)
    return sound[int(np.argmax(powers))] if cancelled else mean


def to_mono_16k(waveform: Waveform, rate: int) -> np.ndarray:
    """A waveform at any rate from 8 to 192 kHz -> (samples,) float32, mono, 16 kHz, otherwise unchanged.

    Raises UserError for a rate outside that range, and as :func:`mono` does.
    """
    if int(rate) != rate or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise UserError(f"Got a sample rate of {rate} Hz; give a whole number from {LOWEST_RATE} to {HIGHEST_RATE}.")
    mixed = mono(waveform)
    return resample(mixed, int(rate))[: frame_count(len(mixed), int(rate)) * FRAME]


def samples_at_16k(waveform: Waveform | StoredSamples, rate: int) -> Samples:
    """:func:`to_mono_16k`; stored samples, which are 16 kHz mono already, stay in their file."""
    if not isinstance(waveform, StoredSamples):
        return to_mono_16k(waveform, rate)
    if rate != SAMPLE_RATE:
        raise ValueError(f"Stored samples have {SAMPLE_RATE} Hz, got {rate}.")
    if not len(waveform):
        raise UserError("The audio is empty; give at least one sample.")
    _check_peak(waveform)
    return waveform


@dataclass(frozen=True, eq=False)
class Speech:
    """``samples`` (N,) float32, mono, 16 kHz, read with zero mean and the last frame padded with silence."""

    samples: Samples
    mean: np.float32 = np.float32(0.0)

    @staticmethod
    def from_waveform(waveform: Waveform | StoredSamples, rate: int) -> Speech:
        """Convert a waveform at any rate from 8 to 192 kHz; logs a warning if it is silent.

        Raises UserError for a rate outside that range, and as :func:`mono` does.
        """
        return Speech.of(samples_at_16k(waveform, rate))

    @staticmethod
    def of(samples: Samples) -> Speech:
        """Speech at 16 kHz, as :meth:`from_waveform`."""
        speech = Speech(samples, mean_of(samples))
        if not audible(speech.power()):
            log.warning("The speech is silent, so the lips will hardly move; please check which sound was given.")
        return speech

    def __len__(self) -> int:
        """The number of video frames T."""
        return frame_count(len(self.samples), SAMPLE_RATE)

    def power(self) -> np.ndarray:
        """(T,) float64 mean square of each video frame."""
        powers = np.empty(len(self))
        for first in range(0, len(self), _POWERS_AT_ONCE):
            rows = self.cut(first, min(first + _POWERS_AT_ONCE, len(self)), 0).reshape(-1, FRAME)
            powers[first : first + len(rows)] = np.einsum("ts,ts->t", rows, rows)
        return powers / FRAME

    def cut(self, first: int, last: int, margin: int) -> np.ndarray:
        """The samples of frames ``first`` to ``last`` with ``margin`` more on each side, silence beyond the ends."""
        return cut_samples(self.samples, first * FRAME - margin, last * FRAME + margin, self.mean)


# Loudness. Decibels are relative to full scale: a square wave between -1 and 1 has 0.
SPEECH_DB = -23.0
GATE_DB = -65.0


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(power, 1e-10))


def audible(power: np.ndarray) -> bool:
    """Whether any frame of these powers (T,) is louder than the gate."""
    return bool((power > 10.0 ** (GATE_DB / 10.0)).any())


def speech_gain(power: np.ndarray) -> float:
    """The amplitude factor that brings active speech to SPEECH_DB, from the frame powers (T,).

    Active means louder than an absolute gate and than the loud mean less 10 dB (the gating of ITU-R BS.1770). Loud
    audio is always attenuated; quiet audio is amplified only as far as it is audible (from -65 to -50 dB) and varies
    like speech (3 to 9 dB between its quiet and its loud frames): silence and steady noise are not amplified.
    """
    audible = power[power > 10.0 ** (GATE_DB / 10.0)]
    if len(audible) == 0:
        return 1.0
    level = float(_decibels(audible[audible >= 0.1 * audible.mean()].mean()))
    change = SPEECH_DB - level
    if change > 0.0:
        quiet, loud = np.percentile(_decibels(power), (20, 95))
        change *= float(np.clip((level - GATE_DB) / 15.0, 0.0, 1.0) * np.clip((loud - quiet - 3.0) / 6.0, 0.0, 1.0))
    return float(10.0 ** (change / 20.0))


def loudness(power: np.ndarray, gain: float | None = None) -> Tensor:
    """(T,) float32 in [0, 1] from frame powers (T,): 0 at -55 dB and below, 1 at -15 dB and above, levelled first.

    ``gain`` is the amplitude factor that levels them, None for that of these frames alone.
    """
    level = _decibels(power * (speech_gain(power) if gain is None else gain) ** 2)
    return torch.from_numpy(np.clip((level + 55.0) / 40.0, 0.0, 1.0).astype(np.float32))
