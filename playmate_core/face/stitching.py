"""S, stitching and retargeting: three small networks that offset keypoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import FaceConfig


class KeypointNet(nn.Module):
    """Linear layers with ReLU between: (B, inside) -> (B, outside)."""

    def __init__(self, inside: int, hidden: tuple[int, ...], outside: int) -> None:
        super().__init__()
        widths = (inside, *hidden, outside)
        layers: list[nn.Module] = []
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside) -> (B, outside)."""
        return self.mlp(x)


class Stitching(nn.Module):
    """Stitching, eye and lip retargeting (docs/liveportrait.md 3.8); keypoints (B, K, 3) are in image space."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        n = 3 * config.keypoints
        self.stitching = KeypointNet(2 * n, (128, 128, 64), n + 2)
        self.lip = KeypointNet(n + 2, (128, 128, 64), n)
        self.eye = KeypointNet(n + 3, (256, 256, 128, 128, 64), n)

    def forward(self, x_s: Tensor, x_d: Tensor) -> Tensor:
        """Driving keypoints adjusted so that shoulders and background stay fixed: (B, K, 3) twice -> (B, K, 3)."""
        offset = self.stitching(torch.cat([x_s.flatten(1), x_d.flatten(1)], 1))
        every, plane = offset[:, :-2], offset[:, -2:]
        return x_d + every.unflatten(1, (-1, 3)) + nn.functional.pad(plane, (0, 1))[:, None]

    def lip_offset(self, x_s: Tensor, ratios: Tensor) -> Tensor:
        """Offset (B, K, 3) that sets the lip opening: ``ratios`` (B, 2) are the source's lip ratio and the target."""
        return self.lip(torch.cat([x_s.flatten(1), ratios], 1)).unflatten(1, (-1, 3))

    def eye_offset(self, x_s: Tensor, ratios: Tensor) -> Tensor:
        """Offset (B, K, 3) that sets the eye opening: ``ratios`` (B, 3) are the source's left, right, and the
        target."""
        return self.eye(torch.cat([x_s.flatten(1), ratios], 1)).unflatten(1, (-1, 3))
