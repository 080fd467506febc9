"""Products in half precision: convolutions that read and give maps of one dtype and multiply in another.

On a CPU the maps stay float32 and only the products are bfloat16: statistics, softmax, grids and sums are then exact.
On a graphics card the maps are half too, because there the memory's speed is what pointwise work waits for.
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
    """``products``: dtype of what is multiplied; ``maps``: dtype of what lies between convolutions; ``by_slices``: no
    convolution in a volume is asked of PyTorch."""

    products: torch.dtype
    maps: torch.dtype
    by_slices: bool = False

    def convolution(self, weight: Tensor, bias: Tensor | None) -> ConvImpl:
        """One of 1, 2, 3, ... taps a side, in the plane or in a volume."""
        if self.by_slices and weight.ndim == 5 and bias is not None:
            return DepthSlicedConv(Kernel(weight, bias), self)
        return HalfConv(weight, bias, self)


def volumes_are_slow(device: torch.device) -> bool:
    """Whether PyTorch's own convolution in a volume is to be avoided in half precision.

    On CUDA 2.9 passes cuDNN by, unless that is 9.15 or newer, and is several times slower with up to 17 times the
    memory (its issues 166122, 166643, 174051).
    """
    if device.type != "cuda" or not torch.__version__.startswith("2.9."):
        return False
    return (torch.backends.cudnn.version() or 0) < 91500


class DepthSlicedConv(SliceByTap):
    """A convolution in a volume by slices, as a form: sums are of the bias's dtype, the result is of the maps'."""

    def __init__(self, kernel: Kernel, precision: Precision) -> None:
        super().__init__(kernel, precision.convolution)

    def side(self, inside: int) -> int:
        """How many pixels ``inside`` become."""
        return inside

    def __call__(self, maps: Tensor) -> Tensor:
        return super().__call__(maps).to(maps.dtype)

    def blocks(self, maps: Tensor, cell: int = 1) -> Iterator[CellBlock]:
        """The result, a picture at a time, in cells of ``cell`` pixels a side."""
        return in_cells(self, maps, cell)


class HalfConv(TorchConv):
    """The convolution as PyTorch has it, its products in half precision: (N, D, H, W, C) -> (N, D, H, W, O)."""

    def __init__(self, weight: Tensor, bias: Tensor | None, precision: Precision) -> None:
        memory = _SIDE_BY_SIDE[weight.ndim - 2]
        # A bias of more precision than the products is added behind them: 1 + gamma would lose gamma's last bits.
        self._later = None if precision.maps == precision.products else bias
        at_once = None if bias is None or self._later is not None else bias.to(precision.products)
        super().__init__(weight.to(precision.products, memory_format=memory), at_once)

    def __call__(self, maps: Tensor) -> Tensor:
        made = super().__call__(maps.to(self._weight.dtype))
        return made.to(maps.dtype) if self._later is None else made + self._later


@dataclass(frozen=True)
class Phase:
    """What some of the pixels that one becomes have in common, along one side.

    ``taps``: the kernel's taps that each neighbour meets, added up; ``start``: the first of the convolution's outputs
    that is theirs; ``pixels``: which of those that one becomes they are.
    """

    taps: tuple[tuple[int, ...], ...]
    start: int
    pixels: tuple[int, ...]


def phases(up: int) -> tuple[tuple[Phase, ...], ...]:
    """The phases along one side of a map enlarged by ``up``, those with equally many neighbours together."""
    first, last = Phase(((0,), (1, 2)), 0, (0,)), Phase(((0, 1), (2,)), 1, (up - 1,))
    inner = Phase(((0, 1, 2),), 0, tuple(range(1, up - 1)))
    return ((first, last), (inner,)) if up > 2 else ((first, last),)


class PhaseConv:
    """A 3x3 or 3x3x3 convolution over a map enlarged by ``up`` (nearest), read from the small map.

    Where the kernel meets equal pixels its taps are added up beforehand: 16 products for 4 pixels instead of 36, 25 for
    16 instead of 144. (N, D, H, W, C) -> (N, D, up H, up W, O).
    """

    def __init__(self, kernel: Kernel, up: int, precision: Precision) -> None:
        self.outside, self._up = len(kernel.bias), up
        self._parts = [
            (pairs, precision.convolution(*_added_up(kernel, pairs)))
            for pairs in (tuple(product(rows, columns)) for rows, columns in product(phases(up), repeat=2))
        ]

    def side(self, inside: int) -> int:
        """How many pixels ``inside`` become."""
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
        """The result, a picture at a time, in cells of as many pixels as one becomes."""
        return in_cells(self, maps, self._up)


def _added_up(kernel: Kernel, pairs: tuple[tuple[Phase, Phase], ...]) -> tuple[Tensor, Tensor]:
    """Weight and bias of the phases of a few pixels, one after another."""

    def along(weight: Tensor, phase: Phase, axis: int) -> Tensor:
        taps = weight.unbind(axis)
        return torch.stack([sum((taps[i] for i in same[1:]), taps[same[0]]) for same in phase.taps], axis)

    weights = [along(along(kernel.weight, row, -2), column, -1) for row, column in pairs]
    return torch.cat(weights), kernel.bias.repeat(len(pairs))
