"""M: where the keypoints of a face are and how it moves, read from one picture by a ConvNeXt V2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..geometry import ANGLE_BINS, degrees_from_bins
from .config import FaceConfig

NORM_EPS = 1e-6
#: A face crop shows a head about this much larger than the canonical one; scale has no activation, so it starts here.
SCALE_START = 1.3


@dataclass(frozen=True)
class FaceReading:
    """What M says of a picture.

    ``keypoints`` (B, K, 3) canonical; ``rotation`` (B, 3) pitch, yaw, roll in degrees; ``translation`` (B, 3);
    ``scale`` (B, 1); ``expression`` (B, K, 3); ``angle_logits`` (B, 3, 66), from which the rotation was taken.
    """

    keypoints: Tensor
    rotation: Tensor
    translation: Tensor
    scale: Tensor
    expression: Tensor
    angle_logits: Tensor


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel: (B, C, h, w) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ResponseNorm(nn.Module):
    """Global response normalisation of ConvNeXt V2 on channels-last (B, h, w, K); statistics per sample."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        size = x.norm(dim=(1, 2), keepdim=True)
        relative = size / (size.mean(-1, keepdim=True) + NORM_EPS)
        return torch.addcmul(self.beta, x, self.gamma * relative + 1.0)


class Block(nn.Module):
    """ConvNeXt V2 block: depthwise 7x7, then a per-pixel MLP four times as wide, plus the input: (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = ResponseNorm(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm(self.dwconv(x).movedim(1, -1))
        inner = self.pwconv2(self.grn(F.gelu(self.pwconv1(inner))))
        return x + inner.movedim(-1, 1)


class Detector(nn.Module):
    """The backbone and its seven linear heads: (B, 3, S, S) in [0, 1] -> FaceReading (page 3.3)."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        widths, k = config.motion_widths, config.keypoints
        self.downsample_layers = nn.ModuleList()
        self.downsample_layers.append(
            nn.Sequential(nn.Conv2d(3, widths[0], 4, stride=4), ChannelNorm(widths[0], eps=NORM_EPS))
        )
        for a, b in zip(widths, widths[1:], strict=False):
            # After the stem the norm comes first.
            self.downsample_layers.append(nn.Sequential(ChannelNorm(a, eps=NORM_EPS), nn.Conv2d(a, b, 2, stride=2)))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for width, depth in zip(widths, config.motion_depths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=NORM_EPS)
        self.fc_kp = nn.Linear(widths[-1], 3 * k)
        self.fc_scale = nn.Linear(widths[-1], 1)
        self.fc_pitch = nn.Linear(widths[-1], ANGLE_BINS)
        self.fc_yaw = nn.Linear(widths[-1], ANGLE_BINS)
        self.fc_roll = nn.Linear(widths[-1], ANGLE_BINS)
        self.fc_t = nn.Linear(widths[-1], 3)
        self.fc_exp = nn.Linear(widths[-1], 3 * k)
        self._start()

    def _start(self) -> None:
        """Start near a still, frontal face of usual size whose keypoints are told apart."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for head in (self.fc_exp, self.fc_t, self.fc_scale):
            nn.init.normal_(head.weight, std=0.002)
        nn.init.constant_(self.fc_scale.bias, SCALE_START)
        nn.init.uniform_(self.fc_kp.bias, -0.3, 0.3)

    def features(self, image: Tensor) -> Tensor:
        """The pooled, normalised features every head reads: (B, 3, S, S) -> (B, width)."""
        x = image
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(down(x))
        return self.norm(x.mean((2, 3)))

    def forward(self, image: Tensor) -> FaceReading:
        x = self.features(image)
        logits = torch.stack([self.fc_pitch(x), self.fc_yaw(x), self.fc_roll(x)], 1)
        return FaceReading(
            keypoints=self.fc_kp(x).unflatten(-1, (-1, 3)),
            rotation=degrees_from_bins(logits),
            translation=self.fc_t(x),
            scale=self.fc_scale(x),
            expression=self.fc_exp(x).unflatten(-1, (-1, 3)),
            angle_logits=logits,
        )


class MotionExtractor(nn.Module):
    """M under its published name: every key begins with ``detector.``."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.detector = Detector(config)

    def forward(self, image: Tensor) -> FaceReading:
        return self.detector(image)
