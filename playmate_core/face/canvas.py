"""Extra inputs of a small G: the source picture, the flow that warps it, and the driving keypoints.

Not part of LivePortrait. A network trained for hours on a CPU is only sharp where it can copy pixels, and needs the
positions of lips and lids at a finer resolution than the feature grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import FaceConfig

#: Standard deviation of the Gaussian that marks a keypoint, in picture halves: about the thickness of a lip.
MARK_RADIUS = 0.05
#: Largest correction that G may add to W's coarse flow, in picture halves.
LOOK = 0.1


@dataclass(frozen=True)
class Layers:
    """G's part of the output picture: ``generated`` (B, 3, H, W) colours; ``look`` (B, 2, H, W), what is added to W's
    flow, in picture halves; ``shares`` (B, 3, H, W), the weights of generated, warped and original picture, sum 1."""

    generated: Tensor
    look: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Canvas:
    """``picture`` (B, 3, S, S) the source; ``flow`` (B, h, w, 2), the source position of each coarse output pixel, x
    and y in -1..1; ``points`` (B, K, 2), the driving keypoints in the same units."""

    picture: Tensor
    flow: Tensor
    points: Tensor

    def label(self, config: FaceConfig) -> Tensor:
        """The warped and the original picture at F's scale, pixel-unshuffled to the grid: (B, 6 stride^2, h, w)."""
        height, width = (side // config.shrink for side in self.picture.shape[-2:])
        return F.pixel_unshuffle(self.layers(height, width), config.appearance_stride)

    def layers(self, height: int, width: int) -> Tensor:
        """The warped and the original picture, downscaled by an integer factor: (B, 6, height, width)."""
        small = F.adaptive_avg_pool2d(self.picture, (height, width))
        return torch.cat([displaced_picture(small, self.flow), small], 1)

    def marks(self, height: int, width: int) -> Tensor:
        """A Gaussian per keypoint on a grid of pixel centres: (B, K, height, width)."""
        tables = []
        for axis, samples in ((0, width), (1, height)):
            centres = (torch.arange(samples, device=self.points.device) + 0.5) * (2.0 / samples) - 1.0
            away = (centres - self.points[..., axis, None]) / MARK_RADIUS
            tables.append(torch.exp(-0.5 * away.square()))
        across, down = tables
        return down[..., :, None] * across[..., None, :]

    def layers_of(self, output: Tensor) -> Layers:
        """What G's last eight channels (B, 8, H, W) mean."""
        generated, look, shares = output.float().split([3, 2, 3], 1)
        return Layers(generated.sigmoid(), LOOK * look.tanh(), shares.softmax(1))

    def blend(self, layers: Layers) -> Tensor:
        """The output picture, (B, 3, H, W): generated, warped and original picture by their shares."""
        shown = displaced_picture(self.picture, self.flow, layers.look)
        still = F.interpolate(self.picture, size=layers.look.shape[-2:], mode="bilinear")
        pictures = torch.stack([layers.generated, shown, still], 1)
        return (layers.shares[:, :, None] * pictures).sum(1)


def displaced_picture(picture: Tensor, flow: Tensor, beside: Tensor | None = None) -> Tensor:
    """A picture (B, 3, S, S) sampled at a coarse flow (B, h, w, 2), upsampled with aligned corners.

    ``beside`` (B, 2, H, W) is added to the flow and sets the output size, otherwise that of the picture.
    """
    size = picture.shape[-2:] if beside is None else beside.shape[-2:]
    fine = F.interpolate(flow.movedim(-1, 1), size=size, mode="bilinear", align_corners=True)
    fine = fine if beside is None else fine + beside
    return F.grid_sample(picture, fine.movedim(1, -1), "bilinear", "border", align_corners=True)


def picture_in(volume: Tensor, channels: int, fold: int) -> Tensor:
    """The picture stored in a volume after its first ``channels``: (B, C, D, h, w) -> (B, 3, S, S)."""
    return F.pixel_shuffle(volume[:, channels:].flatten(1, 2), fold)
