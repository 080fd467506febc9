"""The discriminator of the fine-tuning: patches of the picture at two scales, with its feature maps for matching."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


@dataclass(frozen=True)
class Judgement:
    """A score map for each scale, and every feature map on the way."""

    scores: list[Tensor]
    features: list[Tensor]


class PatchDiscriminator(nn.Module):
    """Strided convolutions under spectral normalisation (pix2pixHD's, smaller): (B, 3, S, S) -> :class:`Judgement`."""

    def __init__(self, width: int = 32, depth: int = 4, scales: int = 2) -> None:
        super().__init__()
        self.scales = nn.ModuleList(self._scale(width, depth) for _ in range(scales))

    @staticmethod
    def _scale(width: int, depth: int) -> nn.ModuleList:
        layers, inside = nn.ModuleList(), 3
        for level in range(depth):
            outside = min(width * 2**level, 8 * width)
            layers.append(spectral_norm(nn.Conv2d(inside, outside, 4, stride=2, padding=1)))
            inside = outside
        layers.append(spectral_norm(nn.Conv2d(inside, 1, 3, padding=1)))
        return layers

    def forward(self, image: Tensor) -> Judgement:
        scores, features = [], []
        for index, scale in enumerate(self.scales):
            x = image * 2.0 - 1.0
            if index:
                x = F.avg_pool2d(x, 2**index)
            *hidden, last = scale.children()
            for layer in hidden:
                x = F.leaky_relu(layer(x), 0.2)
                features.append(x)
            scores.append(last(x))
        return Judgement(scores, features)
