"""Optimised trilinear sampling: a weighted sum of eight table rows per position, computed by ``embedding_bag``.

The reference module uses 5-D ``grid_sample``, which some devices lack.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import exact, finest


def gather(volume: Tensor, grid: Tensor) -> Tensor:
    """:func:`warping.sample_volume`, channels last: volume (B, C, D, h, w) at grid (B, ..., 3) -> (B, ..., C).

    Summed in float32 at least; coordinates are in the dtype of :func:`finest`.
    """
    batch, channels = volume.shape[:2]
    table = exact(volume).movedim(1, -1).reshape(-1, channels).contiguous()
    rows, shares = corners(volume.shape[2:], grid.flatten(1, -2))
    picture = torch.arange(batch, dtype=rows.dtype, device=rows.device) * (len(table) // batch)
    rows, shares = (rows + picture[:, None, None]).flatten(0, 1), shares.to(table.dtype).flatten(0, 1)
    made = F.embedding_bag(rows, table, mode="sum", per_sample_weights=shares)
    return made.view(*grid.shape[:-1], channels).to(volume.dtype)


def corners(size: torch.Size, grid: Tensor) -> tuple[Tensor, Tensor]:
    """The eight voxels around each position (B, P, 3), as rows of the flattened volume of ``size`` (D, h, w), and their
    weights, 0 outside: (B, P, 8) twice."""
    sides = grid.new_tensor(size[::-1], dtype=finest(grid))  # in the grid's order x, y, z
    pixel = ((grid.to(sides.dtype) + 1) * sides - 1) / 2
    low = pixel.floor()
    both = torch.stack([low, low + 1], -1)  # (B, P, 3, 2)
    last = (sides - 1)[:, None]
    shares = (1 - (pixel[..., None] - both).abs_()) * ((both >= 0) & (both <= last))
    voxels = both.clamp_(last.new_zeros(()), last).int()
    (x, y, z), (across, down, deep) = shares.unbind(-2), voxels.unbind(-2)
    share = z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]
    row = (deep[..., :, None, None] * size[1] + down[..., None, :, None]) * size[2] + across[..., None, None, :]
    return row.flatten(-3), share.flatten(-3)
