"""Validation of the lip-sync metrics on these videos: they must detect sound that is known to be wrong.

On the real videos the sound is delayed and advanced by five frames, aligned anew, and swapped between clips. A score is
quoted only where the lag moves with the sound and wrong sound scores worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playmate_core.speech import SAMPLE_RATE
from playmate_core.values import FPS
from training.evaluate.videos.alignment import AlignedPhone, NotAligned, Spoken, align
from training.evaluate.videos.lip_sync import LipScore, TimeSeries, closed_below, compare_lips, lip_score

#: Frames by which the sound is moved, and by how many the lag found may differ from that.
SHIFT, TOLERANCE = 5, 1


@dataclass(frozen=True)
class Heard:
    """A real clip: its lip opening (T,), its sound, the words said ("" if unknown) and its phones."""

    opening: TimeSeries
    samples: NDArray[np.float32]
    text: str
    spoken: Spoken


@dataclass(frozen=True)
class Validation:
    """The judge's scores of real videos with their own sound, the sound ``late`` and ``early``, and ``swapped``."""

    own: LipScore
    late: LipScore
    early: LipScore
    swapped: LipScore

    @property
    def fault(self) -> str:
        """Why the metrics are not reliable here, "" if they are."""
        # Late sound makes lips early by as much: the lag falls.
        for name, score, wanted in (("late", self.late, -SHIFT), ("early", self.early, SHIFT)):
            found = score.lag - self.own.lag
            if not abs(found - wanted) <= TOLERANCE:
                return f"sound {SHIFT} frames {name} moved the lag by {found:+.0f} instead of {wanted:+d} frames"
        if not self.swapped.correlation < 0.5 * self.own.correlation:
            return f"swapped sound correlates {self.swapped.correlation:.2f}, true sound {self.own.correlation:.2f}"
        if not self.swapped.auc - 0.5 < 0.5 * (self.own.auc - 0.5):
            return f"swapped sound has an AUC of {self.swapped.auc:.2f}, true sound {self.own.auc:.2f}"
        return ""

    def figures(self) -> Mapping[str, float]:
        """What was found, for the report."""
        return {
            "lag with true sound": self.own.lag,
            f"lag with sound {SHIFT} frames late": self.late.lag,
            f"lag with sound {SHIFT} frames early": self.early.lag,
            "correlation with true sound": self.own.correlation,
            "correlation with swapped sound": self.swapped.correlation,
            "AUC with true sound": self.own.auc,
            "AUC with swapped sound": self.swapped.auc,
        }


def validate(clips: Sequence[Heard]) -> Validation:
    """Score real clips with true and wrong sound."""
    true = [clip.spoken.phones for clip in clips]
    return Validation(
        own=_scored(clips, true),
        late=_scored(clips, [_shifted(clip, SHIFT) for clip in clips]),
        early=_scored(clips, [_shifted(clip, -SHIFT) for clip in clips]),
        swapped=_scored(clips, _swapped(clips)),
    )


def _scored(clips: Sequence[Heard], phones: Sequence[tuple[AlignedPhone, ...]]) -> LipScore:
    return lip_score(
        [compare_lips(clip.opening, said, closed_below(clip.opening)) for clip, said in zip(clips, phones, strict=True)]
    )


def _shifted(clip: Heard, frames: int) -> tuple[AlignedPhone, ...]:
    """The phones of the clip's sound so many frames later (negative: earlier), found anew."""
    moved = np.roll(clip.samples, round(frames / FPS * SAMPLE_RATE))
    quiet = (
        slice(0, round(frames / FPS * SAMPLE_RATE)) if frames > 0 else slice(round(frames / FPS * SAMPLE_RATE), None)
    )
    moved[quiet] = 0
    try:
        return align(moved, clip.text).phones
    except NotAligned:
        return ()


def _swapped(clips: Sequence[Heard]) -> list[tuple[AlignedPhone, ...]]:
    """Each clip with the phones of the next; a single one with its own, half its length later and around its end."""
    if len(clips) > 1:
        return [clips[(k + 1) % len(clips)].spoken.phones for k in range(len(clips))]
    length = len(clips[0].opening) / FPS
    later = [(phone, (phone.start + length / 2) % length) for phone in clips[0].spoken.phones]
    moved = [AlignedPhone(phone.name, start, start + phone.end - phone.start) for phone, start in later]
    return [tuple(sorted(moved, key=lambda phone: phone.start))]
