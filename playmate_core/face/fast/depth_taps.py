"""Convolutions in a volume, computed slice by slice in the plane."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .conv_plan import ConvImpl
from .folding import Kernel
from .winograd import TorchConv

#: Makes a plain convolution of a weight and a bias.
Straightforward = Callable[[Tensor, "Tensor | None"], ConvImpl]


class SliceByTap:
    """A convolution in a volume as one in the plane with its depth taps as further outputs, added up with a shift.

    The same multiplications, but as many times the outputs: few outputs leave most of a wide vector or tile idle. Sums
    are of the bias's dtype.
    """

    def __init__(self, kernel: Kernel, form: Straightforward = TorchConv) -> None:
        self._taps, self.outside = kernel.weight.shape[2], len(kernel.bias)
        self._across = form(kernel.weight.permute(2, 0, 1, 3, 4).flatten(0, 1).contiguous(), None)
        self._bias = kernel.bias

    def __call__(self, maps: Tensor) -> Tensor:
        """(N, D, H, W, C) -> (N, D, H, W, O)."""
        depth, reach = maps.shape[1], self._taps // 2
        taps = self._across(maps).unflatten(-1, (self._taps, -1))
        summed = self._bias.expand(*taps.shape[:-2], -1).clone()  # an even kernel's plane is one wider
        for tap in range(max(0, reach - depth + 1), min(self._taps, reach + depth)):  # further ones see only padding
            shift = tap - reach
            to = slice(max(0, -shift), depth - max(0, shift))
            of = slice(max(0, shift), depth - max(0, -shift))
            summed[:, to] += taps[:, of, :, :, tap]
        return summed
