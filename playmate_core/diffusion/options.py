"""Sampling options: everything about generation other than the portrait, the speech and the emotion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..ranges import check_ranges, check_seconds, ranged
from ..times import read_time
from ..values import FPS
from .normalisation import POSE_CHANNELS
from .samplers import SAMPLERS, SPACINGS


@dataclass(frozen=True)
class GuidanceKeys:
    """A number that changes over time: (second, value) keys in order, interpolated linearly, held at both ends."""

    keys: tuple[tuple[float, float], ...]

    @staticmethod
    def written(text: str) -> float | GuidanceKeys:
        """Parse "1.5", or keys "time:value" as in "0:1.5,2.5:3", the time as :func:`read_time` reads it.

        Raises UserError for anything else.
        """
        try:
            if ":" not in text:
                return float(text)
            parts = [part.rpartition(":") for part in text.split(",")]
            keys = tuple((read_time(at), float(value)) for at, _, value in parts)
        except ValueError:
            raise UserError(f"Cannot read {text!r}; write a number, or a timeline like 0:1.5,2.5:3.") from None
        check_seconds((at for at, _ in keys), text)
        return GuidanceKeys(keys)

    def __str__(self) -> str:
        return ",".join(f"{at:g}:{value:g}" for at, value in self.keys)

    def at(self, frames: Tensor, fps: float) -> Tensor:
        """The values at frame indices ``frames``, float32 of the same shape."""
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
JOINTS = ("hold", "fade")
#: The largest change of the lip opening within one frame in six minutes of true motion, in canonical units.
LIP_STEP = 0.085


@dataclass(frozen=True)
class SamplingOptions:
    """The defaults are docs/performance.md 3's sampler and the paper's guidance.

    ``cfg_audio``, ``cfg_emotion``: w_a and w_e of Eq. 8, a number, one for each frame, or keys. ``cfg_audio_pose``: w_a
    on the head pose; at 1 the head moves too smoothly (docs/method.md 1.10). ``pose_amplitude``:
    factor of the typical std, one number or six (pitch, yaw, roll, t_x, t_y, scale); 0 is a still head. ``pose_mean``:
    around the portrait's own pose, or facing the camera. ``pose_anchor``: whether the mean or the first frame has that
    pose. ``start``: unconstrained, or from the portrait's own expression and pose. ``overlap``: frames that two windows
    share. ``joint``: a window is sampled with the shared frames held as the previous window generated them
    (:mod:`known_frames`), or the two are cross-faded. ``lock_pose``: the head moves as it does without the emotion, in
    every bit; the pose is then sampled separately, with the emotion off. ``lip_step``: canonical units by which the lip
    opening may change from one frame to the next, 0 for no limit (:mod:`lip_step`). ``eye_movement``: share
    of the blinks and looks up and down that are added to the network's own (:mod:`eye_movement`), 0 for none. ``eta``
    is used by ddim only.
    """

    steps: int = ranged(15, 1, 1000)
    sampler: str = "dpm++2m"
    spacing: str = "logsnr"
    eta: float = ranged(0.0, 0.0, 1.0)
    cfg_audio: GuidanceScale = ranged(1.5, 0.0, 20.0)
    cfg_audio_pose: GuidanceScale = ranged(2.75, 0.0, 20.0)
    cfg_emotion: GuidanceScale = ranged(1.5, 0.0, 20.0)
    seed: int = ranged(0, 0, 2**63 - 1)
    pose_amplitude: float | tuple[float, ...] = ranged(1.0, 0.0, 100.0)
    pose_mean: str = "source"
    pose_anchor: str = "mean"
    start: str = "free"
    overlap: int = ranged(6, 0, 512, "frames")
    joint: str = "hold"
    lock_pose: bool = False
    lip_step: float = ranged(LIP_STEP, 0.0, 1.0)
    eye_movement: float = ranged(1.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        choices = {
            "sampler": tuple(SAMPLERS),
            "spacing": tuple(SPACINGS),
            "pose_mean": POSE_MEANS,
            "pose_anchor": POSE_ANCHORS,
            "start": STARTS,
            "joint": JOINTS,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"Unknown {name} {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")
        check_ranges(self)
        for name in ("cfg_audio", "cfg_audio_pose", "cfg_emotion"):
            if not numbers(getattr(self, name)):
                raise UserError(f"Got no number for {name}; give one, or one for each frame.")
        if len(numbers(self.pose_amplitude)) not in (1, POSE_CHANNELS):
            raise UserError(
                f"Got pose_amplitude {self.pose_amplitude!r}; give one number, or six for pitch, yaw, roll, t_x, t_y "
                "and scale."
            )

    @property
    def pose_scale(self) -> Tensor:
        """``pose_amplitude`` for each pose channel, (6,) float64."""
        return torch.tensor(numbers(self.pose_amplitude), dtype=torch.float64).expand(POSE_CHANNELS)


@dataclass(frozen=True)
class SamplingChanges:
    """The sampling options that a person chose; None leaves one as the generator was published."""

    steps: int | None = None
    sampler: str | None = None
    spacing: str | None = None
    cfg_audio: GuidanceScale | None = None
    cfg_audio_pose: GuidanceScale | None = None
    cfg_emotion: GuidanceScale | None = None
    seed: int | None = None
    pose_amplitude: float | tuple[float, ...] | None = None
    pose_mean: str | None = None
    pose_anchor: str | None = None
    start: str | None = None
    joint: str | None = None
    lock_pose: bool | None = None
    lip_step: float | None = None
    eye_movement: float | None = None

    def __post_init__(self) -> None:
        self.on(SamplingOptions())  # refuses what cannot be meant

    def on(self, published: SamplingOptions) -> SamplingOptions:
        """``published`` with these changes."""
        return replace(published, **{name: value for name, value in vars(self).items() if value is not None})


def numbers(curve: GuidanceScale) -> tuple[float, ...]:
    """All numbers of a scale: one number as a tuple of one, keys as their values."""
    if isinstance(curve, GuidanceKeys):
        return tuple(value for _, value in curve.keys)
    return tuple(curve) if isinstance(curve, tuple) else (curve,)


def window_of(name: str, curve: GuidanceScale, frames: int, begin: int, end: int, fps: float = FPS) -> float | Tensor:
    """The part of a curve over ``frames`` in a window [begin, end): a number, or (W, 1), held at both ends.

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
    """The random generator of a window, on the CPU; depends on seed and window only."""
    # A Weyl sequence: no two small (seed, window) pairs get the same seed.
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + window) % 2**63)
