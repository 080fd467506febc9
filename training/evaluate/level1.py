"""Level 1: generated motion against ground-truth motion, decoded exactly (docs/method.md 4.3, 4.4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from playmate_core.diffusion.generate import stride
from playmate_core.values import EMOTIONS, Motion
from training.evaluate import motion_metrics as metrics
from training.evaluate.emotion_judge import INTENSITIES, WEAK_CEILING, EmotionJudge
from training.evaluate.subjects import Subject, System, Take
from training.evaluate.table import Row, Table, number
from training.synthetic.identity import make_identity
from training.synthetic.rig import rig_from_expression

#: How far a strength may be from that of true clips at the same intensity.
STRENGTH_LIMIT = 0.12
AXES = ("pitch", "yaw", "roll", "t_x", "t_y", "log s")


@dataclass(frozen=True)
class Pairing:
    """Generated motions beside the subjects they answer to."""

    subjects: list[Subject]
    motions: list[Motion]

    def each(self) -> Iterator[tuple[Subject, Motion]]:
        """Subject by subject."""
        return zip(self.subjects, self.motions, strict=True)

    def mean(self, measure: Callable[[Subject, Motion], float]) -> float:
        """Mean of a figure over the clips on which it is defined; NaN where it is on none."""
        values = [value for value in (measure(*pair) for pair in self.each()) if not math.isnan(value)]
        return float(np.mean(values)) if values else float("nan")


def truth_of(subjects: list[Subject]) -> Pairing:
    """Ground truth in the place of the generated motion: the ceiling row."""
    return Pairing(subjects, [subject.clip.motion for subject in subjects])


def still_of(subjects: list[Subject]) -> Pairing:
    """A portrait that never moves: the floor row."""
    frames = [torch.zeros(len(subject.clip.motion), dtype=torch.long) for subject in subjects]
    return Pairing(subjects, [_held(subject.rest, index) for subject, index in zip(subjects, frames, strict=True)])


def _held(rest: Motion, index: Tensor) -> Motion:
    pose = rest.pose
    held = replace(pose, rotation=pose.rotation[index], translation=pose.translation[index], scale=pose.scale[index])
    return Motion(held, rest.expression[index])


def spoken(system: System, subjects: list[Subject], **changes: Any) -> Pairing:
    """Every subject's own voice, emotion off."""
    return Pairing(subjects, system.perform([Take(subject) for subject in subjects], **changes))


def shuffled(system: System, subjects: list[Subject]) -> Pairing:
    """Every subject answers to the next one's voice: a correlation that survives this is none."""
    turned = subjects[1:] + subjects[:1]
    takes = [Take(subject, audio=other.audio) for subject, other in zip(subjects, turned, strict=True)]
    return Pairing(subjects, system.perform(takes))


def lip_correlation(subject: Subject, motion: Motion) -> float:
    return metrics.correlation(subject.lips(motion), subject.aperture)


def lip_lag(subject: Subject, motion: Motion) -> float:
    return float(abs(metrics.lag_frames(subject.lips(motion), subject.aperture)) <= 1)


def closure_ratio(pairing: Pairing) -> float:
    """Bilabial closure over ground truth's, both averaged over clips."""
    made = pairing.mean(lambda s, m: metrics.closure_contrast(s.lips(m), s.clip.bilabial))
    true = pairing.mean(lambda s, m: metrics.closure_contrast(s.aperture, s.clip.bilabial))
    return metrics.ratio(made, true)


def jerk_ratio(pairing: Pairing) -> float:
    made, true = pairing.mean(lambda s, m: metrics.jerk(m)), pairing.mean(lambda s, m: metrics.jerk(s.clip.motion))
    return metrics.ratio(made, true)


def pose_range(pairing: Pairing) -> Tensor:
    """Within-clip deviation of each pose channel over ground truth's (6,), by medians over clips."""
    made = torch.stack([metrics.pose_deviation(m) for m in pairing.motions]).median(0).values
    true = torch.stack([metrics.pose_deviation(s.clip.motion) for s in pairing.subjects]).median(0).values
    return made / true


def seam(pairing: Pairing, window: int) -> float:
    """Step at window joints over steps elsewhere, over all clips together."""
    joints = pairing.mean(lambda s, m: metrics.seam_ratio(m, window)[0])
    return metrics.ratio(joints, pairing.mean(lambda s, m: metrics.seam_ratio(m, window)[1]))


def speech_table(system: System, subjects: list[Subject]) -> tuple[Table, Pairing]:
    """Lip sync and pose, with ground truth, a still portrait and shuffled audio beside every figure."""
    made, true, still, wrong = (
        spoken(system, subjects),
        truth_of(subjects),
        still_of(subjects),
        shuffled(system, subjects),
    )
    window = stride(system.denoiser.config.window, system.options.overlap)

    def row(name: str, asked: str, met: Callable[[float], bool], figure: Callable[[Pairing], float]) -> Row:
        value = figure(made)
        others = [number(figure(p)) for p in (true, still, wrong)]
        return Row(name, number(value), asked, met(value), *others)

    wrong_lips = wrong.mean(lip_correlation)
    rows = [
        row("lip-aperture correlation", ">= 0.93", lambda v: v >= 0.93, lambda p: p.mean(lip_correlation)),
        Row("the same with shuffled audio", number(wrong_lips), "< 0.25", wrong_lips < 0.25),
        row("clips with lag within one frame", ">= 0.98", lambda v: v >= 0.98, lambda p: p.mean(lip_lag)),
        row("bilabial closure over truth", "0.9 to 1.2", lambda v: 0.9 <= v <= 1.2, closure_ratio),
        row("pose jerk over truth", "0.8 to 1.25", lambda v: 0.8 <= v <= 1.25, jerk_ratio),
        row("window seam ratio", "<= 1.1", lambda v: v <= 1.1, lambda p: seam(p, window)),
    ]
    ranges = [pose_range(p) for p in (made, true, still, wrong)]
    for axis, name in enumerate(AXES):
        value, *others = (float(r[axis]) for r in ranges)
        texts = [number(v) for v in others]
        rows.append(Row(f"pose std over truth, {name}", number(value), "0.75 to 1.25", 0.75 <= value <= 1.25, *texts))
    how = f"{len(subjects)} held-out clips: unseen identities, voices and sentences; emotion off."
    return Table("Level 1: speech", how, tuple(rows)), made


def rig_of(subject: Subject, motion: Motion) -> Tensor:
    """Generated expression decoded to the rig (T, 16), exactly."""
    identity = make_identity(subject.clip.identity_seed)
    return torch.as_tensor(rig_from_expression(identity, motion.expression.numpy()))


def emotional_floor(judge: EmotionJudge, speech: Pairing) -> float:
    """How often the judge names a clip's emotion when only the voice tells it and emotion is off; NaN without such."""
    told = [
        judge.name(rig_of(subject, motion)) == subject.clip.emotion
        for subject, motion in speech.each()
        if subject.clip.prosody == "emotional"
    ]
    return float(np.mean(told)) if told else float("nan")


@dataclass(frozen=True)
class EmotionFigures:
    """What one emotion reached: share named right, mean strength at INTENSITIES, lip correlation at full intensity.

    ``weak`` is the share named right at the weakest intensity, ``truth`` the strengths of true clips."""

    emotion: str
    accuracy: float
    reach: tuple[float, ...]
    lips: float
    weak: float = float("nan")
    truth: tuple[float, ...] = ()

    @property
    def rises(self) -> bool:
        return all(weaker < stronger for weaker, stronger in zip(self.reach, self.reach[1:], strict=False))

    @property
    def furthest(self) -> float:
        """Largest distance from the strengths of true clips; 0 where there are none."""
        if not self.truth:
            return 0.0
        return max((abs(a - b) for a, b in zip(self.reach, self.truth, strict=True)), default=0.0)

    def row(self) -> Row:
        text = " / ".join(number(value, 2) for value in self.reach)
        name = f"{self.emotion}: accuracy {number(self.accuracy, 2)}, strength"
        if self.emotion == "neutral":  # it has no direction to rise in
            return Row(name, text)
        truth = " / ".join(number(value, 2) for value in self.truth)
        met = self.rises and self.furthest <= STRENGTH_LIMIT
        return Row(name, text, f"rising, within {STRENGTH_LIMIT:g} of truth", met, truth)


def emotion_figures(system: System, subjects: list[Subject], judge: EmotionJudge, emotion: str) -> EmotionFigures:
    """Every intensity on every subject.

    Every subject has a seed of its own: with one seed for all, what that noise adds would not average out.
    """
    levels = INTENSITIES[-1:] if emotion == "neutral" else INTENSITIES
    takes = [Take(subject, emotion, level, seed) for level in levels for seed, subject in enumerate(subjects)]
    made = system.perform(takes)
    rigs = [rig_of(take.subject, motion) for take, motion in zip(takes, made, strict=True)]
    shown = [rigs[begin : begin + len(subjects)] for begin in range(0, len(rigs), len(subjects))]
    reach = [float(np.mean([judge.strength(rig, emotion) for rig in level])) for level in shown]
    named = [float(np.mean([judge.name(rig) == emotion for rig in level])) for level in shown]
    graded = len(levels) > 1
    truth = tuple(judge.true_strength[EMOTIONS.index(emotion)].tolist()) if graded else ()
    lips = Pairing(subjects, made[-len(subjects) :]).mean(lip_correlation)
    weak = named[0] if graded else float("nan")
    return EmotionFigures(emotion, named[-1], tuple(reach), lips, weak, truth if len(truth) == len(reach) else ())


def weak_rows(figures: list[EmotionFigures], judge: EmotionJudge) -> list[Row]:
    """Accuracy at the weakest intensity, where the judge can tell true clips of that intensity."""
    if not judge.on_weak >= WEAK_CEILING:
        text = f"not shown: the judge names {number(judge.on_weak)} of such true clips"
        return [Row("emotion accuracy at intensity 1/3", text)]
    shown = float(np.mean([f.weak for f in figures if not math.isnan(f.weak)]))
    return [Row("emotion accuracy at intensity 1/3", number(shown), truth=number(judge.on_weak))]


def emotion_table(system: System, subjects: list[Subject], judge: EmotionJudge, speech: Pairing) -> Table:
    """Eight emotions on neutral voices: named by the judge, intensity as a slider, and what lip sync pays for it.

    ``speech`` are held-out clips already generated with emotion off.
    """
    figures = [emotion_figures(system, subjects, judge, emotion) for emotion in EMOTIONS]
    accuracy = float(np.mean([f.accuracy for f in figures]))
    truth, off = truth_of(speech.subjects), [judge.name(rig_of(s, m)) for s, m in speech.each()]
    happy = float(np.mean([name == "happy" for name in off]))
    generator = 1.0 / len(EMOTIONS)
    loss = spoken(system, subjects).mean(lip_correlation) - float(np.mean([f.lips for f in figures]))
    rows = [
        Row("judge on held-out truth", number(judge.on_truth), ">= 0.95", judge.on_truth >= 0.95),
        Row("judge on perturbed truth", number(judge.on_perturbed), ">= 0.95", judge.on_perturbed >= 0.95),
        Row(
            "emotion accuracy", number(accuracy), ">= 0.95", accuracy >= 0.95, number(judge.on_truth), number(generator)
        ),
        Row(
            "floor: emotion accuracy from an emotional voice alone, emotion off",
            number(emotional_floor(judge, speech)),
            truth=number(emotional_floor(judge, truth)),
            still=number(emotional_floor(judge, still_of(speech.subjects))),
        ),
        Row("called happy with emotion off (chance 0.125)", number(happy)),
        *(f.row() for f in figures),
        *weak_rows(figures, judge),
        Row("loss of lip correlation with emotion on", number(loss), "<= 0.02", loss <= 0.02),
    ]
    how = f"{len(subjects)} held-out clips with neutral prosody, each with all eight emotions, w_a = w_e = 1.5."
    return Table("Level 1: emotion", how, tuple(rows))
