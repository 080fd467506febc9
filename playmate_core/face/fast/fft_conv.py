"""A wide 3-D convolution by Fourier transform: the kernels' spectra are precomputed, the map is processed in tiles."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...host import HOST
from .folding import Kernel
from .products import PLANS, BatchedProducts, ProductPlan

#: Side of a tile in map pixels; a 7-wide kernel makes its transform 22.
TILE = 16


class FFTConv:
    """Mask and occlusion logits together, from the hourglass's maps (N, D, H, W, C); 16 must divide H and W.

    The occlusion (a 2-D kernel over all depth) is one more 3-D kernel, read at one depth of the result.
    ``mask`` weight (O, C, k, k, k), ``occlusion`` weight (1, C * D, k, k); a frequency is one real matrix product.
    """

    def __init__(self, mask: Kernel, occlusion: Kernel, depth: int, plan: ProductPlan = PLANS[0]) -> None:
        taps = mask.weight.shape[-1]
        self._reach, self._depth = taps // 2, depth
        self._size = (depth + taps - 1, TILE + taps - 1, TILE + taps - 1)
        planes = occlusion.weight.unflatten(1, (-1, depth))
        # Depth is padded by the reach on both sides, so the volume begins at that index.
        kernels = mask.weight.new_zeros(len(mask.weight) + 1, mask.weight.shape[1], *self._size)
        kernels[:-1, :, :taps, :taps, :taps] = mask.weight
        kernels[-1:, :, self._reach : self._reach + depth, :taps, :taps] = planes
        spectrum = torch.fft.rfftn(kernels, dim=(-3, -2, -1)).conj().flatten(2)  # correlation, hence the conjugate
        re, im = (part.permute(2, 1, 0) for part in (spectrum.real, spectrum.imag))  # (F, C, O)
        both = torch.cat([torch.cat([re, im], 2), torch.cat([-im, re], 2)], 1)
        self._kernels = BatchedProducts(both, plan.form)
        self._biases = mask.bias, occlusion.bias

    def __call__(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """-> mask logits (N, D, H, W, O), occlusion logits (N, H, W, 1)."""
        made = torch.stack([self._one(picture) for picture in maps])
        mask, occlusion = made[:, : self._depth, ..., :-1], made[:, 0, ..., -1:]
        return mask + self._biases[0], occlusion + self._biases[1]

    def _one(self, maps: Tensor) -> Tensor:
        """(D, H, W, C) -> (D, H, W, O + 1), before the bias."""
        r, size = self._reach, self._size
        depth, height, width, inside = maps.shape
        padded = F.pad(maps.movedim(-1, 0), (r, r, r, r, r, r))
        tiles = padded.unfold(2, size[1], TILE).unfold(3, size[2], TILE)  # (C, Z, h, w, Y, X)
        tiles = tiles.permute(2, 3, 0, 1, 4, 5).flatten(0, 1)  # (T, C, Z, Y, X)
        seen = torch.fft.rfftn(tiles, dim=(-3, -2, -1))
        frequencies = seen.shape[-3:]
        pairs = torch.view_as_real(seen.flatten(2).permute(2, 0, 1)).movedim(-1, -2).flatten(2)  # (F, T, 2C)
        HOST.check_interrupted()
        product = pairs.new_empty(*pairs.shape[:2], self._kernels.outside)  # (F, T, 2O)
        self._kernels.multiply(pairs, product)
        HOST.check_interrupted()
        real, imaginary = product.unflatten(2, (2, -1)).permute(2, 1, 3, 0).contiguous()
        result = torch.fft.irfftn(torch.complex(real, imaginary).unflatten(-1, frequencies), s=size, dim=(-3, -2, -1))
        cut = result[..., :depth, :TILE, :TILE].unflatten(0, (height // TILE, -1))  # (h, w, O, D, 16, 16)
        return cut.permute(3, 0, 4, 1, 5, 2).reshape(depth, height, width, -1)
