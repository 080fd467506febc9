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
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from playmate_core.atomic_file import write_atomically
from playmate_core.diffusion.denoiser import MotionDenoiser, WindowContext
from playmate_core.diffusion.emotion import EmotionController, IntensityCalibration
from playmate_core.diffusion.guidance import EmotionCondition, Scales, as_clean, guided
from playmate_core.diffusion.normalisation import MOTION_CHANNELS, standardised_identity, to_expression
from playmate_core.diffusion.options import SamplingOptions, numbers
from playmate_core.diffusion.samplers import Schedule, sample
from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training.config import parse
from training.data import corpus_hash, load_synthetic_clips
from training.evaluate.emotion_judge import EmotionJudge, fit_judge
from training.evaluate.subjects import Subject, load_subjects, with_neutral_voice
from training.synthetic.identity import make_identity
from training.synthetic.rig import rig_from_expression

logger = logging.getLogger(__name__)
#: Intensities at which the controller is measured; an emotion that falls short at 1 may be given more.
ASKED = (0.3, 0.5, 0.7, 0.85, 1.0, 1.2)


@dataclass(frozen=True)
class CalibrateConfig:
    """On which clips, and for which models; empty paths are the bundled ones. ``out``: the file to write, the emotion
    model's own when empty."""

    corpus: str = "data/corpus"
    motion: str = ""
    emotion: str = ""
    out: str = ""
    clips: int = 10
    seed: int = 0


@torch.no_grad()
def first_windows(
    denoiser: MotionDenoiser,
    controller: EmotionController,
    subjects: Sequence[Subject],
    asked: EmotionCondition,
    seed: int,
) -> Tensor:
    """The first window of every subject's speech (B, W, 69), sampled at once with the default options."""
    config, options = denoiser.config, SamplingOptions()
    rows, silence = len(subjects), denoiser.statistics.silence
    audio = torch.stack(
        [
            torch.cat([silence.expand(config.previous, -1, -1), s.audio.features[: config.window].float()])
            for s in subjects
        ]
    )
    off = torch.zeros(rows, dtype=torch.bool)
    context = WindowContext(
        audio=audio,
        previous=torch.zeros(rows, config.previous, MOTION_CHANNELS),
        identity=torch.stack([standardised_identity(s.clip.keypoints.float(), denoiser.statistics) for s in subjects]),
        start=~off,
        drop_audio=off,
        drop_identity=off,
        valid=torch.ones(rows, config.window, dtype=torch.bool),
    )
    schedule = Schedule.linear()
    scales = Scales(*(numbers(w)[0] for w in (options.cfg_audio, options.cfg_audio_pose, options.cfg_emotion)))
    predict = as_clean(denoiser, schedule, guided(denoiser, controller, context, asked, scales))
    noise = torch.randn(rows, config.window, MOTION_CHANNELS, generator=torch.Generator().manual_seed(seed))
    return sample(predict, schedule, noise, steps=options.steps, sampler=options.sampler, spacing=options.spacing)


def shown_strengths(
    denoiser: MotionDenoiser,
    controller: EmotionController,
    subjects: Sequence[Subject],
    judge: EmotionJudge,
    emotion: str,
    seed: int,
) -> list[float]:
    """Mean strength over the subjects at each intensity of ASKED, given to the controller as it is."""
    shape = (len(subjects), denoiser.config.window)
    chosen = torch.zeros(*shape, len(controller.config.emotions))
    chosen[..., controller.config.emotions.index(emotion)] = 1.0
    means = []
    for intensity in ASKED:
        asked = EmotionCondition(chosen, torch.full(shape, intensity))
        made = first_windows(denoiser, controller, subjects, asked, seed)
        rigs = [
            rig_from_expression(make_identity(s.clip.identity_seed), to_expression(m, denoiser.statistics).numpy())
            for s, m in zip(subjects, made, strict=True)
        ]
        means.append(float(np.mean([judge.strength(torch.as_tensor(rig), emotion) for rig in rigs])))
    return means


def inverted(shown: Sequence[float], wanted: Sequence[float]) -> tuple[float, ...]:
    """The intensities at which a curve through (0, 0) and (ASKED, ``shown``) reaches ``wanted``, rising.

    The curve is made monotone first. What it does not reach gets the largest intensity that was measured.
    """
    rising = np.maximum.accumulate([0.0, *shown]) + 1e-6 * np.arange(len(shown) + 1)
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


def measure(config: CalibrateConfig) -> IntensityCalibration:
    """Measure every emotion but neutral, which has no intensity."""
    corpus, source = Path(config.corpus), Path(config.emotion or bundled("emotion.safetensors"))
    denoiser = weights.load_motion(config.motion or bundled("motion.safetensors"))
    controller = weights.load_emotion(source, denoiser)
    train = load_synthetic_clips(corpus, "train")
    held_out = load_synthetic_clips(corpus, "val") + load_synthetic_clips(corpus, "test")
    judge = fit_judge(train, held_out)
    speaking = [
        s
        for split in ("test", "val")
        for s in load_subjects(corpus, denoiser.config.audio_encoder, 1_000_000, split)
        if len(s.audio) >= denoiser.config.window
    ]
    subjects = with_neutral_voice(speaking, config.clips)
    needed = []
    for emotion in controller.config.emotions:
        if emotion == controller.config.neutral:
            needed.append(IntensityCalibration.LEVELS)
            continue
        wanted = judge.true_strength[EMOTIONS.index(emotion)].tolist()
        if any(math.isnan(value) for value in wanted):
            raise UserError(
                f"{corpus} has no {emotion} clip at one of the intensities 1/3, 2/3 and 1; make more clips."
            )
        shown = shown_strengths(denoiser, controller, subjects, judge, emotion, config.seed)
        needed.append(inverted(shown, wanted))
        told = " ".join(f"{a:g}: {s:.2f}" for a, s in zip(ASKED, shown, strict=True))
        logger.info("%s: %s; truth %s; needs %s", emotion, told, [round(w, 2) for w in wanted], needed[-1])
    command = f"python -m training calibrate --corpus {Path(config.corpus).name} --clips {config.clips}"
    how = (
        f"{command} --seed {config.seed}: first windows of {len(subjects)} held-out clips with neutral voices, corpus "
        f"{corpus_hash(corpus)[:12]}, default sampling options"
    )
    return IntensityCalibration(controller.config.emotions, tuple(needed), how)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the file whole."""
    config = parse(CalibrateConfig, argv, __doc__ or "")
    source = Path(config.emotion or bundled("emotion.safetensors"))
    found = measure(config)
    out = Path(config.out or source)
    write_atomically(out, calibrated(source, found))
    sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")
