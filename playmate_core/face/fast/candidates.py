"""Optimised candidate volumes of W: translations are separable, so each axis is one small matrix product.

The reference module samples all candidate volumes by 5-D ``grid_sample``, which some devices lack.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..warping import HEATMAP_VARIANCE, axis
from .precision import finest


def interpolation(samples: int, shift: Tensor) -> Tensor:
    """Weights of linear sampling at ``axis + shift``, as :func:`warping.sample_volume`: (...) -> (..., n, n).

    Zero outside; a row has at most two entries. In the dtype of ``shift``; see :func:`finest` for its precision.
    """
    pixel = ((axis(samples, shift) + shift[..., None] + 1) * samples - 1) / 2
    distance = pixel[..., None] - torch.arange(samples, dtype=pixel.dtype, device=pixel.device)
    return (1 - distance.abs_()).clamp_min_(0)


def translated(volume: Tensor, shift: Tensor) -> Tensor:
    """``volume`` (B, D, h, c, w) translated by each of ``shift`` (B, N, 3): (B, N, D, h, c, w)."""
    batch, depth, height, channels, width = volume.shape
    x, y, z = (
        interpolation(n, shift[..., i]).to(volume.dtype).flatten(0, 1) for i, n in enumerate((width, height, depth))
    )
    lines = volume.flatten(1, 3)[:, None].expand(-1, shift.shape[1], -1, -1).flatten(0, 1)  # (B N, D h c, w)
    made = torch.bmm(lines, x.transpose(1, 2))
    planes = made.view(-1, height, channels * width)  # (B N D, h, c w)
    made = torch.bmm(y[:, None].expand(-1, depth, -1, -1).reshape(-1, height, height), planes)
    return torch.bmm(z, made.view(len(z), depth, -1)).view(batch, -1, *volume.shape[1:])


def heat(points: Tensor, depth: int, height: int, width: int) -> Tensor:
    """:func:`warping.heatmaps`, channels last: points (B, K, 3) -> (B, D, h, w, K)."""
    x, y, z = (
        torch.exp((axis(n, points)[:, None] - points[:, None, :, i]).square_() * (-0.5 / HEATMAP_VARIANCE))
        for i, n in enumerate((width, height, depth))
    )
    return z[:, :, None, None] * (y[:, :, None] * x[:, None])[:, None]


def evidence(compressed: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
    """:meth:`DenseMotion.evidence` for the identity and the keypoints' translations, channels last.

    compressed (B, c, D, h, w), keypoints (B, K, 3) -> (B, D, h, w, (K + 1) (1 + c)).
    """
    batch, channels, *size = compressed.shape
    fine = finest(x_d)
    shift = F.pad(x_s.to(fine) - x_d.to(fine), (0, 0, 1, 0))  # the first candidate is the identity
    volume = compressed.permute(0, 2, 3, 1, 4).contiguous()
    made = compressed.new_empty(batch, *size, shift.shape[1], 1 + channels)
    made[..., 0, 0] = 0
    torch.sub(heat(x_d, *size), heat(x_s, *size), out=made[..., 1:, 0])
    made[..., 1:] = translated(volume, shift).permute(0, 2, 3, 5, 1, 4)
    return made.flatten(-2)
