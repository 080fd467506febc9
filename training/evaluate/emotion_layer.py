"""The emotion by the model, by the emotion layer, and by both: what shows, what a judge names, what the lips pay."""

from __future__ import annotations

import numpy as np

from playmate_core.diffusion.generate import joined
from playmate_core.motion.emotion_by import EmotionBy, sample_with_emotion
from playmate_core.values import BROWS, EMOTIONS, LIDS, LIP_CORNERS, EmotionCurve, Motion
from training.evaluate.emotion_judge import EmotionJudge
from training.evaluate.level1 import lip_correlation, rig_of
from training.evaluate.subjects import Subject, System, Take
from training.evaluate.table import Row, Table, number

#: Where an emotion shows and speech hardly does.
SHOWN = (*BROWS, *LIDS[0], *LIDS[1], *LIP_CORNERS)
FELT = tuple(name for name in EMOTIONS if name != "neutral")


def emotion_layer_table(system: System, subjects: list[Subject], judge: EmotionJudge) -> Table:
    """Every choice of EmotionBy on the same motions, in the seven emotions at full intensity."""
    quiet = system.perform([Take(subject) for subject in subjects])
    asked = [(i, name) for i in range(len(subjects)) for name in FELT]
    own = dict(zip(asked, system.perform([Take(subjects[i], name) for i, name in asked]), strict=True))
    lips = float(np.mean([lip_correlation(*pair) for pair in zip(subjects, quiet, strict=True)]))
    rows = [Row("off: lip-aperture correlation", number(lips))]
    for by in EmotionBy:
        seen, named, correlations = [], [], []
        for (i, name), emotional in own.items():
            motion = _shown(by, name, quiet[i], emotional)
            seen.append(displacement(motion, quiet[i]))
            named.append(judge.name(rig_of(subjects[i], motion)) == name)
            correlations.append(lip_correlation(subjects[i], motion))
        loss = lips - float(np.mean(correlations))
        rows += [
            Row(f"{by.value}: displacement of brows, lids and lip corners", number(float(np.mean(seen)))),
            Row(f"{by.value}: emotion accuracy of the judge (chance 0.125)", number(float(np.mean(named)))),
            Row(f"{by.value}: loss of lip correlation", number(loss), "<= 0.02", loss <= 0.02),
        ]
    how = f"{len(subjects)} held-out clips with neutral prosody, seven emotions at intensity 1; against emotion off."
    return Table("Emotion by model, layer, both", how, tuple(rows))


def displacement(motion: Motion, quiet: Motion) -> float:
    """How far the shown keypoints lie from where they are without an emotion: mean over frames, canonical units."""
    moved = (motion.expression - quiet.expression)[:, list(SHOWN)]
    return float(moved.flatten(1).norm(dim=-1).mean())


def _shown(by: EmotionBy, name: str, quiet: Motion, emotional: Motion) -> Motion:
    """One choice, from the motion of the voice alone and the one with the model's emotion."""
    curve = EmotionCurve.constant(name, 1.0, len(quiet), quiet.fps)
    return joined(list(sample_with_emotion(lambda own: [quiet if own is None else emotional], curve, by, has_own=True)))
