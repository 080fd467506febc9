"""Half-precision convolutions, with separate dtypes for activations and multiplications.

On a CPU activations stay float32 and only products are bfloat16, so statistics, softmax, grids and sums are exact. On a
GPU activations are half precision too, because pointwise work there is limited by memory bandwidth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from .conv_plan import ConvImpl
from .depth_taps import SliceByTap
from .folding import Kernel
from .winograd import CellBlock, TorchConv, in_cells

_SIDE_BY_SIDE = {2: torch.channels_last, 3: torch.channels_last_3d}


@dataclass(frozen=True)
class Precision:
    """``products``: dtype of multiplications; ``maps``: dtype of activations; ``by_slices``: compute 3-D convolutions
    from 2-D ones."""

    products: torch.dtype
    maps: torch.dtype
    by_slices: bool = False

    def convolution(self, weight: Tensor, bias: Tensor | None) -> ConvImpl:
        """A 2-D or 3-D convolution of any kernel size."""
        if self.by_slices and weight.ndim == 5 and bias is not None:
            return DepthSlicedConv(Kernel(weight, bias), self)
        return HalfConv(weight, bias, self)


def volumes_are_slow(device: torch.device) -> bool:
    """Whether PyTorch's half-precision 3-D convolution is to be avoided on ``device``.

    On CUDA, PyTorch 2.9 bypasses cuDNN older than 9.15 and is several times slower with up to 17 times the memory (its
    issues 166122, 166643, 174051).
    """
    if device.type != "cuda" or not torch.__version__.startswith("2.9."):
        return False
    return (torch.backends.cudnn.version() or 0) < 91500


class DepthSlicedConv(SliceByTap):
    """A 3-D convolution by slices as a ConvImpl: sums have the bias's dtype, the result that of the maps."""

    def __init__(self, kernel: Kernel, precision: Precision) -> None:
        super().__init__(kernel, precision.convolution)

    def side(self, inside: int) -> int:
        """Output side for an input side of ``inside`` pixels."""
        return inside

    def __call__(self, maps: Tensor) -> Tensor:
        return super().__call__(maps).to(maps.dtype)

    def blocks(self, maps: Tensor, cell: int = 1) -> Iterator[CellBlock]:
        """The result, one picture at a time, in cells of ``cell`` pixels a side."""
        return in_cells(self, maps, cell)


class HalfConv(TorchConv):
    """PyTorch's convolution with products in half precision: (N, D, H, W, C) -> (N, D, H, W, O)."""

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: Precision) -> None:
        memory = _SIDE_BY_SIDE[weight.ndim - 2]
        # A bias of higher precision is added after the products: 1 + gamma would lose gamma's last bits.
        self._later = None if precision.maps == precision.products else bias
        at_once = None if bias is None or self._later is not None else bias.to(precision.products)
        super().__init__(weight.to(precision.products, memory_format=memory), at_once)

    def __call__(self, maps: Tensor) -> Tensor:
        made = super().__call__(maps.to(self._weight.dtype))
        return made.to(maps.dtype) if self._later is None else made + self._later


@dataclass(frozen=True)
class Phase:
    """Output pixels of one upsampled pixel that share a reduced kernel, along one axis.

    ``taps``: the kernel taps that fall on each input pixel, to be summed; ``start``: index of the first output of the
    reduced convolution to use; ``pixels``: the positions of these output pixels within the upsampled pixel.
    """

    taps: tuple[tuple[int, ...], ...]
    start: int
    pixels: tuple[int, ...]


def phases(up: int) -> tuple[tuple[Phase, ...], ...]:
    """The phases along one axis of a map upsampled by ``up``, grouped by the size of their reduced kernels."""
    first, last = Phase(((0,), (1, 2)), 0, (0,)), Phase(((0, 1), (2,)), 1, (up - 1,))
    inner = Phase(((0, 1, 2),), 0, tuple(range(1, up - 1)))
    return ((first, last), (inner,)) if up > 2 else ((first, last),)


class PhaseConv:
    """A 3x3 or 3x3x3 convolution after nearest upsampling by ``up``, computed from the small map.

    Kernel taps that fall on equal pixels are summed beforehand: 16 products for 4 pixels instead of 36, 25 for 16
    instead of 144. (N, D, H, W, C) -> (N, D, up H, up W, O).
    """

    def __init__(self, kernel: Kernel, up: int, precision: Precision) -> None:
        self.outside, self._up = len(kernel.bias), up
        self._parts = [
            (pairs, precision.convolution(*_added_up(kernel, pairs)))
            for pairs in (tuple(product(rows, columns)) for rows, columns in product(phases(up), repeat=2))
        ]

    def side(self, inside: int) -> int:
        """Output side for an input side of ``inside`` pixels."""
        return inside * self._up

    def __call__(self, maps: Tensor) -> Tensor:
        count, depth, height, width = maps.shape[:4]
        made = maps.new_empty(count, depth, self.side(height), self.side(width), self.outside)
        for pairs, convolution in self._parts:
            values = convolution(maps).unflatten(-1, (len(pairs), -1)).unbind(-2)
            for (row, column), value in zip(pairs, values, strict=True):
                shown = value[:, :, row.start : row.start + height, column.start : column.start + width]
                for y, x in product(row.pixels, column.pixels):
                    made[:, :, y :: self._up, x :: self._up] = shown
        return made

    def blocks(self, maps: Tensor, _cell: int = 1) -> Iterator[CellBlock]:
        """The result, one picture at a time, in cells of ``up`` pixels a side."""
        return in_cells(self, maps, self._up)


def _added_up(kernel: Kernel, pairs: tuple[tuple[Phase, Phase], ...]) -> tuple[Tensor, Tensor]:
    """Concatenated reduced kernels and biases of several phases."""

    def along(weight: Tensor, phase: Phase, axis: int) -> Tensor:
        taps = weight.unbind(axis)
        return torch.stack([sum((taps[i] for i in same[1:]), taps[same[0]]) for same in phase.taps], axis)

    weights = [along(along(kernel.weight, row, -2), column, -1) for row, column in pairs]
    return torch.cat(weights), kernel.bias.repeat(len(pairs))
