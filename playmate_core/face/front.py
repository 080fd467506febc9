"""A head turned to the front: the skin of its ellipsoid, looked up where a known pose puts it.

What is left in such a picture is the face itself; where the head is and which way it looks is gone from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry import place

#: Half axes of the head in canonical units (x, y, z), within which everything is taken to move with the skull.
HEAD_HALF_AXES = (0.36, 0.46, 0.40)
#: What of the head is looked at, in canonical units: half its width, and the rows between which it lies.
HALF_WIDTH, TOP, BOTTOM = 0.29, -0.27, 0.36


@dataclass(frozen=True)
class HeadPlacement:
    """A head's pose as guessed: ``rotation`` (B, 3) degrees, ``translation`` (B, 3), ``scale`` (B, 1)."""

    rotation: Tensor
    translation: Tensor
    scale: Tensor

    def fixed(self) -> HeadPlacement:
        """The same, through which nothing learns."""
        return HeadPlacement(self.rotation.detach(), self.translation.detach(), self.scale.detach())


def frontal_view(image: Tensor, where: HeadPlacement, side: int) -> Tensor:
    """The skin of the head's ellipsoid as seen from the front, out of pictures (B, 3, S, S): (B, 3, side, side)."""
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
