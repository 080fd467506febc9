"""``python -m training calibrate``: which intensity each emotion needs to show 1/3, 2/3 and 1 of what true faces show.

The strength of an emotion does not rise in a straight line with the intensity that the controller is given. Here the
curve is measured, inverted, and stored in the file's metadata; no weight changes. See docs/method.md 1.11.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save as serialize

from playmate_core.atomic_file import write_atomically
from playmate_core.diffusion.denoiser import MotionDenoiser
from playmate_core.diffusion.emotion import EmotionController, IntensityCalibration
from playmate_core.diffusion.generate import stride
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training.config import parse
from training.data import corpus_hash, load_synthetic_clips
from training.evaluate.emotion_judge import EmotionJudge, fit_judge
from training.evaluate.level1 import rig_of
from training.evaluate.placing import chosen_device
from training.evaluate.subjects import Subject, System, Take, load_subjects, with_neutral_voice

logger = logging.getLogger(__name__)
#: Intensities at which the controller is measured, densest where the curves are steep; an emotion that falls short at 1
#: may be given more.
ASKED = (0.25, 0.35, 0.45, 0.6, 1.1)
#: Clips of these splits are measured. Those of "test" are left to ``evaluate``, which checks the result.
SPLITS = ("val", "train")
#: Windows of each clip that are generated: the second one continues a face that shows the emotion already.
WINDOWS = 2


@dataclass(frozen=True)
class CalibrateConfig:
    """On which clips, and for which models; empty paths are the bundled ones. ``out``: the file to write, the emotion
    model's own when empty. ``only``: names of emotions, with spaces; the others keep what the file has."""

    corpus: str = "data/corpus"
    motion: str = ""
    emotion: str = ""
    out: str = ""
    clips: int = 10
    seed: int = 0
    only: str = ""
    device: str = "auto"


def shown_strengths(
    system: System, subjects: Sequence[Subject], judge: EmotionJudge, emotion: str, seed: int
) -> list[float]:
    """Mean strength over the subjects at each intensity of ASKED, given to the controller as it is.

    Every subject has a seed of its own, the same at all intensities.
    """
    means = []
    for intensity in ASKED:
        share = intensity / ASKED[-1]  # of the most, to which :func:`uncalibrated` stretches what may be asked for
        motions = system.perform([Take(subject, emotion, share, seed + k) for k, subject in enumerate(subjects)])
        rigs = [rig_of(subject, motion) for subject, motion in zip(subjects, motions, strict=True)]
        means.append(float(np.mean([judge.strength(rig, emotion) for rig in rigs])))
    return means


def uncalibrated(emotions: Sequence[str]) -> IntensityCalibration:
    """A straight line to the largest of ASKED: an intensity of 1 is the most that may be asked for, and gives that."""
    line = tuple(level * ASKED[-1] for level in IntensityCalibration.LEVELS)
    return IntensityCalibration(tuple(emotions), (line,) * len(emotions), "none: a straight line, to measure with")


def inverted(shown: Sequence[float], wanted: Sequence[float]) -> tuple[float, ...]:
    """The intensities at which a curve through (0, 0) and near (ASKED, ``shown``) reaches ``wanted``, rising.

    The curve is the rising one that is nearest to what was measured (isotonic regression), so that a value that is too
    large by accident does not lift all that follow. What it does not reach gets the largest intensity measured.
    """
    from sklearn.isotonic import IsotonicRegression

    nearest = IsotonicRegression(y_min=0.0).fit_transform(ASKED, shown)
    rising = np.concatenate([[0.0], nearest]) + 1e-6 * np.arange(len(shown) + 1)
    found = np.interp(wanted, rising, [0.0, *ASKED])
    for index in range(1, len(found)):
        found[index] = max(found[index], found[index - 1] + 0.01)
    return tuple(round(float(value), 3) for value in found)


def calibrated(source: Path, calibration: IntensityCalibration) -> bytes:
    """The model file ``source`` with the ``calibration`` in its metadata, and every tensor as it is."""
    with safe_open(source, "pt") as file:
        metadata: Mapping[str, str] = dict(file.metadata())
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    return serialize(tensors, {**metadata, weights.CALIBRATION: json.dumps(asdict(calibration))})


def beginnings(corpus: Path, denoiser: MotionDenoiser, count: int) -> list[Subject]:
    """The first WINDOWS windows of ``count`` clips of SPLITS whose voice gives no emotion away and that are so long."""
    frames = stride(denoiser.config.window, SamplingOptions().overlap) * (WINDOWS - 1) + denoiser.config.window
    found: list[Subject] = []
    for split in SPLITS:
        every = load_subjects(corpus, denoiser.config.audio_encoder, 1_000_000, split)
        found += [s for s in every if len(s.audio) >= frames and s.clip.prosody == "neutral"]
        if len(found) >= count:
            break
    cut = [
        replace(s, audio=replace(s.audio, features=s.audio.features[:frames], energy=s.audio.energy[:frames]))
        for s in found
    ]
    return with_neutral_voice(cut, count)


def measure(config: CalibrateConfig) -> IntensityCalibration:
    """Measure every emotion but neutral, which has no intensity."""
    corpus, source = Path(config.corpus), Path(config.emotion or bundled("emotion.safetensors"))
    denoiser = weights.load_motion(config.motion or bundled("motion.safetensors"))
    controller = weights.load_emotion(source, denoiser)
    before, names = controller.calibration, chosen(config, controller)
    controller.calibration = uncalibrated(controller.config.emotions)
    device = chosen_device(config.device)
    system = System(denoiser.to(device), controller.to(device), SamplingOptions())
    train = load_synthetic_clips(corpus, "train")
    held_out = load_synthetic_clips(corpus, "val") + load_synthetic_clips(corpus, "test")
    judge = fit_judge(train, held_out)
    subjects = beginnings(corpus, denoiser, config.clips)
    needed = []
    for index, emotion in enumerate(controller.config.emotions):
        if before is not None and emotion not in names:
            needed.append(before.needed[index])
            continue
        if emotion == controller.config.neutral:
            needed.append(IntensityCalibration.LEVELS)
            continue
        wanted = judge.true_strength[EMOTIONS.index(emotion)].tolist()
        if any(math.isnan(value) for value in wanted):
            raise UserError(
                f"{corpus} has no {emotion} clip at one of the intensities 1/3, 2/3 and 1; make more clips."
            )
        shown = shown_strengths(system, subjects, judge, emotion, config.seed)
        needed.append(inverted(shown, wanted))
        told = " ".join(f"{a:g}: {s:.2f}" for a, s in zip(ASKED, shown, strict=True))
        logger.info("%s: %s; truth %s; needs %s", emotion, told, [round(w, 2) for w in wanted], needed[-1])
    command = f"python -m training calibrate --corpus {Path(config.corpus).name} --clips {config.clips}"
    how = (
        f"{command} --seed {config.seed}: first {WINDOWS} windows of {len(subjects)} clips with neutral voices, corpus "
        f"{corpus_hash(corpus)[:12]}, default sampling options"
    )
    if before is not None and config.only:
        how = f"{before.measured}; then {' and '.join(names)} with --only: {how}"
    return IntensityCalibration(controller.config.emotions, tuple(needed), how)


def chosen(config: CalibrateConfig, controller: EmotionController) -> tuple[str, ...]:
    """The emotions to measure. Raises UserError for a name that the model does not know, and where the others have no
    calibration to keep."""
    names, known = tuple(config.only.split()), controller.config.emotions
    if wrong := [name for name in names if name not in known]:
        raise UserError(f"--only names {wrong[0]!r}; please choose among {', '.join(known)}.")
    if names and controller.calibration is None:
        raise UserError("--only keeps the calibration of the other emotions, and the file has none; leave it out.")
    return names or known


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the file whole."""
    config = parse(CalibrateConfig, argv, __doc__ or "")
    source = Path(config.emotion or bundled("emotion.safetensors"))
    found = measure(config)
    out = Path(config.out or source)
    write_atomically(out, calibrated(source, found))
    sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")
