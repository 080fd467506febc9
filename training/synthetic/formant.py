"""Formant synthesis in NumPy: harmonics of the glottis through three formants, bands of noise for consonants.

Source-filter synthesis by adding harmonics whose strengths follow the formants, so nothing recursive has to run sample
by sample. It speaks the phones that espeak-ng speaks, so that the mouth is the same.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playmate_core.speech import SAMPLE_RATE

from .lexicon import pronounce
from .visemes import symbols_of

_CONTROL = 200  # control frames per second
_SMOOTH = 0.010  # seconds over which one sound glides into the next
_BANDWIDTH = (90.0, 120.0, 180.0)
#: Symbol -> three formants in Hz of a vocal tract of middle length.
_FORMANTS: dict[str, tuple[float, float, float]] = {
    "i": (280, 2250, 2900), "ɪ": (400, 1950, 2550), "ᵻ": (420, 1800, 2500), "e": (430, 2050, 2600),
    "ɛ": (550, 1800, 2500), "æ": (690, 1700, 2450), "a": (760, 1350, 2500), "ɑ": (740, 1100, 2450),
    "ɒ": (650, 980, 2450), "ɔ": (570, 880, 2450), "o": (480, 950, 2400), "ʊ": (450, 1050, 2300),
    "u": (310, 900, 2250), "ʌ": (630, 1250, 2450), "ɐ": (640, 1300, 2450), "ə": (500, 1450, 2450),
    "ɜ": (480, 1350, 1700), "ɚ": (470, 1350, 1650), "m": (250, 1000, 2200), "n": (250, 1500, 2500),
    "ŋ": (250, 1900, 2500), "l": (360, 1200, 2700), "ɹ": (350, 1150, 1600), "w": (300, 700, 2200),
    "j": (270, 2200, 2950), "b": (220, 900, 2200), "d": (220, 1700, 2600), "ɡ": (220, 1900, 2300),
    "p": (300, 900, 2200), "t": (300, 1700, 2600), "k": (300, 1900, 2300), "ɾ": (300, 1700, 2600),
}  # fmt: skip
#: Bands of noise in Hz, and which sounds hiss in which, how loudly.
_BANDS = ((4500.0, 7500.0), (2200.0, 5500.0), (1500.0, 7500.0), (500.0, 3500.0))
_HISS: dict[str, tuple[int, float]] = {
    "s": (0, 0.35), "z": (0, 0.2), "ʃ": (1, 0.4), "ʒ": (1, 0.2), "f": (2, 0.12), "v": (2, 0.06), "θ": (2, 0.1),
    "ð": (2, 0.05), "h": (3, 0.2), "p": (3, 0.25), "t": (0, 0.3), "k": (1, 0.25), "b": (3, 0.12), "d": (0, 0.12),
    "ɡ": (1, 0.12),
}  # fmt: skip
_VOWELS, _STOPS, _SONORANTS = "iɪᵻeɛæaɑɒɔoʊuʌɐəɜɚ", "pbtdkɡ", "mnŋlɹwjɾ"
_VOICED_NOISE = "zʒvðbdɡ"


@dataclass(frozen=True)
class Throat:
    """A voice: ``tract`` scales all formants, ``f0`` in Hz, ``breath`` adds noise to vowels."""

    tract: float
    f0: float
    breath: float


def throat_of(voice: str) -> Throat:
    """The throat of a named voice; every name has its own."""
    digest = hashlib.sha256(voice.encode()).digest()
    size, pitch, breath = (byte / 255.0 for byte in digest[:3])
    return Throat(0.88 + 0.32 * size, 95.0 + 90.0 * size + 35.0 * pitch, 0.01 + 0.03 * breath)


def synthesise(
    text: str, voice: str, words_per_minute: int, pitch: int, pitch_range: int, seed: int
) -> tuple[NDArray[np.float32], tuple[tuple[str, float, float], ...]]:
    """Speak ``text``: waveform (N,) float32 at 16 kHz, and phones (IPA, start, end) in seconds. Settings: espeak's."""
    rng = np.random.default_rng([seed, 0xF0])
    phones, end = _timed(text, 170.0 / words_per_minute, rng)
    throat = throat_of(voice)
    count = int((end + 0.05) * _CONTROL)
    melody = _melody(phones, count, text.strip().endswith("?"), pitch_range / 50.0, rng)
    f0 = throat.f0 * (0.6 + 0.8 * pitch / 100.0) * 2.0 ** (melody / 12.0)
    voiced, formants, hiss = _controls(phones, count, throat)
    samples = int(count * SAMPLE_RATE / _CONTROL)
    sound = _harmonics(f0, voiced, formants, samples) + _noises(hiss, samples, rng)
    level = float(np.sqrt(np.mean(sound**2))) or 1.0
    return (0.09 * sound / level).astype(np.float32), phones


def _timed(text: str, slow: float, rng: np.random.Generator) -> tuple[tuple[tuple[str, float, float], ...], float]:
    """Phones with their times; a comma is a quarter of a second, a full stop ends."""
    now, phones = 0.0, []
    for token in re.findall(r"[A-Za-z']+|[,;:.?!]", text):
        if not token[0].isalpha():
            now += 0.25 if token in ",;:" else 0.0
            continue
        for label in pronounce(token.replace("'", "")):
            length = _length(label) * slow * float(np.exp(rng.normal(0, 0.08)))
            phones.append((label, now, now + length))
            now += length
    return tuple(phones), now


def _length(label: str) -> float:
    first = symbols_of(label)[0]
    if first in _VOWELS:
        return 0.085 + 0.045 * label.startswith("ˈ") + 0.03 * ("ː" in label or len(symbols_of(label)) > 1)
    return 0.065 if first in _SONORANTS else 0.085


def _melody(
    phones: tuple[tuple[str, float, float], ...], count: int, asks: bool, lively: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Semitones about the voice's pitch (count,): falling slowly, up on stresses, up at the end of a question."""
    time = np.arange(count) / _CONTROL
    end = time[-1] if count else 1.0
    line = 1.5 - 3.0 * time / max(end, 0.1)
    for label, start, stop in phones:
        if label.startswith("ˈ"):
            line += rng.uniform(1.5, 3.5) * np.exp(-0.5 * ((time - (start + stop) / 2) / 0.07) ** 2)
    line += (4.0 if asks else -2.0) * np.exp(-0.5 * ((time - end) / 0.15) ** 2)
    return lively * line


def _controls(
    phones: tuple[tuple[str, float, float], ...], count: int, throat: Throat
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Voicing (count,), formants (count, 3) in Hz and hiss (count, bands), smoothed in time."""
    voiced, hiss = np.zeros(count), np.zeros((count, len(_BANDS)))
    formants = np.tile(np.array(_FORMANTS["ə"], float), (count, 1))
    for label, start, end in phones:
        parts = symbols_of(label)
        edges = np.linspace(start, end, len(parts) + 1) * _CONTROL
        for symbol, a, b in zip(parts, edges.astype(int), edges[1:].astype(int), strict=False):
            loud = 1.0 if symbol in _VOWELS else 0.45 if symbol in _SONORANTS else 0.12 * (symbol in _VOICED_NOISE)
            voiced[a:b] = loud * (1.15 if label.startswith("ˈ") else 0.9)
            formants[a:b] = _FORMANTS.get(symbol, _FORMANTS["ə"])
            if symbol in _HISS:
                band, strength = _HISS[symbol]
                burst = max(b - 3, a) if symbol in _STOPS else a  # a stop is silent until it bursts
                hiss[burst:b, band] = strength
    hiss[:, 3] += throat.breath * voiced
    width = _SMOOTH * _CONTROL
    kernel = np.exp(-0.5 * (np.arange(-8, 9) / width) ** 2)
    kernel = kernel / kernel.sum()
    smooth = np.stack([np.convolve(np.pad(c, 8, "edge"), kernel, "valid") for c in (voiced, *formants.T, *hiss.T)], -1)
    return smooth[:, 0], smooth[:, 1:4] * throat.tract, smooth[:, 4:]


def _harmonics(
    f0: NDArray[np.float64], voiced: NDArray[np.float64], formants: NDArray[np.float64], samples: int
) -> NDArray[np.float64]:
    """The sum of the glottis' harmonics below 5 kHz (-6 dB an octave at the lips), each as loud as the formants say."""
    control = np.arange(len(f0)) * (SAMPLE_RATE / _CONTROL)
    clock = np.arange(samples)
    phase = 2 * np.pi * np.cumsum(np.interp(clock, control, f0)) / SAMPLE_RATE
    sound, wave, before, turn = np.zeros(samples), np.sin(phase), np.zeros(samples), 2.0 * np.cos(phase)
    for harmonic in range(1, int(5000.0 / f0.min()) + 1):
        frequency = harmonic * f0[:, None]
        response = (1.0 / np.sqrt(1.0 + ((frequency - formants) / (0.5 * np.array(_BANDWIDTH))) ** 2)) @ (1.0, 0.7, 0.4)
        strength = voiced * response / harmonic**0.7 * (frequency[:, 0] < 5000.0)
        sound += np.interp(clock, control, strength) * wave
        wave, before = turn * wave - before, wave  # sin((k + 1) p) from sin(k p) and sin((k - 1) p)
    return sound


def _noises(hiss: NDArray[np.float64], samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    control, clock = np.arange(len(hiss)) * (SAMPLE_RATE / _CONTROL), np.arange(samples)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1.0 / SAMPLE_RATE)
    sound = np.zeros(samples)
    for band, (low, high) in enumerate(_BANDS):
        noise = np.fft.irfft(spectrum * ((frequency > low) & (frequency < high)), samples)
        sound += np.interp(clock, control, hiss[:, band]) * noise
    return sound
