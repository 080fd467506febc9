"""Phones to mouth: 22 viseme classes, four mouth parameters, Gaussian dominance for coarticulation.

See docs/method.md 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .speech import STRESS, Phone

#: Samples per second of every track before it is averaged to frames.
TRACK_RATE = 100
MOUTH = ("jaw", "wide", "press", "upper")
#: Width of a sound's influence in seconds, and that of lips that must meet.
TIMING_STD, BILABIAL_SPREAD = 0.030, 0.015
#: What a full bilabial closure leaves of the jaw and of a raised upper lip.
CLOSED = 0.2

BILABIAL = "pbm"
#: Class -> (its symbols, (jaw, wide, press, upper)).
VISEMES: dict[str, tuple[str, tuple[float, float, float, float]]] = {
    "rest": ("", (0.0, 0.0, 0.0, 0.0)),
    "bilabial": (BILABIAL, (0.0, 0.0, 0.5, 0.0)),
    "labiodental": ("fv", (0.12, 0.05, 0.0, 0.30)),
    "dental": ("θð", (0.22, 0.10, 0.0, 0.10)),
    "alveolar": ("tdnɾ", (0.18, 0.12, 0.0, 0.10)),
    "lateral": ("lɫ", (0.28, 0.10, 0.0, 0.10)),
    "sibilant": ("sz", (0.10, 0.35, 0.0, 0.20)),
    "hush": ("ʃʒ", (0.15, -0.55, 0.0, 0.30)),
    "rhotic": ("ɹr", (0.20, -0.35, 0.0, 0.10)),
    "velar": ("kɡgŋʔx", (0.25, 0.05, 0.0, 0.05)),
    "breath": ("h", (0.35, 0.00, 0.0, 0.05)),
    "glide_round": ("w", (0.10, -0.85, 0.1, 0.00)),
    "glide_front": ("j", (0.18, 0.40, 0.0, 0.10)),
    "close_front": ("i", (0.22, 0.65, 0.0, 0.15)),
    "near_front": ("ɪᵻ", (0.32, 0.35, 0.0, 0.10)),
    "mid_front": ("eɛ", (0.50, 0.42, 0.0, 0.12)),
    "open": ("æaɑɒ", (0.86, 0.12, 0.0, 0.12)),
    "open_round": ("ɔo", (0.56, -0.58, 0.0, 0.05)),
    "close_round": ("uʊ", (0.25, -0.75, 0.0, 0.00)),
    "open_mid": ("ʌɐ", (0.58, 0.05, 0.0, 0.08)),
    "neutral": ("ə", (0.34, 0.00, 0.0, 0.05)),
    "r_coloured": ("ɜɚ", (0.38, -0.25, 0.0, 0.08)),
}
_CLASS = {symbol: name for name, (symbols, _) in VISEMES.items() for symbol in symbols}


@dataclass(frozen=True)
class Mouth:
    """Tracks at 100 Hz: ``targets`` (N, 4) in the order of MOUTH, ``closure`` (N,) how much lips must meet, 0..1."""

    targets: NDArray[np.float64]
    closure: NDArray[np.float64]


def symbols_of(label: str) -> tuple[str, ...]:
    """IPA label -> its symbols that have a viseme; a diphthong or an affricate gives two, an unknown one the schwa."""
    known = tuple(symbol for symbol in label.strip(STRESS) if symbol in _CLASS)
    return known or ("ə",)


def is_bilabial(label: str) -> bool:
    """Whether the lips meet for this phone."""
    return symbols_of(label)[0] in BILABIAL


def _segments(phones: Sequence[Phone], seconds: float) -> list[tuple[float, float, str, float]]:
    """Phones and the pauses around them as tiles (start, end, symbol, strength) that cover the clip and beyond."""
    tiles: list[tuple[float, float, str, float]] = []
    now = -1.0
    for phone in phones:
        if phone.start > now + 1e-6:
            tiles.append((now, phone.start, "", 1.0))
        parts = symbols_of(phone.label)
        strength = 1.08 if phone.stressed else 0.9
        edges = np.linspace(phone.start, phone.end, len(parts) + 1)
        tiles += [(float(a), float(b), s, strength) for a, b, s in zip(edges, edges[1:], parts, strict=False)]
        now = phone.end
    tiles.append((now, max(seconds, now) + 1.0, "", 1.0))
    return tiles


def mouth_track(phones: Sequence[Phone], seconds: float) -> Mouth:
    """The mouth that says ``phones``; it closes in pauses. N = round(100 seconds)."""
    tiles = _segments(phones, seconds)
    start, end = np.array([t[0] for t in tiles]), np.array([t[1] for t in tiles])
    lips = np.array([t[2] != "" and t[2] in BILABIAL for t in tiles])
    spread = np.where(lips, BILABIAL_SPREAD, TIMING_STD)
    target = np.array([VISEMES[_CLASS[t[2]] if t[2] else "rest"][1] for t in tiles]) * [[t[3]] for t in tiles]
    time = (np.arange(round(seconds * TRACK_RATE)) + 0.5)[:, None] / TRACK_RATE
    dominance = _step((time - start) / spread) - _step((time - end) / spread)
    targets = dominance @ target / dominance.sum(1, keepdims=True).clip(1e-6)
    closure = (dominance @ lips).clip(0.0, 1.0)
    open_share = 1.0 - (1.0 - CLOSED) * closure
    targets[:, MOUTH.index("jaw")] *= open_share
    targets[:, MOUTH.index("upper")] *= open_share
    return Mouth(targets, closure)


def _step(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integral of the unit Gaussian."""
    smooth: NDArray[np.float64] = torch.erf(torch.from_numpy(x) / 2**0.5).numpy()
    return 0.5 * (1.0 + smooth)


def random_mouths(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Mouth shapes of speech without speech: blends of two classes, one in six closed -> (count, 4)."""
    shapes = np.array([target for _, target in VISEMES.values()])
    first, second = rng.integers(len(shapes), size=(2, count))
    share = rng.uniform(0.0, 1.0, (count, 1))
    mixed = (share * shapes[first] + (1 - share) * shapes[second]) * rng.uniform(0.75, 1.15, (count, 1))
    closed = rng.random((count, 1)) < 1 / 6
    return np.where(closed, shapes[list(VISEMES).index("bilabial")], mixed)
