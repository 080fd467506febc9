"""What each part is worth: the paper's Table 2, Fig. 7 and Fig. 9 in miniature, each with its spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from playmate_core.diffusion.generate import generate, stride
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.speech import make_encoder
from playmate_core.values import EMOTIONS, AudioFeatures, Motion
from training.evaluate import level1
from training.evaluate import motion_metrics as metrics
from training.evaluate.emotion_judge import INTENSITIES, EmotionJudge
from training.evaluate.subjects import Subject, System, Take
from training.evaluate.table import Row, Table, number
from training.synthetic.clips import make_clip

AUDIO_SCALES = (1.0, 1.5, 2.0, 2.5)
EMOTION_SCALES = (1.5, 2.0, 2.5, 3.0, 3.5)
SEEDS = (0, 1, 2)
#: The injected fault: every expression channel of the frames handed over is this many deviations off.
FAULT = 3.0
#: Frames after which is looked how much of it is left: in the same window, and in the next.
FAULT_AFTER = (10, 70)


def spread_text(values: list[float]) -> str:
    """Mean and half range over seeds."""
    mean, half = metrics.mean_and_half_range(values)
    return f"{number(mean)} +- {number(half)}"


def guidance_table(system: System, subjects: list[Subject], judge: EmotionJudge) -> Table:
    """Table 2: guidance on the voice, then on emotion at w_a = 1.5."""
    rows = []
    for scale in AUDIO_SCALES:
        lips, steps = [], []
        for seed in SEEDS:
            made = level1.spoken(system, subjects, cfg_audio=scale, seed=seed)
            lips.append(made.mean(level1.lip_correlation))
            steps.append(level1.closure_ratio(made))
        rows.append(Row(f"w_a = {scale:g}, emotion off: lip correlation", spread_text(lips)))
        rows.append(Row(f"w_a = {scale:g}, emotion off: bilabial closure over truth", spread_text(steps)))
    rows += emotion_scale_rows(system, subjects, judge)
    return Table("Guidance (the paper's Table 2)", f"{len(subjects)} clips, seeds {SEEDS}.", tuple(rows))


def emotion_scale_rows(system: System, subjects: list[Subject], judge: EmotionJudge) -> list[Row]:
    """Guidance on emotion, at full intensity and at the weakest, where nothing is saturated.

    Log odds and strength are also told as the change from the first scale, clip by clip with the same noise: what that
    is off by is its standard error over clips, and not how much emotions and clips differ.
    """
    rows, first = [], dict[float, tuple[NDArray[np.float64], ...]]()
    for intensity in (INTENSITIES[-1], INTENSITIES[0]):
        level = "" if intensity == INTENSITIES[-1] else ", intensity 1/3"
        for scale in EMOTION_SCALES:
            shown = [_shown(system, subjects, judge, intensity, scale, seed) for seed in SEEDS]
            named, odds, reach, lips = (np.array(values) for values in zip(*shown, strict=True))
            begun = first.setdefault(intensity, (odds, reach))
            name = f"w_a = 1.5, w_e = {scale:g}{level}"
            rows += [
                Row(f"{name}: emotion accuracy", spread_text(named.mean(1).tolist())),
                Row(f"{name}: log odds of the emotion", _with_change(odds, begun[0])),
                Row(f"{name}: strength", _with_change(reach, begun[1])),
                Row(f"{name}: lip correlation", spread_text(lips.mean(1).tolist())),
            ]
    return rows


def _shown(
    system: System, subjects: list[Subject], judge: EmotionJudge, intensity: float, scale: float, seed: int
) -> tuple[list[bool], list[float], list[float], list[float]]:
    """Of every subject with another emotion: named right, log odds, strength, lip correlation."""
    felt = [emotion for emotion in EMOTIONS if emotion != "neutral"]
    asked = [felt[(index + seed) % len(felt)] for index in range(len(subjects))]
    takes = [Take(subject, emotion, intensity, seed) for subject, emotion in zip(subjects, asked, strict=True)]
    motions = system.perform(takes, cfg_emotion=scale)
    rigs = [level1.rig_of(subject, motion) for subject, motion in zip(subjects, motions, strict=True)]
    shown = list(zip(rigs, asked, strict=True))
    return (
        [judge.name(rig) == emotion for rig, emotion in shown],
        [judge.log_odds(rig, emotion) for rig, emotion in shown],
        [judge.strength(rig, emotion) for rig, emotion in shown],
        [level1.lip_correlation(*pair) for pair in zip(subjects, motions, strict=True)],
    )


def _with_change(values: NDArray[np.float64], begun: NDArray[np.float64]) -> str:
    """The mean of ``values`` (seeds, clips), and its change from ``begun`` with the standard error over clips."""
    change = (values - begun).mean(0)
    error = float(change.std(ddof=min(1, len(change) - 1)) / len(change) ** 0.5)
    return f"{number(float(values.mean()))}; change {number(float(change.mean()))} +- {number(error)}"


def rollout_subject(encoder: str, seconds: float, backend: str, seed: int = 5) -> Subject:
    """About ``seconds`` of one held-out person's speech, with its true motion."""
    clip = make_clip(seed, "test", (seconds, seconds), backend)
    return Subject(clip, make_encoder(encoder).listen(clip.waveform, 16000))


def conflict_row(system: System, subjects: list[Subject], judge: EmotionJudge) -> Row:
    """Voices of one emotion, another one asked for: the next of EMOTIONS. NaN without emotional voices."""
    takes = []
    for subject in subjects:
        own = subject.clip.emotion
        if subject.clip.prosody == "emotional" and own != "neutral":
            takes.append(Take(subject, EMOTIONS[(EMOTIONS.index(own) + 1) % len(EMOTIONS)]))
    made = zip(takes, system.perform(takes), strict=True)
    right = [judge.name(level1.rig_of(take.subject, motion)) == take.emotion for take, motion in made]
    value = float(np.mean(right)) if right else float("nan")
    return Row(f"emotion accuracy on {len(right)} voices of another emotion", number(value))


def rollout_subjects(encoder: str, seconds: float, backend: str, count: int, seed: int = 100) -> list[Subject]:
    """``count`` held-out people who speak and move their heads for about ``seconds`` each."""
    subjects: list[Subject] = []
    while len(subjects) < count:
        subject = rollout_subject(encoder, seconds, backend, seed)
        seed += 1
        if len(subject.clip.phones) and subject.clip.style == "calm":
            subjects.append(subject)
    return subjects


def rollout_rows(system: System, subject: Subject) -> list[Row]:
    """Seams and drift of a long rollout, drift over the same speech's truth."""
    drifts, seams = [], []
    real = metrics.drift(subject.clip.motion)
    joint = stride(system.denoiser.config.window, system.options.overlap)
    for motion in system.perform([Take(subject, seed=seed) for seed in SEEDS]):
        drifts.append(metrics.ratio(metrics.drift(motion), real))
        seams.append(metrics.ratio(*metrics.seam_ratio(motion, joint)))
    drift, seam = float(np.mean(drifts)), float(np.mean(seams))
    seconds = round(len(subject.clip) / subject.clip.motion.fps)
    true_seam = metrics.ratio(*metrics.seam_ratio(subject.clip.motion, joint))
    return [
        Row(f"{seconds} s rollout: drift over truth", spread_text(drifts), "<= 1.3", drift <= 1.3, "1"),
        Row(f"{seconds} s rollout: window seam ratio", spread_text(seams), "<= 1.1", seam <= 1.1, number(true_seam)),
    ]


def fault_left(system: System, subject: Subject, seed: int, after: Sequence[int]) -> list[float]:
    """Share of a fault in the frames handed over that is left so many frames on: how far the motion lies from the
    faultless one along the fault, averaged over an eighth of a second."""
    width = system.denoiser.config.previous
    options = replace(system.options, seed=seed)
    rest = _later(subject.audio, width)
    clip = subject.clip
    before = clip.motion[:width]
    deviation = system.denoiser.statistics.expression_std.cpu().reshape(-1, 3)
    broken = Motion(before.pose, before.expression + FAULT * deviation)

    def roll(previous: Motion) -> Motion:
        request = GenerationRequest(clip.keypoints, clip.motion[:1], rest, None, options, previous)
        return generate(system.denoiser, None, request)

    live = system.denoiser.statistics.live.cpu()  # what never moves would dilute the mean
    scaled = ((roll(broken).expression - roll(before).expression) / deviation.clamp(min=1e-4)).flatten(1)[:, live]
    return [float(scaled[frame : frame + 3].mean()) / FAULT for frame in after]


def _later(audio: AudioFeatures, start: int) -> AudioFeatures:
    return replace(audio, features=audio.features[start:], energy=audio.energy[start:])


def fault_rows(name: str, system: System, subjects: list[Subject]) -> list[Row]:
    """How much of an injected fault is left some frames later, mean over clips, spread over seeds."""
    left = [np.mean([fault_left(system, subject, seed, FAULT_AFTER) for subject in subjects], 0) for seed in SEEDS]
    return [
        Row(
            f"{name}: share of an injected fault left after {after} frames",
            spread_text([float(row[k]) for row in left]),
        )
        for k, after in enumerate(FAULT_AFTER)
    ]


def jerk_row(name: str, system: System, subjects: list[Subject]) -> Row:
    """Pose jerk over truth, spread over seeds."""
    values = [level1.jerk_ratio(level1.spoken(system, subjects, seed=seed)) for seed in SEEDS]
    return Row(f"{name}: pose jerk over truth", spread_text(values))
