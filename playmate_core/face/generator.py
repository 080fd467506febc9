"""G: paint the warped features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import FaceConfig
from .layers import conv2d

SLOPE = 0.2


class Spade(nn.Module):
    """Normalise x by its own picture, then scale and shift each pixel as the label says (page 3.5).

    x (B, C, h, w), label (B, L, a, b) -> (B, C, h, w).
    """

    def __init__(self, channels: int, label: int, hidden: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(label, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        if label.shape[2:] != x.shape[2:]:
            label = F.interpolate(label, size=x.shape[2:])
        shared = self.mlp_shared(label)
        return F.instance_norm(x) * (1.0 + self.mlp_gamma(shared)) + self.mlp_beta(shared)


class SpadeBlock(nn.Module):
    """Residual block of two SPADE-normalised 3x3 convolutions: x (B, in, h, w), label -> (B, out, h, w)."""

    def __init__(self, inside: int, outside: int, config: FaceConfig) -> None:
        super().__init__()
        middle = min(inside, outside)
        label, hidden, spectral = config.label_channels, config.spade_hidden, config.spectral_norm
        self.conv_0 = conv2d(inside, middle, 3, spectral=spectral)
        self.conv_1 = conv2d(middle, outside, 3, spectral=spectral)
        self.norm_0 = Spade(inside, label, hidden)
        self.norm_1 = Spade(middle, label, hidden)
        self.learned_shortcut = inside != outside
        if self.learned_shortcut:
            self.conv_s = conv2d(inside, outside, 1, bias=False, spectral=spectral)
            self.norm_s = Spade(inside, label, hidden)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        shortcut = self.conv_s(self.norm_s(x, label)) if self.learned_shortcut else x
        x = self.conv_0(F.leaky_relu(self.norm_0(x, label), SLOPE))
        x = self.conv_1(F.leaky_relu(self.norm_1(x, label), SLOPE))
        return shortcut + x


class Generator(nn.Module):
    """Warped features (B, C, h, w) -> picture (B, 3, 8h, 8w) in [0, 1] (page 3.7)."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        wide = config.generator_middle
        self.fc = nn.Conv2d(config.label_channels, wide, 3, padding=1)
        self.middle = tuple(f"G_middle_{i}" for i in range(config.generator_blocks))  # published names, not a list
        for name in self.middle:
            self.add_module(name, SpadeBlock(wide, wide, config))
        self.up_0 = SpadeBlock(wide, config.generator_up_0, config)
        self.up_1 = SpadeBlock(config.generator_up_0, config.generator_up_1, config)
        self.carried = config.appearance_stride if config.carry_picture else 0
        self.picture_from = config.warped_channels
        colours = 4 if self.carried else 3  # the fourth says how much of the moved picture to keep
        self.conv_img = nn.Sequential(
            nn.Conv2d(config.generator_up_1, colours * 2 * 2, 3, padding=1), nn.PixelShuffle(2)
        )

    def forward(self, label: Tensor) -> Tensor:
        x = self.fc(label)
        for name in self.middle:
            x = self.get_submodule(name)(x, label)
        x = self.up_0(F.interpolate(x, scale_factor=2.0), label)
        x = self.up_1(F.interpolate(x, scale_factor=2.0), label)
        return self.finish(self.conv_img(F.leaky_relu(x, SLOPE)), label)

    def finish(self, painted: Tensor, label: Tensor) -> Tensor:
        """What the last convolution made, in [0, 1], over the moved picture where one is carried."""
        painted = painted.sigmoid()
        if not self.carried:
            return painted
        moved = F.pixel_shuffle(label[:, self.picture_from :], self.carried)
        moved = F.interpolate(moved, size=painted.shape[-2:], mode="bilinear")
        return torch.lerp(painted[:, :3].float(), moved.float(), painted[:, 3:].float())
