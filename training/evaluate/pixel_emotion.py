"""Which of the eight emotions a clip's pictures show: the probe reads the rig of a few frames and of the same person at
rest, and a discriminant names the median of their difference (docs/method.md 4.3). Thick brows or narrow eyes are
not a mood:
people who code faces look at the resting one, too. The judge counts only when it names rendered truth, and disturbed
truth, 95 times in a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from playmate_core.values import EMOTIONS
from training.data import SyntheticClip
from training.evaluate.emotion_judge import is_clear, track_summary
from training.evaluate.rendered_clips import render_at_rest, render_clip
from training.evaluate.table import Row, number
from training.probe import Reader

#: Frames of a clip that are looked at.
LOOKS = 12
#: Clips the discriminant is fitted on, and those it is marked on.
FITTED, MARKED = 240, 80


def spaced(length: int) -> range:
    """LOOKS frames (all of a shorter clip) spread evenly."""
    return range(0, length, max(1, length // LOOKS))[:LOOKS]


@dataclass(frozen=True)
class PixelJudge:
    """A probe and the discriminant fitted on what it reads of rendered truth, with its marks on unseen people."""

    probe: Reader
    discriminant: Any
    on_truth: float
    on_disturbed: float

    def name(self, pictures: Tensor, rest: Tensor) -> str:
        """The emotion that frames (n, 3, S, S) of one clip show; ``rest`` (1, 3, S, S) is the person without any."""
        return EMOTIONS[int(self.discriminant.predict(read_back(self.probe, pictures, rest).numpy()[None])[0])]

    def rows(self) -> list[Row]:
        """The judge's own marks: figures read with it count where these pass."""
        marks = (("truth", self.on_truth), ("blurred truth", self.on_disturbed))
        return [
            Row(f"probe on {name}: emotion of a clip", number(value), ">= 0.95", value >= 0.95) for name, value in marks
        ]


@torch.inference_mode()
def read_back(probe: Reader, pictures: Tensor, rest: Tensor) -> Tensor:
    """What the judge sees of a clip: how far the medians of the rig that the probe reads lie from the face at rest."""
    return track_summary(probe(pictures).rig) - track_summary(probe(rest).rig)


def fit_pixel_judge(
    probe: Reader,
    seed: int,
    train: list[SyntheticClip],
    held_out: list[SyntheticClip],
    disturbed: Callable[[Tensor], Tensor],
) -> PixelJudge:
    """Fit on clear training clips as the probe reads them, then name clear clips of people that neither has met."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    fitted = [clip for clip in train if is_clear(clip)][:FITTED]
    marked = [clip for clip in held_out if is_clear(clip)][:MARKED]
    at_rest = {clip.identity_seed: render_at_rest(clip.identity_seed, seed) for clip in [*fitted, *marked]}
    seen = np.stack(
        [read_back(probe, render_clip(c, seed, spaced(len(c))), at_rest[c.identity_seed]).numpy() for c in fitted]
    )
    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    judge.fit(seen, [EMOTIONS.index(clip.emotion) for clip in fitted])
    plain: list[bool] = []
    blurred: list[bool] = []
    for clip in marked:
        pictures = render_clip(clip, seed, spaced(len(clip)))
        for hits, shown in ((plain, pictures), (blurred, disturbed(pictures))):
            seen_now = read_back(probe, shown, at_rest[clip.identity_seed])
            hits.append(EMOTIONS[int(judge.predict(seen_now.numpy()[None])[0])] == clip.emotion)
    return PixelJudge(probe, judge, float(np.mean(plain)), float(np.mean(blurred)))
