"""I3D (Inception-v1 inflated, Kinetics-400, RGB) in the layout of ``i3d_pretrained_400.pt``, the network of FVD."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE, CLASSES = 224, 400
#: Frames of a window, and from one window's start to the next.
WINDOW, STRIDE = 16, 16
Triple = tuple[int, int, int]
#: name -> channels in, and (b0, b1a, b1b, b2a, b2b, b3b) channels out.
_MIXED = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
#: Before which blocks to pool, and how: kernel and stride.
_POOLS: dict[str, tuple[Triple, Triple]] = {
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}


def padded(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Zeros around (N, C, T, H, W) so that a kernel yields ceil(size / stride), the odd one behind."""
    sides: list[int] = []
    for size, length, step in zip(x.shape[2:], kernel, stride, strict=True):
        missing = max(length - step if size % step == 0 else length - size % step, 0)
        sides = [missing // 2, missing - missing // 2, *sides]
    return F.pad(x, sides)


def pooled(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Maximum over windows, zeros around it counted in, as the network was trained."""
    return F.max_pool3d(padded(x, kernel, stride), kernel, stride)


class Unit(nn.Module):
    """Convolution, and unless it is the last one batch norm and ReLU."""

    def __init__(self, inside: int, outside: int, kernel: int = 1, stride: int = 1, last: bool = False) -> None:
        super().__init__()
        self.kernel: Triple = (kernel, kernel, kernel)
        self.stride: Triple = (stride, stride, stride)
        self.conv3d = nn.Conv3d(inside, outside, self.kernel, self.stride, bias=last)
        self.bn = None if last else nn.BatchNorm3d(outside, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3d(padded(x, self.kernel, self.stride))
        return x if self.bn is None else F.relu(self.bn(x))


class MixedBlock(nn.Module):
    """Four branches side by side."""

    def __init__(self, inside: int, out: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = Unit(inside, out[0])
        self.b1a, self.b1b = Unit(inside, out[1]), Unit(out[1], out[2], 3)
        self.b2a, self.b2b = Unit(inside, out[3]), Unit(out[3], out[4], 3)
        self.b3b = Unit(inside, out[5])

    def forward(self, x: Tensor) -> Tensor:
        pool = pooled(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pool)], 1)


class InceptionI3d(nn.Module):
    """Windows (N, 3, T, 224, 224) in -1..1, T >= 9 -> logits (N, 400), their mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for name, (inside, out) in _MIXED.items():
            self.add_module(name, MixedBlock(inside, out))
        self.logits = Unit(1024, CLASSES, last=True)

    def forward(self, windows: Tensor) -> Tensor:
        x = pooled(self.Conv3d_1a_7x7(windows), (1, 3, 3), (1, 2, 2))
        x = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x))
        for name in _MIXED:
            if name in _POOLS:
                x = pooled(x, *_POOLS[name])
            x = getattr(self, name)(x)
        x = self.logits(F.avg_pool3d(x, (2, 7, 7), 1))  # (N, 400, T', 1, 1)
        return x.mean((2, 3, 4))


def network_input(pictures: Tensor) -> Tensor:
    """Pictures (T, H, W, 3) uint8 RGB -> (3, T, 224, 224) in -1..1, bilinear, no antialiasing, as VideoGPT resizes."""
    x = pictures.permute(0, 3, 1, 2).float()
    x = F.interpolate(x, size=(SIZE, SIZE), mode="bilinear", align_corners=False)
    return (x / 127.5 - 1).permute(1, 0, 2, 3)
