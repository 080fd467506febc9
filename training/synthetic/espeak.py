"""espeak-ng through the library in the ``espeakng-loader`` wheel: text to waveform and timed IPA phonemes.

espeak-ng is GPL-3 and stays an optional package of the corpus maker: nothing else imports this file.
The library keeps hidden state between utterances (filter memory, flutter phase, a random seed), so each utterance gets
a freshly loaded copy: the same text and settings give the same samples in every process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playmate_core.errors import UserError

_RETRIEVAL, _PHONEMES, _IPA, _NO_EXIT = 0x02, 0x0001, 0x0002, 0x8000
_EVENT_END, _EVENT_PHONEME = 0, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8 = 1


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Utterance:
    """espeak's output: ``waveform`` (N,) float32 at ``rate`` Hz, ``marks`` of (IPA label, start in seconds)."""

    waveform: NDArray[np.float32]
    rate: int
    marks: tuple[tuple[str, float], ...]


@contextmanager
def _fresh_library() -> Iterator[tuple[ctypes.CDLL, int]]:
    """A newly loaded library and its sample rate; unloaded again on leaving."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise UserError(
            "The speech backend 'espeak' needs the package espeakng-loader, which is not installed; "
            "`pip install espeakng-loader`, or give --speech formant."
        ) from error
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        data = espeakng_loader.get_data_path().encode()
        rate = library.espeak_Initialize(_RETRIEVAL, 200, data, _PHONEMES | _IPA | _NO_EXIT)
        if rate <= 0:
            raise UserError(f"espeak-ng found no voices in {data.decode()}; reinstall espeakng-loader.")
        yield library, rate
    finally:
        library.espeak_Terminate()
        _unload(library)


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    free = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary  # type: ignore[attr-defined]
    free(library._handle)


def synthesise(text: str, voice: str, words_per_minute: int, pitch: int, pitch_range: int, seed: int) -> Utterance:
    """Speak ``text``; pitch and range run 0..99. Raises UserError for an unknown voice or a missing package."""
    pieces: list[bytes] = []
    marks: list[tuple[str, float]] = []

    def collect(samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        index = 0
        while events[index].type != _EVENT_END:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                marks.append((event.id.string.decode("utf-8", "ignore"), event.audio_position / 1000.0))
            index += 1
        if samples and count:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(collect)
    with _fresh_library() as (library, rate):
        library.espeak_SetSynthCallback(callback)
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed % 2**31))
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UserError(f"espeak-ng has no voice {voice!r}; choose one of training.synthetic.speech.VOICES.")
        for parameter, value in ((_RATE, words_per_minute), (_PITCH, pitch), (_RANGE, pitch_range)):
            library.espeak_SetParameter(parameter, value, 0)
        spoken = text.encode()
        library.espeak_Synth(spoken, len(spoken) + 1, 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
    waveform = np.frombuffer(b"".join(pieces), np.int16).astype(np.float32) / 32768.0
    return Utterance(waveform, rate, tuple(marks))
