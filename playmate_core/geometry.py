"""Rotations, angle bins and the keypoint transform (Eq. 1 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor

from .values import Motion

#: LivePortrait's angle heads: 66 bins of three degrees, of which bin 32.5 is zero (97.5, not face-vid2vid's 99).
ANGLE_BINS = 66
DEGREES_PER_BIN = 3.0
ZERO_BIN_DEGREES = 97.5


def degrees_from_bins(logits: Tensor) -> Tensor:
    """Expected angle of a distribution over bins: logits (..., 66) -> degrees (...), within +-97.5."""
    # Sum each bin's own angle rather than subtract 97.5 from the expected index: smaller terms, less round-off.
    index = torch.arange(ANGLE_BINS, dtype=logits.dtype, device=logits.device)
    return (logits.softmax(-1) * (index * DEGREES_PER_BIN - ZERO_BIN_DEGREES)).sum(-1)


def rotation_matrix(degrees: Tensor) -> Tensor:
    """Pitch, yaw, roll in degrees (..., 3) -> (..., 3, 3), transposed so that row vectors turn by ``points @ R``.

    R = (Rz(roll) Ry(yaw) Rx(pitch))^T: pitch acts first, roll last.
    """
    pitch, yaw, roll = torch.deg2rad(degrees).unbind(-1)
    zero, one = torch.zeros_like(pitch), torch.ones_like(pitch)
    cx, sx, cy, sy, cz, sz = pitch.cos(), pitch.sin(), yaw.cos(), yaw.sin(), roll.cos(), roll.sin()
    about_x = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], -1)
    about_y = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], -1)
    about_z = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], -1)
    rx, ry, rz = (m.unflatten(-1, (3, 3)) for m in (about_x, about_y, about_z))
    return (rz @ ry @ rx).transpose(-1, -2)


def euler_degrees(matrix: Tensor) -> Tensor:
    """Inverse of :func:`rotation_matrix` for yaw within +-90 degrees: (..., 3, 3) -> (..., 3)."""
    rotation = matrix.transpose(-1, -2)  # column-vector form Rz Ry Rx
    yaw = torch.asin((-rotation[..., 2, 0]).clamp(-1.0, 1.0))
    pitch = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    roll = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return torch.rad2deg(torch.stack([pitch, yaw, roll], -1))


def carried_rotation(driving: Tensor, start: Tensor, rest: Tensor) -> Tensor:
    """The rotation of ``driving`` since ``start`` applied to ``rest``: R = R_d R_d0^T R_s, in degrees (..., 3)."""
    moved = rotation_matrix(driving.double()) @ rotation_matrix(start.double()).transpose(-1, -2)
    return euler_degrees(moved @ rotation_matrix(rest.double())).float()


def place(keypoints: Tensor, rotation: Tensor, expression: Tensor, translation: Tensor, scale: Tensor) -> Tensor:
    """Eq. 1, x = s (x_c R + delta) + t with t_z = 0: canonical keypoints (..., K, 3) to image keypoints (..., K, 3).

    ``rotation`` (..., 3) degrees, ``expression`` (..., K, 3), ``translation`` (..., 3), ``scale`` (..., 1).
    """
    rotated = keypoints @ rotation_matrix(rotation) + expression
    in_plane = torch.tensor([1.0, 1.0, 0.0], dtype=translation.dtype, device=translation.device)
    return scale[..., None] * rotated + (translation * in_plane)[..., None, :]


def place_motion(keypoints: Tensor, motion: Motion) -> Tensor:
    """Canonical keypoints (K, 3) transformed by every frame of a motion -> (T, K, 3)."""
    pose = motion.pose
    return place(keypoints, pose.rotation, motion.expression, pose.translation, pose.scale)
