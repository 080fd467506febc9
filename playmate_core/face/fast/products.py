"""Many matrix products of one size, by PyTorch's BLAS or by oneDNN.

PyTorch gives float32 matrix products to MKL, which runs at a third to a half of its speed on processors that are not
Intel's; its convolutions go to oneDNN, which does not ask. A product with a fixed matrix is a 1x1 convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

#: The ways to compute products.
BLAS, ONEDNN = "blas", "onednn"


@dataclass(frozen=True)
class ProductPlan:
    """``form``: BLAS or ONEDNN; ``scratch``: floats that a block of products may take."""

    form: str
    scratch: int


#: What :mod:`trial` chooses from; the first is taken where there is none. 8 MB of scratch fit a core's share of the
#: cache over four passes, 16 MB make larger products. oneDNN reorders its weights at every call and gets the largest.
PLANS = (ProductPlan(BLAS, 1 << 21), ProductPlan(BLAS, 1 << 22), ProductPlan(ONEDNN, 1 << 23))


class BatchedProducts:
    """Products with the matrices ``kernels`` (Q, C, O), kept in the order that ``form`` multiplies."""

    def __init__(self, kernels: Tensor, form: str = BLAS) -> None:
        self.inside, self.outside = kernels.shape[1:]
        self._by_convolution = form == ONEDNN and kernels.device.type == "cpu"
        ordered = kernels.transpose(1, 2)[..., None, None] if self._by_convolution else kernels
        self._kernels = ordered.contiguous()

    def __len__(self) -> int:
        return len(self._kernels)

    def multiply(self, rows: Tensor, out: Tensor, add: bool = False) -> Tensor:
        """``rows`` (Q, n, C) -> ``out`` (Q, n, O), or what is in it plus the products."""
        if self._by_convolution:
            for part, kernel, place in zip(rows, self._kernels, out, strict=True):
                # (1, C, n, 1) with channels last, which is the memory of (n, C).
                made = F.conv2d(part[None, :, None].permute(0, 3, 1, 2), kernel)[0, :, :, 0].T
                place.add_(made) if add else place.copy_(made)
            return out
        return out.baddbmm_(rows, self._kernels) if add else torch.bmm(rows, self._kernels, out=out)
