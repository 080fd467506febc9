"""Building blocks shared by the face networks. Parameter names follow the published checkpoints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Largest number of products in one sum on a CPU: the mask's 48706 or the occlusion's 111328 in one sum cause the
#: largest rounding error of a whole picture (AVX2); sums of 256 x 27 cost 0.3 % of a frame's time.
LONGEST_SUM = 256 * 27
#: Numbers of a volume up to which a batch of one is computed as two halves on a CPU; larger ones gain nothing.
SMALL_VOLUME = 1 << 18


class ConvNorm2d(nn.Module):
    """Convolution 3x3, batch norm, (leaky) ReLU: (B, in, h, w) -> (B, out, h, w)."""

    def __init__(self, inside: int, outside: int, slope: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, padding=1)
        self.norm = nn.BatchNorm2d(outside)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h, w)."""
        x = self.norm(self.conv(x))
        return F.leaky_relu(x, self.slope) if self.slope else F.relu(x)


class Down2d(ConvNorm2d):
    """ConvNorm2d, then the mean of every 2x2 pixels: (B, in, h, w) -> (B, out, h/2, w/2)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h/2, w/2)."""
        return F.avg_pool2d(super().forward(x), 2)


class ConvNorm3d(nn.Module):
    """Convolution 3x3x3, batch norm, ReLU: (B, in, D, h, w) -> (B, out, D, h, w)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inside, outside, 3, padding=1)
        self.norm = nn.BatchNorm3d(outside)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, D, h, w) -> (B, out, D, h, w)."""
        return F.relu(self.norm(convolved(self.conv, x)))


def convolved(conv: nn.Conv2d | nn.Conv3d, x: Tensor) -> Tensor:
    """``conv(x)``, on a CPU in sums of at most ``LONGEST_SUM`` products: (B, in, ...) -> (B, out, ...), same sides.

    One small volume is computed there as two halves, upper and lower: PyTorch 2.13 gives a small batch of one to a
    convolution of its own, which takes three times as long as oneDNN's.
    """
    reach = conv.weight.shape[-1] // 2
    single = len(x) == 1 and x.ndim == 5 and x.device.type == "cpu"
    if not single or x.numel() > SMALL_VOLUME or reach != 1 or x.shape[-2] % 2:
        return _convolved(conv, x, (reach,) * (x.ndim - 2))
    padded, half = F.pad(x, (0, 0, reach, reach)), x.shape[-2] // 2
    halves = torch.cat([padded[..., : half + 2 * reach, :], padded[..., half:, :]])
    return torch.cat(_convolved(conv, halves, (reach, 0, reach)).split(1), -2)


def _convolved(conv: nn.Conv2d | nn.Conv3d, x: Tensor, padding: tuple[int, ...]) -> Tensor:
    taps = conv.weight[0, 0].numel()
    channels = max(1, LONGEST_SUM // taps)
    function = F.conv3d if conv.weight.ndim == 5 else F.conv2d
    if x.shape[1] <= channels or x.device.type != "cpu":
        return function(x, conv.weight, conv.bias, padding=padding)
    y = torch.zeros(())
    for start in range(0, x.shape[1], channels):
        part = slice(start, start + channels)
        y = y + function(x[:, part], conv.weight[:, part], None if start else conv.bias, padding=padding)
    return y


class LongConv2d(nn.Conv2d):
    """A same-size 2-D convolution with very long sums: see :func:`convolved`."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h, w)."""
        return convolved(self, input)


class LongConv3d(nn.Conv3d):
    """The same in 3-D."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, in, D, h, w) -> (B, out, D, h, w)."""
        return convolved(self, input)


class Down3d(ConvNorm3d):
    """ConvNorm3d, then halve the picture plane; depth stays: (B, in, D, h, w) -> (B, out, D, h/2, w/2)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, D, h, w) -> (B, out, D, h/2, w/2)."""
        maps = super().forward(x)  # pooled as flat pictures: the CPU has no 3-D pooling in half precision
        return F.avg_pool2d(maps.flatten(1, 2), 2).unflatten(1, maps.shape[1:3])


class Up3d(ConvNorm3d):
    """Double the picture plane (nearest), then ConvNorm3d: (B, in, D, h, w) -> (B, out, D, 2h, 2w)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, D, h, w) -> (B, out, D, 2h, 2w)."""
        return super().forward(F.interpolate(x, scale_factor=(1.0, 2.0, 2.0)))


class Residual3d(nn.Module):
    """Pre-activation residual block, 3x3x3 twice: (B, C, D, h, w) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, h, w) -> the same."""
        inner = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(inner)))


class SpectralConv2d(nn.Module):
    """Spectrally normalised convolution, stored as published: weight_orig, u and v.

    In training u and v take one power iteration a step; in eval the stored ones are used (docs/liveportrait.md 3.6).
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inside: int, outside: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        plain = nn.Conv2d(inside, outside, kernel, bias=bias)
        self.bias = plain.bias
        self.weight_orig = nn.Parameter(plain.weight.detach())
        self.register_buffer("weight_u", F.normalize(torch.randn(outside), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(inside * kernel * kernel), dim=0))
        self.padding = kernel // 2

    def sigma(self) -> Tensor:
        """The divisor u . (A v) with the stored u and v: (). Not a matrix product, which autocast would round."""
        return (self.weight_u[:, None] * self.weight_orig.flatten(1) * self.weight_v).sum()

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight_orig.flatten(1)
        # New tensors, not in-place: two forward passes before one backward must not modify each other's graph.
        self.weight_v = F.normalize(matrix.T @ self.weight_u, dim=0)
        self.weight_u = F.normalize(matrix @ self.weight_v, dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, out, h, w)."""
        if self.training:
            self._iterate()
        return F.conv2d(x, self.weight_orig / self.sigma(), self.bias, padding=self.padding)


def conv2d(inside: int, outside: int, kernel: int, bias: bool = True, *, spectral: bool) -> nn.Module:
    """A same-size convolution, spectrally normalised as published or with a plain ``weight``."""
    if spectral:
        return SpectralConv2d(inside, outside, kernel, bias)
    return nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=bias)
