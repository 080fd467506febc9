"""Synthetic speech with known phone times: espeak-ng, or a formant synthesiser that needs no program.

See docs/method.md 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playmate_core.errors import UserError
from playmate_core.speech import SAMPLE_RATE

BACKENDS = ("espeak", "formant")
#: Disjoint voices: no voice is in both training and test. A voice is a language and a variant of espeak's.
VOICES: dict[str, tuple[str, ...]] = {
    "train": (
        "en-us+f2",
        "en-us+f4",
        "en-us+m1",
        "en-us+m3",
        "en-us+m7",
        "en-us+linda",
        "en-us+michael",
        "en-us+Alicia",
        "en-gb-x-rp+f1",
        "en-gb-x-rp+f5",
        "en-gb-x-rp+m2",
        "en-gb-x-rp+m8",
        "en-gb-scotland+m5",
        "en-gb-scotland+steph",
    ),
    "val": ("en-us+f3", "en-gb-x-rp+m4"),
    "test": ("en-us+m6", "en-us+anika", "en-gb-x-rp+f3", "en-gb-scotland+Andy"),
}
STRESS = "ˈˌ"
#: espeak marks an unvoiced stop at its burst; the closure before it belongs to it.
_STOP_CLOSURE = {"p": 0.055, "t": 0.045, "k": 0.045}


@dataclass(frozen=True)
class Phone:
    """One phone: IPA ``label`` (a leading ˈ or ˌ marks stress), ``start`` and ``end`` in seconds."""

    label: str
    start: float
    end: float

    @property
    def stressed(self) -> bool:
        """Whether this vowel carries the main stress of its word."""
        return self.label.startswith("ˈ")

    def later(self, seconds: float) -> Phone:
        """The same phone, shifted in time."""
        return Phone(self.label, self.start + seconds, self.end + seconds)


@dataclass(frozen=True)
class SyntheticSpeech:
    """``waveform`` (N,) float32 at 16 kHz and its ``phones`` in order; what lies between phones is a pause."""

    waveform: NDArray[np.float32]
    phones: tuple[Phone, ...]


@dataclass(frozen=True)
class Manner:
    """How a voice departs from its own habit: factors on pitch, pitch range and rate."""

    pitch: float = 1.0
    pitch_range: float = 1.0
    rate: float = 1.0


@dataclass(frozen=True)
class Delivery:
    """Settings of one utterance: words per minute, pitch and pitch range in 0..99."""

    words_per_minute: int
    pitch: int
    pitch_range: int


def delivery(seed: int, manner: Manner = Manner()) -> Delivery:
    """A speaker's habit drawn from ``seed`` (140 to 200 words a minute), bent by ``manner``."""
    rng = np.random.default_rng([seed, 0x5BEE])
    rate, pitch, pitch_range = rng.uniform(140, 200), rng.uniform(35, 62), rng.uniform(35, 65)
    return Delivery(
        int(np.clip(rate * manner.rate, 110, 230)),
        int(np.clip(pitch * manner.pitch, 5, 95)),
        int(np.clip(pitch_range * manner.pitch_range, 5, 95)),
    )


def synthesise_speech(
    text: str, voice: str, seed: int, backend: str = "espeak", manner: Manner = Manner()
) -> SyntheticSpeech:
    """Speak ``text``: a pure function. Raises UserError for an unknown backend or voice, or a missing package."""
    settings = delivery(seed, manner)
    if backend == "formant":
        from .formant import synthesise as by_formants

        waveform, marks = by_formants(
            text, voice, settings.words_per_minute, settings.pitch, settings.pitch_range, seed
        )
        return SyntheticSpeech(waveform, tuple(Phone(*mark) for mark in marks))
    if backend != "espeak":
        raise UserError(f"Unknown speech backend {backend!r}; choose one of {', '.join(BACKENDS)}.")
    from .espeak import synthesise as by_espeak

    said = by_espeak(text, voice, settings.words_per_minute, settings.pitch, settings.pitch_range, seed)
    waveform = resample_fft(said.waveform, said.rate, SAMPLE_RATE)
    return _trimmed(waveform, _phones(said.marks, len(waveform) / SAMPLE_RATE))


def resample_fft(waveform: NDArray[np.float32], source: int, target: int) -> NDArray[np.float32]:
    """Band-limited change of rate (N,) -> (ceil(N target / source),), by cutting or extending the spectrum."""
    divisor = int(np.gcd(source, target))
    step_in, step_out = source // divisor, target // divisor
    blocks = -(-len(waveform) // step_in)
    padded = np.zeros(blocks * step_in)
    padded[: len(waveform)] = waveform
    spectrum = np.fft.rfft(padded)
    length = blocks * step_out
    changed = np.fft.irfft(spectrum[: length // 2 + 1], length) * (step_out / step_in)
    return changed[: -(-len(waveform) * target // source)].astype(np.float32)


def _phones(marks: tuple[tuple[str, float], ...], duration: float) -> tuple[Phone, ...]:
    """Marks to intervals: each ends where the next begins; unlabelled marks are pauses and leave a gap."""
    starts = [time for _, time in marks]
    for index, (label, time) in enumerate(marks):
        floor = starts[index - 1] + 0.02 if index else 0.0
        starts[index] = max(min(floor, time), time - _STOP_CLOSURE.get(label, 0.0))
    ends = [*starts[1:], duration]
    found = [Phone(label, start, end) for (label, _), start, end in zip(marks, starts, ends, strict=True)]
    return tuple(phone for phone in found if phone.label.strip(STRESS) and phone.end > phone.start)


def _trimmed(waveform: NDArray[np.float32], phones: tuple[Phone, ...]) -> SyntheticSpeech:
    """Cut silence before the first phone and past 50 ms after the last: pauses are the clip's to place."""
    if not phones:
        return SyntheticSpeech(waveform[:0], ())
    begin, end = int(phones[0].start * SAMPLE_RATE), int((phones[-1].end + 0.05) * SAMPLE_RATE)
    return SyntheticSpeech(waveform[begin:end], tuple(phone.later(-begin / SAMPLE_RATE) for phone in phones))
