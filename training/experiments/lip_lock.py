"""``python -m training experiment lip_lock``: what an emotion costs the lips, with the lip lock and without it.

The bundled portrait speaks the bundled speech in the seven emotions at full intensity. How far the lips part is
compared, frame by frame, with the same motion without an emotion, and with the loudness of the voice. Nothing is
trained; it takes a minute on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from playmate_core.atomic_file import write_atomically
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.request import GenerationRequest, MotionGenerator, joined
from playmate_core.media.audio_files import read_sound
from playmate_core.media.images import read_picture
from playmate_core.motion.emotion_by import BOTH_STRENGTH
from playmate_core.motion.expression_layer import EmotionTable, LayerOptions, add_emotion_to_pieces
from playmate_core.motion.report import lips_and_voice
from playmate_core.rendering.portrait import read_portrait
from playmate_core.values import EMOTIONS, AudioFeatures, EmotionCurve, Motion, Portrait
from playmate_core.weights.files import load_face
from playmate_core.weights.folders import bundled
from playmate_core.weights.generator_file import Companions
from playmate_core.weights.generators import load_generator
from training.config import parse
from training.synthetic.rig import lip_aperture

FELT = tuple(name for name in EMOTIONS if name != "neutral")


@dataclass(frozen=True)
class LipLockConfig:
    """``seeds`` performances of ``steps`` steps each; the table is written into ``out``."""

    out: str = "runs/lip_lock"
    seeds: int = 3
    steps: int = 15


CONFIG = LipLockConfig


@dataclass(frozen=True)
class LipLoss:
    """What one way of showing an emotion does to the lips, against the motion without an emotion.

    ``correlation`` of how far they part in both, ``moved`` the mean change of that in percent of its range, ``voice``
    what is lost of the correlation with the voice's loudness.
    """

    correlation: float
    moved: float
    voice: float

    @staticmethod
    def of(quiet: Motion, felt: Motion, energy: Tensor) -> LipLoss:
        """Of ``felt`` against ``quiet``, motions of one speech with the loudness ``energy`` (T,)."""
        one, other = (lip_aperture(motion.expression.double()) for motion in (quiet, felt))
        spread = float(one.max() - one.min())
        before, after = (lips_and_voice(motion, energy).correlation for motion in (quiet, felt))
        return LipLoss(
            float(torch.corrcoef(torch.stack([one, other]))[0, 1]),
            100.0 * float((other - one).abs().mean()) / spread,
            before - after,
        )


def main(argv: Sequence[str]) -> None:
    """Measure, print the table and write it. Raises UserError for wrong flags."""
    config = parse(LipLockConfig, argv, "what an emotion costs the lips")
    table = markdown(measured(config))
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "lip_lock.md", table.encode())
    sys.stdout.write(table)


def measured(config: LipLockConfig) -> dict[str, list[LipLoss]]:
    """The losses of every emotion and seed by the way in which the emotion is shown."""
    generator = load_generator(bundled("motion.safetensors"), Companions(emotion=bundled("emotion.safetensors")))
    portrait = read_portrait(load_face(bundled("face.safetensors")), read_picture(bundled("portrait.png")), "whole")
    sound = read_sound(bundled("speech.wav"))
    audio = generator.encoder().listen(sound.waveform, sound.rate)
    found: dict[str, list[LipLoss]] = {}
    for seed in range(config.seeds):
        options = SamplingOptions(seed=seed, steps=config.steps)
        quiet, *own = spoken(generator, portrait, audio, options)
        for name, emotional in zip(FELT, own, strict=True):
            curve = EmotionCurve.constant(name, 1.0, len(audio), audio.fps)
            for way, show in ways().items():
                found.setdefault(way, []).append(LipLoss.of(quiet, show(quiet, emotional, curve), audio.energy))
    return found


def spoken(
    generator: MotionGenerator, portrait: Portrait, audio: AudioFeatures, options: SamplingOptions
) -> list[Motion]:
    """The motion without an emotion, then that of the generator's own in each, all of one seed."""
    curves = [None, *(EmotionCurve.constant(name, 1.0, len(audio), audio.fps) for name in FELT)]
    asked = [GenerationRequest(portrait.keypoints, portrait.rest, audio, curve, options) for curve in curves]
    return [joined(pieces) for pieces in generator.iterate_together(asked)]


def ways() -> dict[str, Callable[[Motion, Motion, EmotionCurve], Motion]]:
    """Ways to show an emotion by name: from the motion without it, the generator's own with it, and the curve."""

    def layered(motion: Motion, curve: EmotionCurve, strength: float, lock: float) -> Motion:
        options = LayerOptions(strength=strength, lip_lock=lock)
        return joined(list(add_emotion_to_pieces([motion], curve, EmotionTable.read(), options)))

    return {
        "layer, without the lock": lambda quiet, own, curve: layered(quiet, curve, 1.0, 0.0),
        "layer, with the lock": lambda quiet, own, curve: layered(quiet, curve, 1.0, 1.0),
        "model": lambda quiet, own, curve: own,
        "both, without the lock": lambda quiet, own, curve: layered(own, curve, BOTH_STRENGTH, 0.0),
        "both, with the lock": lambda quiet, own, curve: layered(own, curve, BOTH_STRENGTH, 1.0),
    }


def markdown(found: dict[str, list[LipLoss]]) -> str:
    """One row for each way: means over emotions and seeds, and the worst of them."""
    lines = ["| emotion shown by | lip correlation, mean (least) | lips moved, % of their range, mean (most) |"]
    lines[0] += " loss of correlation with the voice, mean (most) |"
    lines.append("|---|---|---|---|")
    for way, losses in found.items():
        correlation, moved, voice = (
            [getattr(loss, part) for loss in losses] for part in ("correlation", "moved", "voice")
        )
        lines.append(
            f"| {way} | {_mean(correlation):.3f} ({min(correlation):.3f}) | {_mean(moved):.1f} ({max(moved):.1f})"
            f" | {_mean(voice):.3f} ({max(voice):.3f}) |"
        )
    return "\n".join(lines) + "\n"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
