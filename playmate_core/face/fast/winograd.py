"""Winograd convolutions: 3x3 kernels with fewer multiplications.

All variants follow one scheme. A map is split into cells; each cell reads a patch one pixel wider on every side; for
the patch d and the kernel w, in one dimension, ``y = A [(G w) * (B d)]`` with a product per channel pair. In two
dimensions the matrices act on rows and on columns, and each product becomes a matrix multiplication.

Tensors are (N, D, H, W, C), channels last; depth is not split, a 3x3x3 kernel sums over three slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...host import HOST
from .products import PLANS, BatchedProducts, ProductPlan

#: Feature pixels processed together on a CPU: one picture of the published size.
AT_ONCE = 64 * 64


@dataclass(frozen=True)
class Algorithm:
    """One dimension of a bilinear algorithm.

    ``stride``: input pixels per cell, its patch is two wider; ``outputs``: output pixels per cell; ``B`` (q, stride +
    2), ``G`` (q, 3), ``A`` (outputs, q) with q products instead of 3 x outputs.
    """

    stride: int
    outputs: int
    B: tuple[tuple[float, ...], ...]
    G: tuple[tuple[float, ...], ...]
    A: tuple[tuple[float, ...], ...]


def pictures_at_once(maps: Tensor) -> int:
    """How many of the maps (N, C, ..., h, w) to process together: on a CPU large ones do not gain from batching."""
    if maps.device.type != "cpu":
        return len(maps)
    return max(1, AT_ONCE // (maps.shape[-1] * maps.shape[-2]))


#: Winograd's F(4, 3) at the points 0, +-1, +-2 and infinity: 36 products for 16 pixels instead of 144.
WINOGRAD = Algorithm(
    stride=4,
    outputs=4,
    B=(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    G=(
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    A=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
)
# In a nearest-upsampled map a kernel covers runs of equal pixels. With the neighbours p, o, n of a cell and
# s = w0 + w1 + w2, the pixel at its left end is w0 p + (w1 + w2) o = w0 (p - o) + s o, one inside it is s o, and the
# one at its right end s o + w2 (n - o): three products serve all of them, with nothing but 0 and +-1 in B and A.
_ENDS_B = ((1, -1, 0), (0, 1, 0), (0, -1, 1))
_ENDS_G = ((1, 0, 0), (1, 1, 1), (0, 0, 1))
#: A convolution over a map upsampled by two, read from the small map: 9 products for 4 pixels instead of 36.
UPSAMPLED_2 = Algorithm(stride=1, outputs=2, B=_ENDS_B, G=_ENDS_G, A=((1, 1, 0), (0, 1, 1)))
#: The same upsampled by four; the two inner pixels of four are equal and computed once: left, inner, right.
UPSAMPLED_4 = Algorithm(stride=1, outputs=3, B=_ENDS_B, G=_ENDS_G, A=((1, 1, 0), (0, 1, 0), (0, 1, 1)))
#: A second convolution over the output of UPSAMPLED_4, four pixels per cell: with c the inner pixel and the patch
#: r' l c r l', s c + {w0 (r' - c) + w1 (l - c), w0 (l - c), w2 (r - c), w1 (r - c) + w2 (l' - c)}: 49 products for 144.
AFTER_UPSAMPLED_4 = Algorithm(
    stride=3,
    outputs=4,
    B=(
        (1, 0, -1, 0, 0),
        (0, 1, -1, 0, 0),
        (0, 1, -1, 0, 0),
        (0, 0, 1, 0, 0),
        (0, 0, -1, 1, 0),
        (0, 0, -1, 1, 0),
        (0, 0, -1, 0, 1),
    ),
    G=((1, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1), (0, 0, 1), (0, 1, 0), (0, 0, 1)),
    A=((1, 1, 0, 1, 0, 0, 0), (0, 0, 1, 1, 0, 0, 0), (0, 0, 0, 1, 1, 0, 0), (0, 0, 0, 1, 0, 1, 1)),
)


@dataclass(frozen=True)
class CellBlock:
    """Some rows of cells of one picture: ``values`` (m, m, D, rows, columns, O), indices within the cell first."""

    picture: int
    first: int
    values: Tensor

    def lay_over(self, maps: Tensor, up: int = 1) -> Tensor:
        """The part of ``maps`` (N, D, H, W, C), upsampled by ``up``, that the block covers, broadcastable to
        :meth:`split`: (m/up, 1, m/up, 1, D, rows, columns, C)."""
        m, _, _, rows, columns = self.values.shape[:5]
        each = m // up
        part = maps[self.picture, :, self.first * each : (self.first + rows) * each]
        cells = part.unflatten(2, (columns, each)).unflatten(1, (rows, each))
        return cells.permute(2, 4, 0, 1, 3, 5)[:, None, :, None]

    def split(self, up: int = 1) -> Tensor:
        """The values as (m/up, up, m/up, up, D, rows, columns, O)."""
        m = self.values.shape[0] // up
        return self.values.unflatten(1, (m, up)).unflatten(0, (m, up))

    def place(self, maps: Tensor, up: int = 1) -> Tensor:
        """A view of the block in ``maps`` (N, D, H, W, O) of the output size, in the order of :meth:`split`."""
        m = self.values.shape[0] // up
        whole = self.lay_over(maps)[:, 0, :, 0]
        return whole.unflatten(1, (m, up)).unflatten(0, (m, up))


class WinogradConv:
    """A 3x3 or 3x3x3 convolution with zero padding, computed by an :class:`Algorithm`.

    ``weight`` (O, C, 3, 3) or (O, C, 3, 3, 3), ``bias`` (O). Maps (N, D, H, W, C) -> (N, D, mH/s, mW/s, O) with m
    outputs and stride s of the algorithm, which must divide H and W.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, algorithm: Algorithm, plan: ProductPlan = PLANS[0]) -> None:
        """``plan``: how the matrix products are computed."""
        self.algorithm = algorithm
        volume = weight if weight.ndim == 5 else weight[:, :, None]
        short = torch.tensor(algorithm.G, dtype=torch.float64, device=weight.device)
        self._kernels = [  # for each slice (q q, C, O)
            BatchedProducts(
                torch.einsum("ai,bj,ocij->abco", short, short, tap.double()).flatten(0, 1).to(weight.dtype), plan.form
            )
            for tap in volume.unbind(2)
        ]
        self._scratch = plan.scratch
        self._bias = bias
        self._into = _both(algorithm.B, weight)
        self._out_of = _both(algorithm.A, weight)

    def __call__(self, maps: Tensor) -> Tensor:
        pictures, depth, height, width = maps.shape[:4]
        made = maps.new_empty(pictures, depth, self.side(height), self.side(width), self.outside)
        for block in self.blocks(maps):
            block.place(made).copy_(block.split())
        return made

    @property
    def _sizes(self) -> tuple[int, int, int]:
        """Products of a patch, input channels, output channels."""
        return len(self._kernels[0]), self._kernels[0].inside, self._kernels[0].outside

    @property
    def outside(self) -> int:
        """Output channels O."""
        return self._kernels[0].outside

    def side(self, inside: int) -> int:
        """Output side for an input side of ``inside`` pixels."""
        return inside // self.algorithm.stride * self.algorithm.outputs

    def blocks(self, maps: Tensor, _cell: int = 1) -> Iterator[CellBlock]:
        """The result block by block; the memory of a block is reused for the next. Cells are those of the algorithm."""
        taps, (products, inside, outside) = len(self._kernels), self._sizes
        s, m = self.algorithm.stride, self.algorithm.outputs
        pictures, depth, height, width = maps.shape[:4]
        high, wide, patch, deep = height // s, width // s, s + 2, depth + taps - 1
        padded = F.pad(maps, (0, 0, 1, 1, 1, 1, taps // 2, taps // 2))
        per_row = wide * (patch**2 * deep * inside + products * (deep * inside + depth * outside) + m * m * outside)
        step = max(1, min(high, self._scratch // per_row))
        scratch = _Scratch(maps)
        strides = padded.stride()
        lay = (strides[2], strides[3], strides[1], s * strides[2], s * strides[3], 1)
        for picture in range(pictures):
            for first in range(0, high, step):
                HOST.check_interrupted()
                rows = min(step, high - first)
                start = padded[picture, 0, first * s :].storage_offset()
                seen = padded.as_strided((patch, patch, deep, rows, wide, inside), lay, start)
                gathered = scratch.take("gathered", patch**2, deep * rows * wide * inside)
                gathered.view(seen.shape).copy_(seen)
                moved = torch.mm(self._into, gathered, out=scratch.take("moved", products, gathered.shape[1]))
                yield CellBlock(picture, first, self._finish(moved, (depth, rows, wide), scratch))

    def _finish(self, moved: Tensor, size: tuple[int, int, int], scratch: _Scratch) -> Tensor:
        """Transformed patches (q q, (D + taps - 1) rows wide C) -> pixels (m, m, D, rows, wide, O)."""
        taps, (products, inside, outside) = len(self._kernels), self._sizes
        depth, rows, wide = size
        m, cells = self.algorithm.outputs, rows * wide
        slices = moved.view(products, depth + taps - 1, cells, inside)
        summed = scratch.take("summed", products, depth * cells * outside)
        result = summed.view(products, depth * cells, outside)
        for tap, kernel in enumerate(self._kernels):
            kernel.multiply(slices[:, tap : tap + depth].flatten(1, 2), result, add=tap > 0)
        made = torch.mm(self._out_of, summed, out=scratch.take("made", m * m, summed.shape[1]))
        values = made.view(m, m, depth, rows, wide, outside)
        return values if self._bias is None else values.add_(self._bias)


class TorchConv:
    """PyTorch's convolution behind the same interface: maps (N, D, H, W, C) -> (N, D, H, W, O)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight = weight
        self._bias = bias

    def __call__(self, maps: Tensor) -> Tensor:
        HOST.check_interrupted()
        reach = [taps // 2 for taps in self._weight.shape[2:]]
        if len(reach) == 3:
            return F.conv3d(maps.movedim(-1, 1), self._weight, self._bias, padding=reach).movedim(1, -1)
        flat = F.conv2d(maps.flatten(0, 1).movedim(-1, 1), self._weight, self._bias, padding=reach)
        return flat.movedim(1, -1).unflatten(0, maps.shape[:2])

    @property
    def outside(self) -> int:
        """Output channels O."""
        return len(self._weight)

    def side(self, inside: int) -> int:
        """Output side for an input side of ``inside`` pixels."""
        return inside

    def blocks(self, maps: Tensor, cell: int = 1) -> Iterator[CellBlock]:
        """The result, one picture at a time, in cells of ``cell`` pixels a side."""
        return in_cells(self, maps, cell)


def in_cells(convolve: Callable[[Tensor], Tensor], maps: Tensor, cell: int) -> Iterator[CellBlock]:
    """The output of a convolution of ``maps``, one picture at a time, in cells of ``cell`` pixels a side."""
    for picture in range(len(maps)):
        made = convolve(maps[picture : picture + 1])[0]
        cells = made.unflatten(2, (-1, cell)).unflatten(1, (-1, cell))
        yield CellBlock(picture, 0, cells.permute(2, 4, 0, 1, 3, 5))


class _Scratch:
    """Scratch buffers reused by consecutive blocks."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._held: dict[str, Tensor] = {}

    def take(self, name: str, rows: int, columns: int) -> Tensor:
        held = self._held.get(name)
        if held is None or held.numel() < rows * columns:
            held = self._held[name] = self._like.new_empty(rows * columns)
        return held[: rows * columns].view(rows, columns)


def _both(matrix: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """The 2-D transform: the Kronecker square of ``matrix``."""
    single = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(single, single).to(like.device, like.dtype)
