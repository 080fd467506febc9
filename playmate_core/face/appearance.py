"""F, the appearance feature extractor: a face as a 3-D feature volume."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import FaceConfig
from .layers import ConvNorm2d, Down2d, Residual3d


class AppearanceExtractor(nn.Module):
    """A picture to its feature volume: (B, 3, S, S) in [0, 1] -> (B, C, D, S/4, S/4) (docs/liveportrait.md 3.2).

    With ``carry_picture`` the last channels are the picture itself, pixel-unshuffled to the grid
    (`canvas.picture_in`); the grid is coarser by ``shrink``.
    """

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        widths = [
            min(config.appearance_max, config.appearance_expansion * 2**i) for i in range(config.appearance_downs + 1)
        ]
        self.depth, self.carried, self.shrink = config.volume_depth, config.carry_picture, config.shrink
        self.fold = config.fold
        self.first = ConvNorm2d(3, widths[0])
        self.down_blocks = nn.ModuleList(Down2d(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.second = nn.Conv2d(widths[-1], config.folded_channels, 1)
        self.resblocks_3d = nn.Sequential()
        for i in range(config.appearance_blocks):
            # The published child names are not Python identifiers.
            self.resblocks_3d.add_module(f"3dr{i}", Residual3d(config.volume_channels))

    def forward(self, image: Tensor) -> Tensor:
        """``image`` (B, 3, S, S) in [0, 1] -> feature volume (B, C, D, h, w)."""
        x = self.first(F.avg_pool2d(image, self.shrink) if self.shrink > 1 else image)
        for down in self.down_blocks:
            x = down(x)
        volume = self.resblocks_3d(self.second(x).unflatten(1, (-1, self.depth)))
        if not self.carried:
            return volume
        folded = F.pixel_unshuffle(image, self.fold).unflatten(1, (-1, self.depth))
        return torch.cat([volume, folded.to(volume.dtype)], 1)
