"""Which of the eight emotions a motion shows, judged by a linear discriminant fitted on ground truth.

See docs/method.md 4.5.

It sees clip statistics of the decoded rig, nothing of the networks. It counts only when it names held-out ground truth,
and ground truth disturbed as generated motion is, at least 95 times in a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS
from training.data import SyntheticClip
from training.synthetic.rig import RIG

#: Clips below this intensity are left out of the fit: they look neutral by design.
CLEAR = 0.6
#: Rig parameters an emotion sets and speech hardly moves: the mouth's vowels would only add noise.
UPPER = tuple(RIG.index(name) for name in RIG if name not in ("jaw", "press", "gaze_x", "jaw_side"))


@dataclass(frozen=True)
class EmotionJudge:
    """A fitted discriminant and its own accuracy on truth, the ceiling every other figure is read against."""

    discriminant: Any
    directions: Tensor  # (E, F) class mean minus neutral, unit length
    neutral: Tensor  # (F,)
    reach: Tensor  # (E,) length of that difference on truth
    on_truth: float
    on_perturbed: float

    @property
    def counts(self) -> bool:
        """Whether figures by this judge count (95 % on truth and on disturbed truth)."""
        return min(self.on_truth, self.on_perturbed) >= 0.95

    def name(self, rig: Tensor) -> str:
        """The emotion a rig track (T, 16) shows."""
        return EMOTIONS[int(self.discriminant.predict(track_summary(rig).numpy()[None])[0])]

    def strength(self, rig: Tensor, emotion: str) -> float:
        """Projection of the track on the emotion's direction; 1 is ground truth's mean reach."""
        e = EMOTIONS.index(emotion)
        return float((track_summary(rig) - self.neutral) @ self.directions[e] / self.reach[e])


def track_summary(rig: Tensor) -> Tensor:
    """What the judge sees of a rig track (T, 16): medians, which blinks and bursts of speech leave alone."""
    return rig[:, list(UPPER)].median(0).values


def fit_judge(train: list[SyntheticClip], held_out: list[SyntheticClip], seed: int = 0) -> EmotionJudge:
    """Fit on clear training clips, then measure on clear held-out clips, as they are and disturbed.

    Raises UserError where an emotion has no clear training clip, or no held-out clip is clear.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    seen, labels = _examples(train)
    if missing := [name for e, name in enumerate(EMOTIONS) if not (labels == e).any()]:
        raise UserError(
            f"No training clip shows a clear {missing[0]} face, which the judge must learn; make more clips."
        )
    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(seen.numpy(), labels)
    means = torch.stack([seen[torch.from_numpy(labels == e)].mean(0) for e in range(len(EMOTIONS))])
    neutral = means[EMOTIONS.index("neutral")]
    away = means - neutral
    reach = away.norm(dim=-1)
    fresh, answers = _examples(held_out)
    generator = torch.Generator().manual_seed(seed)
    disturbed = torch.stack([_disturbed(clip.rig, generator) for clip in held_out if is_clear(clip)])
    return EmotionJudge(
        discriminant=judge,
        directions=away / reach[:, None].clamp(min=1e-9),
        neutral=neutral,
        reach=reach.clamp(min=1e-9),
        on_truth=float((judge.predict(fresh.numpy()) == answers).mean()),
        on_perturbed=float((judge.predict(disturbed.numpy()) == answers).mean()),
    )


def is_clear(clip: SyntheticClip) -> bool:
    """Whether a clip shows its emotion as clearly as a judge may expect."""
    return clip.emotion == "neutral" or clip.intensity >= CLEAR


def _examples(clips: list[SyntheticClip]) -> tuple[Tensor, np.ndarray]:
    clear = [clip for clip in clips if is_clear(clip)]
    if not clear:
        raise UserError(f"None of {len(clips)} clips shows an emotion clearly, which the judge needs; make more clips.")
    labels = np.array([EMOTIONS.index(clip.emotion) for clip in clear])
    return torch.stack([track_summary(clip.rig) for clip in clear]), labels


def _disturbed(rig: Tensor, generator: torch.Generator) -> Tensor:
    """A track as a generator might give it: 15 % weaker or stronger, noisy, shifted a little as a whole."""
    gain = 1.0 + 0.15 * (2.0 * torch.rand(1, generator=generator) - 1.0)
    shift = 0.05 * torch.randn(rig.shape[1], generator=generator)
    return track_summary(rig * gain + shift + 0.05 * torch.randn(rig.shape, generator=generator))
