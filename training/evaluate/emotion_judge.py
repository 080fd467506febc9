"""Which of the eight emotions a motion shows, judged by a linear discriminant fitted on ground truth.

See docs/method.md 4.5.

It sees clip statistics of the decoded rig, nothing of the networks. It counts only when it names held-out ground truth,
and ground truth disturbed as generated motion is, at least 95 times in a hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS
from training.data import SyntheticClip
from training.synthetic.rig import RIG

#: From this intensity on a clip counts in the judge's own accuracy and in the unit of strength.
CLEAR = 0.6
#: Intensities at which strengths are compared with those of true clips, which are as near as NEAR to a level.
INTENSITIES = (1 / 3, 2 / 3, 1.0)
NEAR = 0.02
#: Accuracy at the weakest level means something where the judge reaches this on true clips of that level.
WEAK_CEILING = 0.9
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
    on_weak: float  # accuracy on held-out truth of the weakest level; NaN without any
    true_strength: Tensor  # (E, 3) mean strength of true clips at INTENSITIES; NaN where there are none

    @property
    def counts(self) -> bool:
        """Whether figures by this judge count (95 % on truth and on disturbed truth)."""
        return min(self.on_truth, self.on_perturbed) >= 0.95

    def name(self, rig: Tensor) -> str:
        """The emotion a rig track (T, 16) shows."""
        return EMOTIONS[int(self.discriminant.predict(track_summary(rig).numpy()[None])[0])]

    def log_odds(self, rig: Tensor, emotion: str) -> float:
        """How much likelier ``emotion`` is than the likeliest other, as a logarithm: not limited as a share is."""
        scores, e = self.discriminant.decision_function(track_summary(rig).numpy()[None])[0], EMOTIONS.index(emotion)
        return float(scores[e] - np.max(np.delete(scores, e)))

    def strength(self, rig: Tensor, emotion: str) -> float:
        """Projection of the track on the emotion's direction; 1 is ground truth's mean reach."""
        e = EMOTIONS.index(emotion)
        return float((track_summary(rig) - self.neutral) @ self.directions[e] / self.reach[e])


def track_summary(rig: Tensor) -> Tensor:
    """What the judge sees of a rig track (T, 16): medians, which blinks and bursts of speech leave alone."""
    return rig[:, list(UPPER)].median(0).values


def fit_judge(train: list[SyntheticClip], held_out: list[SyntheticClip], seed: int = 0) -> EmotionJudge:
    """Fit on training clips of every intensity, then measure on clear held-out clips, as they are and disturbed.

    The unit of strength is the mean of clear training clips. Accuracy on weak held-out clips is measured beside.

    Raises UserError where an emotion has no clear training clip, or no held-out clip is clear.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    seen, labels = _examples(train, is_clear)
    if missing := [name for e, name in enumerate(EMOTIONS) if not (labels == e).any()]:
        raise UserError(
            f"No training clip shows a clear {missing[0]} face, which the judge must learn; make more clips."
        )
    every, answers = _examples(train, lambda clip: True)
    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(every.numpy(), answers)
    means = torch.stack([seen[torch.from_numpy(labels == e)].mean(0) for e in range(len(EMOTIONS))])
    neutral = means[EMOTIONS.index("neutral")]
    away = means - neutral
    reach = away.norm(dim=-1).clamp(min=1e-9)
    fresh, answers = _examples(held_out, is_clear)
    generator = torch.Generator().manual_seed(seed)
    disturbed = torch.stack([_disturbed(clip.rig, generator) for clip in held_out if is_clear(clip)])
    weak = [clip for clip in held_out if clip.emotion != "neutral" and near(clip, INTENSITIES[0])]
    named = [EMOTIONS[int(judge.predict(track_summary(clip.rig).numpy()[None])[0])] == clip.emotion for clip in weak]
    fitted = EmotionJudge(
        discriminant=judge,
        directions=away / reach[:, None],
        neutral=neutral,
        reach=reach,
        on_truth=float((judge.predict(fresh.numpy()) == answers).mean()),
        on_perturbed=float((judge.predict(disturbed.numpy()) == answers).mean()),
        on_weak=float(np.mean(named)) if named else float("nan"),
        true_strength=torch.full((len(EMOTIONS), len(INTENSITIES)), float("nan")),
    )
    return replace(fitted, true_strength=_true_strength(fitted, train + held_out))


def _true_strength(judge: EmotionJudge, clips: list[SyntheticClip]) -> Tensor:
    """(E, 3): mean strength of true clips near each of INTENSITIES; NaN where there are none."""
    rows = []
    for emotion in EMOTIONS:
        shown = [
            [judge.strength(c.rig, c.emotion) for c in clips if c.emotion == emotion and near(c, at)]
            for at in INTENSITIES
        ]
        rows.append([float(np.mean(values)) if values else float("nan") for values in shown])
    return torch.tensor(rows)


def near(clip: SyntheticClip, intensity: float) -> bool:
    return abs(clip.intensity - intensity) < NEAR


def is_clear(clip: SyntheticClip) -> bool:
    """Whether a clip shows its emotion as clearly as a judge may expect."""
    return clip.emotion == "neutral" or clip.intensity >= CLEAR


def _examples(clips: list[SyntheticClip], wanted: Callable[[SyntheticClip], bool]) -> tuple[Tensor, np.ndarray]:
    chosen = [clip for clip in clips if wanted(clip)]
    if not chosen:
        raise UserError(f"None of {len(clips)} clips shows an emotion clearly, which the judge needs; make more clips.")
    labels = np.array([EMOTIONS.index(clip.emotion) for clip in chosen])
    return torch.stack([track_summary(clip.rig) for clip in chosen]), labels


def _disturbed(rig: Tensor, generator: torch.Generator) -> Tensor:
    """A track as a generator might give it: 15 % weaker or stronger, noisy, shifted a little as a whole."""
    gain = 1.0 + 0.15 * (2.0 * torch.rand(1, generator=generator) - 1.0)
    shift = 0.05 * torch.randn(rig.shape[1], generator=generator)
    return track_summary(rig * gain + shift + 0.05 * torch.randn(rig.shape, generator=generator))
