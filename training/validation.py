"""What a motion model does for speakers it does not train on, measured while it trains (docs/method.md 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from playmate_core.diffusion.denoiser import MotionDenoiser
from playmate_core.diffusion.emotion import EmotionController
from playmate_core.diffusion.generate import SamplingOptions, generate
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.errors import UserError
from playmate_core.speech import SAMPLE_RATE, make_encoder
from playmate_core.values import AudioFeatures, EmotionCurve, Motion
from training.clip import UNLABELLED, Clip
from training.data import split_clips
from training.evaluate import motion_metrics as metrics
from training.synthetic.rig import lip_aperture

#: Frames below which a clip says nothing of lag and spread.
SHORTEST = 25


@dataclass(frozen=True)
class HeldOut:
    """Clips of held-out speakers, and what the encoder makes of their sound."""

    clips: tuple[Clip, ...]
    audio: tuple[AudioFeatures, ...]

    def figures(
        self, denoiser: MotionDenoiser, controller: EmotionController | None, device: torch.device
    ) -> dict[str, float]:
        """The motion metrics, each a mean or a median over the clips; a clip's own emotion is asked for where there is
        a controller. The same noise every time. The models must be in eval mode."""
        denoiser.to(device)
        made = [
            _generated(denoiser, controller, clip, audio) for clip, audio in zip(self.clips, self.audio, strict=True)
        ]
        true = [clip.motion[: len(motion)] for clip, motion in zip(self.clips, made, strict=True)]
        lips = [(_lips(m), _lips(t)) for m, t in zip(made, true, strict=True)]
        std = denoiser.statistics.expression_std.cpu()[denoiser.statistics.live.cpu()]
        return {
            "lip_correlation": float(np.mean([metrics.correlation(*pair) for pair in lips])),
            "lag_within_one_frame": float(np.mean([abs(metrics.lag_frames(*pair)) <= 1 for pair in lips])),
            "pose_jerk_over_truth": _ratio(metrics.jerk, made, true),
            "pose_std_over_truth": float((_spread(made) / _spread(true).clamp(min=1e-6)).mean()),
            "expression_offset": float(
                np.mean([_offset(m, t, denoiser, std) for m, t in zip(made, true, strict=True)])
            ),
        }


def held_out(corpus: str | Path, encoder: str, source: str, count: int, labelled: bool) -> HeldOut:
    """The first ``count`` clips of the split "val", those with an emotion's name where ``labelled``, encoded.

    Raises UserError where there are none.
    """
    listener = make_encoder(encoder, source or None)
    fitting = (
        clip
        for clip in split_clips(Path(corpus), "val")
        if len(clip) >= SHORTEST and not (labelled and clip.emotion == UNLABELLED)
    )
    clips = tuple(islice(fitting, count))
    if not clips:
        raise UserError(
            f"{corpus} has no {'labelled ' if labelled else ''}clip of a held-out speaker of {SHORTEST} frames or more;"
            " leave --validate-every 0, or prepare more people."
        )
    return HeldOut(clips, tuple(listener.listen(clip.waveform, SAMPLE_RATE) for clip in clips))


def _generated(
    denoiser: MotionDenoiser, controller: EmotionController | None, clip: Clip, audio: AudioFeatures
) -> Motion:
    curve = None
    if controller is not None:
        intensity = 1.0 if np.isnan(clip.intensity) else clip.intensity
        curve = EmotionCurve.constant(clip.emotion, intensity, len(audio))
    request = GenerationRequest(clip.keypoints, clip.motion[0:1], audio, curve, SamplingOptions())
    return generate(denoiser, controller, request)[: len(clip)]


def _lips(motion: Motion) -> Tensor:
    return lip_aperture(motion.expression)


def _spread(motions: list[Motion]) -> Tensor:
    """Median over clips of the deviation of each pose channel within a clip, (6,)."""
    return torch.stack([metrics.pose_deviation(m) for m in motions]).median(0).values


def _ratio(figure: Callable[[Motion], float], made: list[Motion], true: list[Motion]) -> float:
    return metrics.ratio(float(np.mean([figure(m) for m in made])), float(np.mean([figure(t) for t in true])))


def _offset(made: Motion, true: Motion, denoiser: MotionDenoiser, std: Tensor) -> float:
    """How far a clip's mean expression is from the true one, in deviations of the training clips: what an emotion
    changes most."""
    gap = made.expression.flatten(1).mean(0) - true.expression.flatten(1).mean(0)
    return float((gap[denoiser.statistics.live.cpu()] / std).square().mean().sqrt())
