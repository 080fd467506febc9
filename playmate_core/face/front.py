"""Frontal views: the surface of the head's ellipsoid, sampled from a picture at a known pose.

The view shows the face independent of head position and rotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry import place

#: Half axes of the head ellipsoid in canonical units (x, y, z), which is treated as rigid.
HEAD_HALF_AXES = (0.36, 0.46, 0.40)
#: Extent of the frontal view in canonical units: half its width, top and bottom.
HALF_WIDTH, TOP, BOTTOM = 0.29, -0.27, 0.36


@dataclass(frozen=True)
class HeadPlacement:
    """An estimated head pose: ``rotation`` (B, 3) degrees, ``translation`` (B, 3), ``scale`` (B, 1)."""

    rotation: Tensor
    translation: Tensor
    scale: Tensor

    def fixed(self) -> HeadPlacement:
        """The same pose, detached from the autograd graph."""
        return HeadPlacement(self.rotation.detach(), self.translation.detach(), self.scale.detach())


def frontal_view(image: Tensor, where: HeadPlacement, side: int) -> Tensor:
    """The surface of the head ellipsoid seen from the front, from pictures (B, 3, S, S): (B, 3, side, side)."""
    y, x = torch.meshgrid(
        torch.linspace(TOP, BOTTOM, side, device=image.device),
        torch.linspace(-HALF_WIDTH, HALF_WIDTH, side, device=image.device),
        indexing="ij",
    )
    wide, tall, deep = HEAD_HALF_AXES
    z = -deep * (1.0 - (x / wide).square() - (y / tall).square()).clamp(min=0.0).sqrt()
    skin = torch.stack([x, y, z], -1).reshape(1, -1, 3).expand(len(image), -1, -1)
    placed = place(skin, where.rotation.float(), torch.zeros_like(skin), where.translation.float(), where.scale.float())
    grid = placed[..., :2].unflatten(1, (side, side)).to(image.dtype)
    return F.grid_sample(image, grid, "bilinear", "border", align_corners=False)
