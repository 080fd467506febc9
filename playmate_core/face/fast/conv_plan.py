"""What the prepared W and G are made of: the form that every convolution takes."""

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
        """Channels made."""

    def side(self, inside: int) -> int:
        """How many pixels ``inside`` become."""

    def __call__(self, maps: Tensor) -> Tensor: ...

    def blocks(self, maps: Tensor, cell: int = 1) -> Iterator[CellBlock]:
        """The result piece by piece, in cells of ``cell`` pixels a side where the form leaves the choice."""


#: Mask logits (N, D, H, W, K+1) and occlusion logits (N, H, W, 1) from the hourglass's maps.
ReadMaps = Callable[[Tensor], tuple[Tensor, Tensor]]
#: Makes of a kernel the form that computes it.
ConvFactory = Callable[[Kernel], ConvImpl]


@dataclass(frozen=True)
class ConvPlan:
    """Which form a convolution takes, by what it reads.

    ``plain`` where nothing is known of the map's sides, ``whole`` where they divide by four; ``doubled`` and
    ``quadrupled`` read a map before it is enlarged by two and four; ``after_quadrupled`` reads what the last made.
    ``reading`` makes what tells mask and occlusion, for a depth. ``products`` and ``maps`` are the dtypes of what is
    multiplied and of what lies between convolutions; None for those of the weights and of what comes in.
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
        """Channels (N, C, ...) last and in the dtype of what is drawn from them."""
        return maps.movedim(1, -1).to(self.maps or maps.dtype).contiguous()
