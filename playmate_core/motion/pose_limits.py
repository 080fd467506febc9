"""Soft limits for head rotation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..diffusion.pose_prior import ANGLE_LIMITS
from ..errors import UserError
from ..values import Pose


@dataclass(frozen=True)
class PoseLimits:
    """Largest absolute ``pitch``, ``yaw`` and ``roll`` in degrees; angles up to the share ``knee`` of each are
    unchanged. A knee of 1 clamps."""

    pitch: float = ANGLE_LIMITS[0]
    yaw: float = ANGLE_LIMITS[1]
    roll: float = ANGLE_LIMITS[2]
    knee: float = 0.8

    def __post_init__(self) -> None:
        for name in ("pitch", "yaw", "roll"):
            if not 0.0 <= getattr(self, name) <= 90.0:
                raise UserError(
                    f"The limit of {name} is {getattr(self, name):g} degrees; please give one from 0 to 90."
                )
        if not 0.0 <= self.knee <= 1.0:
            raise UserError(f"The knee of the pose limits is {self.knee:g}; please give a number from 0 to 1.")


def limit_pose(pose: Pose, limits: PoseLimits | None = None) -> Pose:
    """``pose`` with its angles inside the limits: unchanged below the knee, above it compressed towards the limit by
    tanh, monotonically and with slope 1 at the knee."""
    limits = limits or PoseLimits()
    most = torch.tensor([limits.pitch, limits.yaw, limits.roll], dtype=torch.float64)
    knee = limits.knee * most
    room = most - knee
    angles = pose.rotation.double()
    bent = knee + room * torch.tanh((angles.abs() - knee) / room.clamp(min=1e-9))
    return replace(pose, rotation=torch.where(angles.abs() <= knee, pose.rotation, (angles.sign() * bent).float()))
