"""Which phone sounds when: the words of a clip, known or recognised, aligned to its sound by PocketSphinx (English).

PocketSphinx's wheel ships its acoustic model, dictionary and language model; it has seen none of our data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playmate_core.speech import SAMPLE_RATE

SILENCE = "SIL"
#: PocketSphinx's steps a second.
_STEPS = 100
#: Pruning, wide enough that an accent or a synthetic voice is not lost before its last word.
_BEAM, _WORD_BEAM = 1e-180, 1e-100
#: Sound of which no 100 ms is louder than this (RMS, full scale 1) holds no speech.
_QUIET = 10 ** (-50 / 20)


class NotAligned(Exception):
    """No phones were found in a clip; the message states the reason."""


@dataclass(frozen=True)
class AlignedPhone:
    """An ARPAbet phone without stress, or SIL; ``start`` and ``end`` in seconds."""

    name: str
    start: float
    end: float

    @property
    def centre(self) -> float:
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Spoken:
    """The ``phones`` of a clip in order and without gaps, and whether its words were ``recognised`` or given."""

    phones: tuple[AlignedPhone, ...]
    recognised: bool


def align(samples: NDArray[np.float32], text: str = "") -> Spoken:
    """Align the words of ``text`` to 16 kHz sound in -1..1; without text, or where the dictionary lacks a word of it,
    the words that are recognised. Raises NotAligned."""
    loudest = max((float(np.sqrt(np.mean(part**2))) for part in _parts(samples)), default=0.0)
    if loudest < _QUIET:
        raise NotAligned("its sound is silent")
    pcm = (samples.clip(-1, 1) * 32767).astype("<i2").tobytes()
    words = re.sub(r"[^a-z']+", " ", text.lower().replace("’", "'")).split()
    if words and (found := _forced(pcm, words)):
        return Spoken(found, recognised=False)
    words = _recognised(pcm)
    if not words or not (found := _forced(pcm, words)):
        raise NotAligned("no English words were recognised in it")
    return Spoken(found, recognised=True)


def _parts(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    length = SAMPLE_RATE // 10
    return [samples[at : at + length] for at in range(0, len(samples) - length + 1, length)]


def _decoder(**options: Any) -> Any:
    from pocketsphinx import Decoder

    return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", **options)


def _heard(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def _recognised(pcm: bytes) -> list[str]:
    decoder = _decoder()
    _heard(decoder, pcm)
    segments = [] if decoder.hyp() is None else [segment.word for segment in decoder.seg()]
    return [re.sub(r"\(\d+\)$", "", word) for word in segments if word[0] not in "<[+"]


def _forced(pcm: bytes, words: list[str]) -> tuple[AlignedPhone, ...]:
    """The phones of ``words`` in the sound; none where a word is not in the dictionary or the sound does not fit."""
    decoder = _decoder(beam=_BEAM, pbeam=_BEAM, wbeam=_WORD_BEAM, bestpath=False)
    if any(decoder.lookup_word(word) is None for word in words):
        return ()
    try:
        decoder.set_align_text(" ".join(words))
        _heard(decoder, pcm)
        decoder.set_alignment()  # a second pass, from words to phones
        _heard(decoder, pcm)
        aligned = [phone for word in decoder.get_alignment() for phone in word]
    except RuntimeError:  # the best path did not reach the last word
        return ()
    return tuple(
        AlignedPhone(phone.name, phone.start / _STEPS, (phone.start + phone.duration) / _STEPS)
        for phone in aligned
        if not phone.name.startswith("+")  # coughs and other noises
    )
