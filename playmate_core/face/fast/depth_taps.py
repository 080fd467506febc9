"""3-D convolutions computed as 2-D convolutions per depth slice."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from .conv_plan import ConvImpl
from .folding import Kernel
from .winograd import TorchConv

#: Creates a convolution from a weight and a bias.
PlainConvFactory = Callable[[Tensor, "Tensor | None"], ConvImpl]


class SliceByTap:
    """A 3-D convolution as a 2-D one with its depth taps as extra output channels, summed with a depth shift.

    The same number of multiplications with more output channels, as few channels leave most of a vector unit idle. Sums
    have the bias's dtype.
    """

    def __init__(self, kernel: Kernel, form: PlainConvFactory = TorchConv) -> None:
        self._taps, self.outside = kernel.weight.shape[2], len(kernel.bias)
        self._across = form(kernel.weight.permute(2, 0, 1, 3, 4).flatten(0, 1).contiguous(), None)
        self._bias = kernel.bias

    def __call__(self, maps: Tensor) -> Tensor:
        """(N, D, H, W, C) -> (N, D, H, W, O)."""
        depth, reach = maps.shape[1], self._taps // 2
        taps = self._across(maps).unflatten(-1, (self._taps, -1))
        summed = self._bias.expand(*taps.shape[:-2], -1).clone()  # for even kernels the plane is one pixel wider
        for tap in range(max(0, reach - depth + 1), min(self._taps, reach + depth)):  # others read only padding
            shift = tap - reach
            to = slice(max(0, -shift), depth - max(0, shift))
            of = slice(max(0, shift), depth - max(0, -shift))
            summed[:, to] += taps[:, of, :, :, tap]
        return summed
