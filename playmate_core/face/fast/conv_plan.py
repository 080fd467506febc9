"""The implementation chosen for each kind of convolution in the optimised W and G."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..warping import DenseMotion
from .folding import Kernel
from .winograd import CellBlock


class ConvImpl(Protocol):
    """A convolution of maps (N, D, H, W, C) -> (N, D, H', W', O)."""

    @property
    def outside(self) -> int:
        """Output channels O."""

    def side(self, inside: int) -> int:
        """Output side for an input side of ``inside`` pixels."""

    def __call__(self, maps: Tensor) -> Tensor: ...

    def blocks(self, maps: Tensor, cell: int = 1) -> Iterator[CellBlock]:
        """The result block by block, in cells of ``cell`` pixels a side where the implementation allows a choice."""


#: Computes mask logits (N, D, H, W, K+1) and occlusion logits (N, H, W, 1) from the hourglass's maps.
ReadMaps = Callable[[Tensor], tuple[Tensor, Tensor]]
#: Creates the implementation of a convolution from its kernel.
ConvFactory = Callable[[Kernel], ConvImpl]


@dataclass(frozen=True)
class ConvPlan:
    """Factories of convolutions, by their input.

    ``plain`` for any map, ``whole`` for sides divisible by four; ``doubled`` and ``quadrupled`` are fused with nearest
    upsampling by two and four; ``after_quadrupled`` follows the latter. ``reading`` creates the mask and occlusion
    convolutions for a depth. ``products`` and ``maps`` are the dtypes of multiplications and of activations; None for
    those of the weights and of the input.
    """

    plain: ConvFactory
    whole: ConvFactory
    doubled: ConvFactory
    quadrupled: ConvFactory
    after_quadrupled: ConvFactory
    reading: Callable[[DenseMotion, int], ReadMaps]
    products: torch.dtype | None = None
    maps: torch.dtype | None = None

    def lay_out(self, maps: Tensor) -> Tensor:
        """Maps (N, C, ...) -> (N, ..., C), contiguous and in the dtype of activations."""
        return maps.movedim(1, -1).to(self.maps or maps.dtype).contiguous()
