"""Pose statistics for an unseen portrait, which has no clip to measure them on (docs/method.md 1.4)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..values import Motion, Pose
from .denoiser import MotionDenoiser
from .normalisation import (
    EXPRESSION_CHANNELS,
    TINY,
    MotionStatistics,
    pose_channels,
    pose_from_channels,
    to_model_space,
)
from .options import SamplingOptions

#: The pose is clamped to this many typical standard deviations around its mean (docs/method.md 1.4).
POSE_LIMIT = 3.5
#: Pitch, yaw, roll in degrees beyond which rendering quality degrades.
ANGLE_LIMITS = (25.0, 35.0, 25.0)
log = logging.getLogger(__name__)


#: What is logged when :func:`clamp_pose` had to act; takes ANGLE_LIMITS.
POSE_CLAMPED = "The head would turn beyond %s degrees (pitch, yaw, roll) and is held there."


def clamp_pose(angles: Tensor, rest: Tensor) -> tuple[Tensor, bool]:
    """``angles`` (T, 3) clamped to ANGLE_LIMITS, and whether that changed any (docs/method.md 1.4, safety).

    If ``rest`` (3,) is itself beyond a limit, the limit is widened to it.
    """
    limits = torch.maximum(torch.tensor(ANGLE_LIMITS).to(angles), rest.to(angles).abs())
    held = angles.clamp(-limits, limits)
    return held, not torch.equal(held, angles)


class PoseLimiter:
    """Applies ``pose_amplitude``, ``pose_mean`` and the angle limits to generated poses in degrees.

    ``pose_amplitude`` scales the difference from ``rest``, "frontal" subtracts its rotation. With the default options
    poses are only clamped; a warning is logged once.
    """

    def __init__(self, rest: Pose, options: SamplingOptions) -> None:
        self.rest, self.options = rest, options
        self._warned = False

    def __call__(self, pose: Pose) -> Pose:
        limited, held = _with_options(pose, self.rest, self.options)
        if held and not self._warned:
            log.warning(POSE_CLAMPED, ANGLE_LIMITS)
            self._warned = True
        return limited


def _with_options(pose: Pose, rest: Pose, options: SamplingOptions) -> tuple[Pose, bool]:
    rotation, translation, scale = pose.rotation, pose.translation, pose.scale
    pose_scale = options.pose_scale.float()
    if bool((pose_scale != 1.0).any()):
        shares = torch.cat([pose_scale[3:5], pose_scale.new_ones(1)])  # depth is carried, never modelled
        rotation = rest.rotation + pose_scale[:3] * (rotation - rest.rotation)
        translation = rest.translation + shares * (translation - rest.translation)
        scale = rest.scale * (scale / rest.scale).clamp(min=TINY) ** pose_scale[5]
    if options.pose_mean == "frontal":
        rotation = rotation - rest.rotation
    rotation, held = clamp_pose(rotation, rest.rotation[0])
    return Pose(rotation, translation, scale, pose.fps), held


@dataclass(frozen=True)
class PosePrior:
    """Pose statistics of a portrait: ``mean`` (6,) and ``std`` (6,), float64; ``depth`` (1, 1) is its t_z.

    ``furthest`` (3,): angles beyond ANGLE_LIMITS that are still allowed, those of ``mean`` where it is None.
    """

    mean: Tensor
    std: Tensor
    depth: Tensor
    furthest: Tensor | None = None

    @staticmethod
    def of(rest: Motion, denoiser: MotionDenoiser, options: SamplingOptions) -> PosePrior:
        """The inference rule for an unseen portrait: its own pose as mean, the typical std times the pose amplitude."""
        statistics = denoiser.statistics
        own = pose_channels(rest.pose)[0]
        mean = own.clone()
        if options.pose_mean == "frontal":
            mean[:3] = 0.0
        if denoiser.config.pose_normalisation == "global":
            # The ablation was trained on absolute poses, so the portrait's own pose cannot be the mean.
            mean = statistics.pose_global_mean.to(own)
            return PosePrior(
                mean, statistics.pose_global_std.to(own) * options.pose_scale, rest.pose.translation[:, 2:]
            )
        return PosePrior(mean, statistics.pose_typical_std.to(own) * options.pose_scale, rest.pose.translation[:, 2:])

    def reaching(self, pose: Pose) -> PosePrior:
        """The same, or, where ``pose`` goes further than POSE_LIMIT allows, around its mean as far as it."""
        channels = pose_channels(pose)
        furthest = torch.maximum(channels[:, :3].abs().amax(0), self.mean[:3].abs())
        moves = self.std > 0
        inside = (channels - self.mean).abs() <= POSE_LIMIT * self.std
        if bool((inside | ~moves).all()):
            return replace(self, furthest=furthest)
        mean = torch.where(moves, channels.mean(0), self.mean)
        needed = (channels - mean).abs().amax(0) / POSE_LIMIT
        return PosePrior(mean, torch.maximum(self.std, needed).where(moves, self.std), self.depth, furthest)

    def encode(self, motion: Motion, statistics: MotionStatistics) -> Tensor:
        """A motion in model space (T, 69); axes with std 0 are encoded as their mean."""
        moves = self.std > 0
        model = to_model_space(motion, statistics, self.mean, self.std.where(moves, torch.ones_like(self.mean)))
        pose = model[:, EXPRESSION_CHANNELS:].where(moves, torch.zeros(())).clamp(-POSE_LIMIT, POSE_LIMIT)
        return torch.cat([model[:, :EXPRESSION_CHANNELS], pose], -1)

    def decode(self, pose: Tensor, fps: float) -> tuple[Pose, bool]:
        """Model-space ``pose`` (T, 6) as a Pose, and whether it was clamped."""
        channels = self.mean + self.std * pose.double()
        angles, held = clamp_pose(channels[:, :3], self.mean[:3] if self.furthest is None else self.furthest)
        return pose_from_channels(torch.cat([angles, channels[:, 3:]], -1), self.depth, fps), held
