"""Lip-sync metrics from phones and the opening of the inner lips, without a learned network.

Four facts of speech: lips meet on m, b and p; they open on vowels; they move when the sound does; they rest in
silence. A video is scored against the phones of its own sound, and the judge itself against sound that is known to be
wrong (:mod:`lip_validation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playmate_core.values import FPS
from training.evaluate.videos.alignment import SILENCE, AlignedPhone

TimeSeries = NDArray[np.float64]
BILABIALS = ("M", "B", "P")
#: How far phones open the mouth, by vowel height (0 closed, 1 fully open); all other consonants are CONSONANT.
OPENNESS = {
    "AA": 1.0, "AE": 0.9, "AW": 0.9, "AY": 0.9, "AO": 0.8, "EH": 0.7, "AH": 0.6, "EY": 0.6, "OY": 0.6, "OW": 0.5,
    "IH": 0.4, "ER": 0.4, "HH": 0.4, "IY": 0.3, "UH": 0.3, "UW": 0.2, "F": 0.1, "V": 0.1, "W": 0.1,
    "M": 0.0, "B": 0.0, "P": 0.0, SILENCE: 0.0,
}  # fmt: skip
CONSONANT = 0.25
VOWELS = tuple(name for name, open_ in OPENNESS.items() if open_ > 0.1 and name != "HH")
#: Offsets that are tried, in frames to either side: twice the shift that the judge must recover.
MAX_LAG = 10
#: Phones run into each other: the width of the smoothing of their openness, and of a closure (seconds).
SMOOTHING, SLACK = 0.04, 0.02
#: Closed is the lowest part of the real mouth's range; a mouth that moves less than this (eye distances) has none.
CLOSED, LEAST_RANGE = 0.2, 0.02
#: Silence counts this long after speech and before it (seconds).
_SETTLED = 0.12
#: Inner lip above and below, outer corners of the eyes, in MediaPipe's mesh.
_LIPS, _EYES = (13, 14), (33, 263)


def lip_opening(landmarks: NDArray[np.float32]) -> TimeSeries:
    """Landmarks (T, 478, 2) -> (T,) distance of the inner lips in eye distances, NaN where there is no face.

    Not relative to the mouth's width, which rounding changes.
    """
    points = landmarks.astype(np.float64)
    apart = np.linalg.norm(points[:, _LIPS[0]] - points[:, _LIPS[1]], axis=-1)
    return apart / np.linalg.norm(points[:, _EYES[0]] - points[:, _EYES[1]], axis=-1)


def openness_curve(phones: Sequence[AlignedPhone], frames: int) -> TimeSeries:
    """(T,) how open the phones would have the mouth in every frame."""
    fine = 4  # samples a frame
    time = (np.arange(frames * fine) + 0.5) / (FPS * fine)
    curve = np.zeros(len(time))
    for phone in phones:
        curve[(time >= phone.start) & (time < phone.end)] = OPENNESS.get(phone.name, CONSONANT)
    width = SMOOTHING * FPS * fine
    steps = np.arange(-round(3 * width), round(3 * width) + 1)
    kernel = np.exp(-0.5 * (steps / width) ** 2)
    smooth = np.convolve(np.pad(curve, len(steps) // 2, mode="edge"), kernel / kernel.sum(), "valid")
    return smooth.reshape(frames, fine).mean(1)


@dataclass(frozen=True)
class Evidence:
    """What one clip contributes: counts that add up over clips, and its ``curve`` of correlations by offset."""

    closed: tuple[int, int]  # of bilabials, those with closed lips
    closed_elsewhere: tuple[int, int]  # of vowels
    wins: tuple[float, int]  # of pairs of a vowel and a bilabial, those in which the vowel is wider
    curve: TimeSeries  # (2 MAX_LAG + 1,), NaN where the lips do not move
    frames: int
    quiet: tuple[float, int]  # sum of openings in silence, and frames
    voiced: tuple[float, int]  # the same on vowels


@dataclass(frozen=True)
class LipScore:
    """``closure`` -1..1: share of m, b, p with closed lips minus that of vowels. ``auc``: probability of a vowel wider
    than a bilabial. ``lag`` in frames, positive where lips are late, at which ``correlation`` is highest; ``in_time``:
    share of clips with a lag of at most one frame. ``silence``: opening in silence over that on vowels. NaN where
    there is nothing to measure."""

    closure: float
    auc: float
    lag: float
    correlation: float
    in_time: float
    silence: float


def closed_below(opening: TimeSeries) -> float:
    """The opening under which lips count as closed, from the real video's range; NaN where its mouth hardly moves."""
    low, high = np.nanpercentile(opening, (5, 95)) if np.isfinite(opening).any() else (np.nan, np.nan)
    return float(low + CLOSED * (high - low)) if high - low >= LEAST_RANGE else float("nan")


def compare_lips(opening: TimeSeries, phones: Sequence[AlignedPhone], threshold: float) -> Evidence:
    """Compare a video's lip opening (T,) with the phones of its sound."""
    frames = len(opening)
    inside = [phone for phone in phones if phone.centre < frames / FPS]
    bilabials = [phone for phone in inside if phone.name in BILABIALS]
    vowels = [phone for phone in inside if phone.name in VOWELS]
    wide, narrow = (_at_centres(opening, group) for group in (vowels, bilabials))
    wins = (wide[:, None] > narrow).sum() + 0.5 * (wide[:, None] == narrow).sum()
    quiet, voiced = opening[_settled(inside, frames)], opening[_during(vowels, frames)]
    return Evidence(
        closed=_closures(opening, bilabials, threshold),
        closed_elsewhere=_closures(opening, vowels, threshold),
        wins=(float(wins), len(wide) * len(narrow)),
        curve=correlations(opening, openness_curve(phones, frames)),
        frames=frames,
        quiet=(float(np.nansum(quiet)), int(np.isfinite(quiet).sum())),
        voiced=(float(np.nansum(voiced)), int(np.isfinite(voiced).sum())),
    )


def correlations(opening: TimeSeries, openness: TimeSeries) -> TimeSeries:
    """(2 MAX_LAG + 1,) Pearson's correlation of opening and earlier openness, at lags -MAX_LAG to MAX_LAG frames."""
    found = np.full(2 * MAX_LAG + 1, np.nan)
    for k, lag in enumerate(range(-MAX_LAG, MAX_LAG + 1)):
        lips = opening[max(lag, 0) : len(opening) + min(lag, 0)]
        said = openness[max(-lag, 0) : len(openness) - max(lag, 0)]
        seen = np.isfinite(lips)
        if seen.sum() > 2 * MAX_LAG and lips[seen].std() > 1e-9 and said[seen].std() > 1e-9:
            found[k] = np.corrcoef(lips[seen], said[seen])[0, 1]
    return found


def lip_score(clips: Sequence[Evidence]) -> LipScore:
    """All clips together: counts add up, curves of correlation are averaged by their lengths."""
    moving = [clip for clip in clips if np.isfinite(clip.curve).all()]
    lag = correlation = in_time = float("nan")
    if moving:
        curve = np.average([clip.curve for clip in moving], axis=0, weights=[clip.frames for clip in moving])
        lag, correlation = float(np.argmax(curve) - MAX_LAG), float(curve.max())
        in_time = float(np.mean([abs(int(np.argmax(clip.curve)) - MAX_LAG) <= 1 for clip in moving]))
    return LipScore(
        closure=_share([clip.closed for clip in clips]) - _share([clip.closed_elsewhere for clip in clips]),
        auc=_share([clip.wins for clip in clips]),
        lag=lag,
        correlation=correlation,
        in_time=in_time,
        silence=_ratio(_share([clip.quiet for clip in clips]), _share([clip.voiced for clip in clips])),
    )


def _share(counts: Sequence[tuple[float, int]]) -> float:
    return _ratio(sum(part for part, _ in counts), sum(whole for _, whole in counts))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _closures(opening: TimeSeries, phones: Sequence[AlignedPhone], threshold: float) -> tuple[int, int]:
    """How many phones have lips under the threshold at some time, of those during which lips were seen.

    Every phone gets a window of one length, so that the longer vowels have no more chances than the bilabials.
    """
    if not np.isfinite(threshold):
        return 0, 0
    half = SLACK + 0.04
    least = []
    for phone in phones:
        window = opening[_frames(phone.centre - half, phone.centre + half, len(opening))]
        if np.isfinite(window).any():
            least.append(float(np.nanmin(window)))
    return sum(one < threshold for one in least), len(least)


def _at_centres(opening: TimeSeries, phones: Sequence[AlignedPhone]) -> TimeSeries:
    at = np.array([min(int(phone.centre * FPS), len(opening) - 1) for phone in phones], int)
    found = opening[at]
    return found[np.isfinite(found)]


def _frames(start: float, end: float, count: int) -> slice:
    return slice(max(int(np.ceil(start * FPS - 0.5)), 0), min(int(np.floor(end * FPS - 0.5)) + 1, count))


def _during(phones: Sequence[AlignedPhone], frames: int) -> NDArray[np.bool_]:
    inside = np.zeros(frames, bool)
    for phone in phones:
        inside[_frames(phone.start, phone.end, frames)] = True
    return inside


def _settled(phones: Sequence[AlignedPhone], frames: int) -> NDArray[np.bool_]:
    """Frames of silence, away from speech."""
    spoken = [phone for phone in phones if phone.name != SILENCE]
    loud = np.zeros(frames, bool)
    for phone in spoken:
        loud[_frames(phone.start - _SETTLED, phone.end + _SETTLED, frames)] = True
    return ~loud
