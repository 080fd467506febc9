"""Fold the constants of a trained network (batch norm, spectral norm, 1x1 convolutions) into convolution kernels."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Kernel:
    """A convolution's ``weight`` (O, C, ...) and ``bias`` (O)."""

    weight: Tensor
    bias: Tensor

    def part(self, start: int, stop: int) -> Kernel:
        """The output channels from ``start`` up to ``stop``."""
        return Kernel(self.weight[start:stop], self.bias[start:stop])


def kernel_of(conv: nn.Module) -> Kernel:
    """The effective kernel of a convolution: as stored, or divided by its spectral norm; float32 at least."""
    layer: Any = in_full(conv)
    weight = layer.weight_orig / layer.sigma() if hasattr(layer, "weight_orig") else layer.weight
    weight = weight.detach()
    return Kernel(weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach())


def in_full(module: nn.Module) -> nn.Module:
    """``module``, or a float32 copy of a half-precision one, so that folded weights are rounded only once."""
    weights = next(module.parameters())
    return module if torch.finfo(weights.dtype).bits >= 32 else copy.deepcopy(module).float()


def with_norm(conv: nn.Module, norm: nn.Module) -> Kernel:
    """A convolution and the batch norm after it as one convolution."""
    kernel = kernel_of(conv)
    statistics: Any = in_full(norm)
    scale = statistics.weight.detach() * torch.rsqrt(statistics.running_var + statistics.eps)
    weight = kernel.weight * scale.view(-1, *[1] * (kernel.weight.ndim - 1))
    return Kernel(weight, (kernel.bias - statistics.running_mean) * scale + statistics.bias.detach())


def side_by_side(*kernels: Kernel) -> Kernel:
    """Convolutions of the same input as one convolution with concatenated outputs."""
    return Kernel(torch.cat([k.weight for k in kernels]), torch.cat([k.bias for k in kernels]))


def with_pointwise(kernel: Kernel, mix: Tensor) -> Kernel:
    """A convolution followed directly by a 1x1 convolution ``mix`` (O', O, 1, 1) without bias, as one convolution."""
    matrix = mix.flatten(1).double()
    weight = torch.einsum("po,ocyx->pcyx", matrix, kernel.weight.double())
    return Kernel(weight.to(mix.dtype), (matrix @ kernel.bias.double()).to(mix.dtype))
