"""InceptionV3 as FID uses it: TensorFlow's network of 2015-12-05 in the layout of its published PyTorch port.

Key names and shapes are those of ``pt_inception-2015-12-05-6726825d.pth``. Three places differ from torchvision's
network, and all change the score: average pools leave padding out, the last block pools by maximum, and pictures are
resized as TensorFlow 1 does (no half-pixel centres, no antialiasing).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE, FEATURES, CLASSES = 299, 2048, 1008
Kernel = int | tuple[int, int]


class ConvNormRelu(nn.Module):
    """Convolution without bias, batch norm, ReLU; (N, C, H, W) -> (N, C', H', W')."""

    def __init__(self, inside: int, outside: int, kernel: Kernel = 1, stride: int = 1, padding: Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outside, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """A block of parallel branches; each branch is a chain of named convolutions, in ``order`` of their outputs.

    A chain may end in a pair of convolutions side by side (``("b", ("c", "d"))``); the chain named ``branch_pool`` is
    preceded by the block's pool, or is that pool where no such convolution exists.
    """

    order: ClassVar[tuple[tuple[str | tuple[str, str], ...], ...]] = ()
    pool: str = "average"

    def pooled(self, x: Tensor) -> Tensor:
        if self.pool == "average":
            return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        if self.pool == "maximum":
            return F.max_pool2d(x, 3, 1, 1)
        return F.max_pool2d(x, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        for chain in self.order:
            y = x
            for step in chain:
                if isinstance(step, tuple):
                    y = torch.cat([getattr(self, name)(y) for name in step], 1)
                elif step == "pool":
                    y = self.pooled(y)
                else:
                    y = getattr(self, step)(y)
            parts.append(y)
        return torch.cat(parts, 1)


class MixedA(Mixed):
    """35 x 35 pixels."""

    order = (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
        ("pool", "branch_pool"),
    )

    def __init__(self, inside: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNormRelu(inside, 64)
        self.branch5x5_1 = ConvNormRelu(inside, 48)
        self.branch5x5_2 = ConvNormRelu(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = ConvNormRelu(inside, 64)
        self.branch3x3dbl_2 = ConvNormRelu(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvNormRelu(96, 96, 3, padding=1)
        self.branch_pool = ConvNormRelu(inside, pooled)


class MixedB(Mixed):
    """35 x 35 to 17 x 17 pixels."""

    order = (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), ("pool",))
    pool = "halving"

    def __init__(self, inside: int) -> None:
        super().__init__()
        self.branch3x3 = ConvNormRelu(inside, 384, 3, 2)
        self.branch3x3dbl_1 = ConvNormRelu(inside, 64)
        self.branch3x3dbl_2 = ConvNormRelu(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = ConvNormRelu(96, 96, 3, 2)


class MixedC(Mixed):
    """17 x 17 pixels; ``width`` channels inside the long branches."""

    order = (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        tuple(f"branch7x7dbl_{k}" for k in range(1, 6)),
        ("pool", "branch_pool"),
    )

    def __init__(self, inside: int, width: int) -> None:
        super().__init__()
        self.branch1x1 = ConvNormRelu(inside, 192)
        self.branch7x7_1 = ConvNormRelu(inside, width)
        self.branch7x7_2 = ConvNormRelu(width, width, (1, 7), padding=(0, 3))
        self.branch7x7_3 = ConvNormRelu(width, 192, (7, 1), padding=(3, 0))
        self.branch7x7dbl_1 = ConvNormRelu(inside, width)
        self.branch7x7dbl_2 = ConvNormRelu(width, width, (7, 1), padding=(3, 0))
        self.branch7x7dbl_3 = ConvNormRelu(width, width, (1, 7), padding=(0, 3))
        self.branch7x7dbl_4 = ConvNormRelu(width, width, (7, 1), padding=(3, 0))
        self.branch7x7dbl_5 = ConvNormRelu(width, 192, (1, 7), padding=(0, 3))
        self.branch_pool = ConvNormRelu(inside, 192)


class MixedD(Mixed):
    """17 x 17 to 8 x 8 pixels."""

    order = (
        ("branch3x3_1", "branch3x3_2"),
        ("branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"),
        ("pool",),
    )
    pool = "halving"

    def __init__(self, inside: int) -> None:
        super().__init__()
        self.branch3x3_1 = ConvNormRelu(inside, 192)
        self.branch3x3_2 = ConvNormRelu(192, 320, 3, 2)
        self.branch7x7x3_1 = ConvNormRelu(inside, 192)
        self.branch7x7x3_2 = ConvNormRelu(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = ConvNormRelu(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = ConvNormRelu(192, 192, 3, 2)


class MixedE(Mixed):
    """8 x 8 pixels."""

    order = (
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
        ("pool", "branch_pool"),
    )

    def __init__(self, inside: int, pool: str) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = ConvNormRelu(inside, 320)
        self.branch3x3_1 = ConvNormRelu(inside, 384)
        self.branch3x3_2a = ConvNormRelu(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = ConvNormRelu(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = ConvNormRelu(inside, 448)
        self.branch3x3dbl_2 = ConvNormRelu(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = ConvNormRelu(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = ConvNormRelu(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = ConvNormRelu(inside, 192)


class InceptionV3(nn.Module):
    """Pictures (N, 3, H, W) uint8 RGB -> pool3 features (N, 2048). ``fc`` is in the file and not used."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNormRelu(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = ConvNormRelu(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNormRelu(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = ConvNormRelu(64, 80)
        self.Conv2d_4a_3x3 = ConvNormRelu(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = MixedA(192, 32), MixedA(256, 64), MixedA(288, 64)
        self.Mixed_6a = MixedB(288)
        self.Mixed_6b, self.Mixed_6c = MixedC(768, 128), MixedC(768, 160)
        self.Mixed_6d, self.Mixed_6e = MixedC(768, 160), MixedC(768, 192)
        self.Mixed_7a = MixedD(768)
        self.Mixed_7b, self.Mixed_7c = MixedE(1280, "average"), MixedE(2048, "maximum")
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        x = (resized_as_tensorflow(pictures.float(), SIZE) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))  # (N, 2048)


def resized_as_tensorflow(pictures: Tensor, size: int) -> Tensor:
    """(N, C, H, W) -> (N, C, size, size), bilinear between pixels floor(i H / size) and the next one."""
    for axis in (2, 3):
        length = pictures.shape[axis]
        at = torch.arange(size, dtype=torch.float32, device=pictures.device) * (length / size)
        low = at.floor().long()
        share = (at - low).view([-1 if one == axis else 1 for one in range(4)])
        high = (low + 1).clamp(max=length - 1)
        below, above = pictures.index_select(axis, low), pictures.index_select(axis, high)
        pictures = below + (above - below) * share
    return pictures
