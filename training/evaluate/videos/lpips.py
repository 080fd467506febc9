"""LPIPS v0.1 with AlexNet: the trunk from torchvision's published weights, the linear heads from torchmetrics' wheel.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (arXiv 1801.03924), equation 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

#: Channels of the five activations that are compared.
CHANNELS = (64, 192, 384, 256, 256)
#: Positions of AlexNet's convolutions in ``features``; each is followed by the ReLU that is compared.
_CONVOLUTIONS = (0, 3, 6, 8, 10)
#: What the trunk of the published metric expects of pictures in -1..1.
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class AlexNet(nn.Module):
    """torchvision's AlexNet, whole, so that its file loads strictly; only ``features`` is used."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        wide = 4096
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 36, wide),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(wide, wide),
            nn.ReLU(),
            nn.Linear(wide, 1000),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> the five activations."""
        seen = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index - 1 in _CONVOLUTIONS:
                seen.append(x)
        return seen


class Lpips(nn.Module):
    """The distance of pictures (N, 3, H, W) in -1..1 from others of the same shape, (N,)."""

    shift: Tensor
    scale: Tensor

    def __init__(self, trunk: AlexNet, heads: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = [heads[f"lin{k}.model.1.weight"] for k in range(len(CHANNELS))]  # each (1, C, 1, 1)
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None])

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        total = torch.zeros(len(one), device=one.device)
        first, second = (self.trunk((x - self.shift) / self.scale) for x in (one, other))
        for a, b, head in zip(first, second, self.heads, strict=True):
            apart = (_unit(a) - _unit(b)).square()
            total = total + (apart * head.to(apart)).sum(1).mean((1, 2))
        return total


def head_shapes() -> dict[str, tuple[int, ...]]:
    """Key names and shapes of the file of linear heads."""
    return {f"lin{k}.model.1.weight": (1, channels, 1, 1) for k, channels in enumerate(CHANNELS)}


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
