"""Guidance for generators that drop all conditions at once: ``e0 + w (e - e0)``, one scale instead of two."""

from __future__ import annotations

import torch
from torch import Tensor

from ..values import AudioFeatures
from .options import SamplingOptions, window_of


def check_scales(options: SamplingOptions, audio: AudioFeatures) -> None:
    """Raise UserError for a curve of another length than the audio."""
    for name in ("cfg_audio", "cfg_audio_pose"):
        window_of(name, getattr(options, name), len(audio), 0, 1, audio.fps)


def guidance_scale(
    options: SamplingOptions, audio: AudioFeatures, window: tuple[int, int], columns: int, head: slice
) -> float | Tensor:
    """The guidance scale of a ``window`` [begin, end): one number, or (W, columns) if it differs for the ``head``
    columns or changes over time."""
    face, pose = (
        window_of(name, getattr(options, name), len(audio), *window, audio.fps)
        for name in ("cfg_audio", "cfg_audio_pose")
    )
    if isinstance(face, float) and face == pose:
        return face
    length = window[1] - window[0]
    scale = torch.ones(length, columns) * face
    scale[:, head] = torch.ones(length, len(range(columns)[head])) * pose
    return scale


def is_alone(scale: float | Tensor) -> bool:
    """Whether the scale makes the unconditional prediction unnecessary."""
    return isinstance(scale, float) and scale == 1.0


def steered(predictions: Tensor, rows: int, scale: float | Tensor) -> Tensor:
    """Guided prediction of ``rows`` windows: (2 rows, W, C) without and with conditions, or (rows, W, C) with them
    alone -> (rows, W, C)."""
    if len(predictions) == rows:
        return predictions
    without, conditioned = predictions[:rows], predictions[rows:]
    scale = scale.to(without) if isinstance(scale, Tensor) else scale
    return without + scale * (conditioned - without)
