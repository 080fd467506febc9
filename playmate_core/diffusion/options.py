"""How to generate: everything about a performance that is neither the portrait, the voice nor the emotion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..values import FPS
from .normalisation import POSE_CHANNELS
from .samplers import SAMPLERS, SPACINGS


@dataclass(frozen=True)
class GuidanceKeys:
    """A number that changes: (second, value) in the order of time, straight lines between, held at both ends."""

    keys: tuple[tuple[float, float], ...]

    @staticmethod
    def written(text: str) -> float | GuidanceKeys:
        """Read "1.5", or "0:1.5,2.5:3" with a value from each second on. Raises UserError for anything else."""
        try:
            if ":" not in text:
                return float(text)
            keys = tuple(sorted((float(at), float(value)) for at, value in (p.split(":") for p in text.split(","))))
        except ValueError:
            raise UserError(f"Cannot read {text!r}; write a number, or a timeline like 0:1.5,2.5:3.") from None
        if len({at for at, _ in keys}) < len(keys) or not keys[0][0] >= 0:
            raise UserError(f"The timeline {text!r} names a second twice or one before 0; give each its own.")
        return GuidanceKeys(keys)

    def __str__(self) -> str:
        return ",".join(f"{at:g}:{value:g}" for at, value in self.keys)

    def at(self, frames: Tensor, fps: float) -> Tensor:
        """The numbers of some frames, by their indices, alike in shape."""
        at, value = zip(*self.keys, strict=True)
        return torch.from_numpy(np.interp(frames.numpy() / fps, at, value)).float()

    def values(self, frames: int, fps: float) -> tuple[float, ...]:
        """One number for each frame."""
        return tuple(self.at(torch.arange(frames), fps).tolist())


#: One number for all frames, one for each frame, or keys between which it changes.
GuidanceScale = float | tuple[float, ...] | GuidanceKeys

POSE_MEANS = ("source", "frontal")
POSE_ANCHORS = ("mean", "first")
STARTS = ("free", "portrait")


@dataclass(frozen=True)
class SamplingOptions:
    """The defaults are docs/performance.md 3's sampler and the paper's guidance.

    ``cfg_audio``, ``cfg_emotion``: w_a and w_e of Eq. 8, a number, one for each frame, or keys. ``cfg_audio_pose``: w_a
    on the head pose, 1 by default, because more exaggerates head motion (docs/method.md 1.10). ``pose_amplitude``:
    times the
    typical spread, one number or six (pitch, yaw, roll, t_x, t_y, scale); 0 is a still head. ``pose_mean``: around the
    portrait's own pose, or facing the camera. ``pose_anchor``: the mean stands there, or the first frame. ``start``:
    begin anywhere, or from the portrait's own face and pose. ``overlap``: frames two windows share, faded from one to
    the other; 4 makes joints smoother than truth's own frames there (0.89 against 1.10 of the usual step, 24 clips).
    ``eta`` concerns ddim alone.
    """

    steps: int = 15
    sampler: str = "dpm++2m"
    spacing: str = "logsnr"
    eta: float = 0.0
    cfg_audio: GuidanceScale = 1.5
    cfg_audio_pose: GuidanceScale = 1.0
    cfg_emotion: GuidanceScale = 1.5
    seed: int = 0
    pose_amplitude: float | tuple[float, ...] = 1.0
    pose_mean: str = "source"
    pose_anchor: str = "mean"
    start: str = "free"
    overlap: int = 4

    def __post_init__(self) -> None:
        choices = {
            "sampler": tuple(SAMPLERS),
            "spacing": tuple(SPACINGS),
            "pose_mean": POSE_MEANS,
            "pose_anchor": POSE_ANCHORS,
            "start": STARTS,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"Unknown {name} {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")
        if not 1 <= self.steps <= 1000:
            raise UserError(f"Got {self.steps} sampling steps; choose a whole number from 1 to 1000.")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"Got the seed {self.seed}; choose a whole number from 0 to 2^63 - 1.")
        if self.overlap < 0:
            raise UserError(f"Got an overlap of {self.overlap} frames; choose 0 or more.")
        if not 0.0 <= self.eta <= 1.0:
            raise UserError(f"Got eta {self.eta:g}; choose a number from 0 (deterministic) to 1 (as random as DDPM).")
        for name in ("cfg_audio", "cfg_audio_pose", "cfg_emotion", "pose_amplitude"):
            self._check_numbers(name)

    def _check_numbers(self, name: str) -> None:
        values = numbers(getattr(self, name))
        if not values or not all(math.isfinite(v) for v in values):
            raise UserError(f"Got {name} {getattr(self, name)!r}; give one finite number, or one for each place.")
        if name == "pose_amplitude" and (len(values) not in (1, POSE_CHANNELS) or min(values) < 0):
            raise UserError(
                f"Got pose_amplitude {self.pose_amplitude!r}; give one number, or six for pitch, yaw, roll, t_x, t_y "
                "and scale, none below 0."
            )

    @property
    def amplitude(self) -> Tensor:
        """(6,) float64."""
        return torch.tensor(numbers(self.pose_amplitude), dtype=torch.float64).expand(POSE_CHANNELS)


def numbers(curve: GuidanceScale) -> tuple[float, ...]:
    """One number as a tuple of one, keys as their values."""
    if isinstance(curve, GuidanceKeys):
        return tuple(value for _, value in curve.keys)
    return tuple(curve) if isinstance(curve, tuple) else (curve,)


def window_of(name: str, curve: GuidanceScale, frames: int, begin: int, end: int, fps: float = FPS) -> float | Tensor:
    """The part of a curve over ``frames`` that a window [begin, end) sees: a number, or (W, 1), held at both ends.

    Raises UserError for a curve of another length.
    """
    place = torch.arange(begin, end).clamp(0, frames - 1)
    if isinstance(curve, GuidanceKeys):
        return curve.at(place, fps)[:, None]
    if not isinstance(curve, tuple):
        return float(curve)
    if len(curve) != frames:
        raise UserError(f"The {name} curve has {len(curve)} values for {frames} frames; give one for each frame.")
    return torch.tensor(curve, dtype=torch.float32)[place, None]


def window_noise(seed: int, window: int) -> torch.Generator:
    """The one source of chance of a window: on the CPU, the same whatever came before or is asked for after."""
    # Weyl's sequence spreads the seeds, so that no two small (seed, window) pairs meet.
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + window) % 2**63)
