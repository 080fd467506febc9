"""What a small G paints over: the source picture itself, where its pixels went, and where the driving keypoints lie.

Not published. A network trained for hours on a CPU keeps sharp what it can copy, and draws lips and lids only where
it is told, finer than the feature grid, where they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import FaceConfig

#: Spread of the mark that shows G a keypoint, in picture halves: about the thickness of a lip.
MARK_RADIUS = 0.05
#: How far, in picture halves, G may look beside the place that W's coarse flow names.
LOOK = 0.1


@dataclass(frozen=True)
class Canvas:
    """``picture`` (B, 3, S, S) the source; ``flow`` (B, h, w, 2), where each coarse pixel of the drawn frame lies in
    it, x and y in -1..1; ``points`` (B, K, 2), the driving keypoints in the same units."""

    picture: Tensor
    flow: Tensor
    points: Tensor

    def label(self, config: FaceConfig) -> Tensor:
        """The moved and the still picture at the scale F works on, folded to the grid: (B, 6 stride^2, h, w)."""
        height, width = (side // config.shrink for side in self.picture.shape[-2:])
        return F.pixel_unshuffle(self.layers(height, width), config.appearance_stride)

    def layers(self, height: int, width: int) -> Tensor:
        """The moved and the still picture at a size that divides theirs, (B, 6, height, width)."""
        small = F.adaptive_avg_pool2d(self.picture, (height, width))
        return torch.cat([displaced_picture(small, self.flow), small], 1)

    def marks(self, height: int, width: int) -> Tensor:
        """One soft dot a keypoint on a grid of pixel centres: (B, K, height, width)."""
        tables = []
        for axis, samples in ((0, width), (1, height)):
            centres = (torch.arange(samples, device=self.points.device) + 0.5) * (2.0 / samples) - 1.0
            away = (centres - self.points[..., axis, None]) / MARK_RADIUS
            tables.append(torch.exp(-0.5 * away.square()))
        across, down = tables
        return down[..., :, None] * across[..., None, :]

    def blend(self, told: Tensor) -> Tensor:
        """The finished picture from G's last eight channels (B, 8, H, W): colours to paint, where to look beside W's
        flow, and the shares of painted, moved and still picture -> (B, 3, H, W)."""
        painted, look, shares = told.float().split([3, 2, 3], 1)
        size = told.shape[-2:]
        shown = displaced_picture(self.picture, self.flow, LOOK * look.tanh())
        still = F.interpolate(self.picture, size=size, mode="bilinear")
        layers = torch.stack([painted.sigmoid(), shown, still], 1)
        return (shares.softmax(1)[:, :, None] * layers).sum(1)


def displaced_picture(picture: Tensor, flow: Tensor, beside: Tensor | None = None) -> Tensor:
    """A picture (B, 3, S, S) looked up at a coarse flow (B, h, w, 2) whose ends lie on the picture's corner pixels.

    ``beside`` (B, 2, H, W) is added to the flow and sets the size of the result; without it the picture keeps its own.
    """
    size = picture.shape[-2:] if beside is None else beside.shape[-2:]
    fine = F.interpolate(flow.movedim(-1, 1), size=size, mode="bilinear", align_corners=True)
    fine = fine if beside is None else fine + beside
    return F.grid_sample(picture, fine.movedim(1, -1), "bilinear", "border", align_corners=True)


def picture_in(volume: Tensor, channels: int, fold: int) -> Tensor:
    """The picture a volume carries behind its first ``channels``: (B, C, D, h, w) -> (B, 3, S, S)."""
    return F.pixel_shuffle(volume[:, channels:].flatten(1, 2), fold)
