"""Optimised G: modulations computed from the small label, statistics before upsampling, shortcuts fused.

Maps are (N, 1, H, W, C), channels last, as in :mod:`winograd`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..generator import SLOPE, Generator, SpadeBlock
from .conv_plan import ConvFactory, ConvPlan
from .folding import Kernel, kernel_of, side_by_side, with_pointwise
from .precision import exact
from .winograd import pictures_at_once

#: Of the instance norm, as PyTorch has it.
EPSILON = 1e-5


def normalised(x: Tensor) -> Tensor:
    """Instance norm: each channel of each map (N, 1, H, W, C) to mean 0 and variance 1. Nearest upsampling changes
    neither, so this is done before it."""
    full = exact(x)
    centred = full - full.mean((1, 2, 3), keepdim=True)
    variance = centred.square().mean((1, 2, 3), keepdim=True)  # a third of the time of torch.var_mean, channels last
    return centred.mul_(torch.rsqrt(variance + EPSILON)).to(x.dtype)


class Modulation:
    """SPADE's modulation of a normalised map: times (1 + gamma), plus beta, both convolved from ``shared``."""

    def __init__(self, gamma: Kernel, beta: Kernel, form: ConvFactory) -> None:
        self._convolution = form(side_by_side(Kernel(gamma.weight, gamma.bias + 1), beta))
        self._gammas = len(gamma.bias)

    def activated(self, normal: Tensor, shared: Tensor) -> Tensor:
        """leaky_relu((1 + gamma) normal + beta) at the resolution of the convolution's output: (N, 1, H, W, C)."""

        def rule(gamma: Tensor, beta: Tensor, normal: Tensor, into: Tensor) -> None:
            torch.addcmul(beta, normal, gamma, out=into)
            F.leaky_relu_(into, SLOPE)

        return self._each(normal, shared, rule)

    def mixed(self, normal: Tensor, shared: Tensor, mix: Tensor) -> Tensor:
        """((1 + gamma) normal) mix + beta, where ``mix`` (C, O) is already folded into beta: (N, 1, H, W, O)."""

        def rule(gamma: Tensor, beta: Tensor, normal: Tensor, into: Tensor) -> None:
            torch.add((gamma * normal).to(mix.dtype) @ mix, beta, out=into)

        return self._each(normal, shared, rule)

    def _each(self, normal: Tensor, shared: Tensor, rule: Callable[[Tensor, Tensor, Tensor, Tensor], None]) -> Tensor:
        """Apply ``rule`` to gamma and beta, the normalised map and the result: on a CPU block by block, while gamma and
        beta of the block are in its cache, elsewhere for all pictures at once."""
        if shared.device.type != "cpu":
            return self._at_once(normal, shared, rule)
        side = self._convolution.side(shared.shape[2]), self._convolution.side(shared.shape[3])
        up = side[0] // normal.shape[2]
        made = normal.new_empty(len(normal), 1, *side, self._convolution.outside - self._gammas)
        for block in self._convolution.blocks(shared, up):
            values = block.split(up)
            gamma, beta = values[..., : self._gammas], values[..., self._gammas :]
            rule(gamma, beta, block.lay_over(normal, up), block.place(made, up))
        return made

    def _at_once(
        self, normal: Tensor, shared: Tensor, rule: Callable[[Tensor, Tensor, Tensor, Tensor], None]
    ) -> Tensor:
        values = self._convolution(shared)
        up = values.shape[2] // normal.shape[2]
        made = normal.new_empty(*values.shape[:-1], values.shape[-1] - self._gammas)
        cells = values.unflatten(3, (-1, up)).unflatten(2, (-1, up))
        places = made.unflatten(3, (-1, up)).unflatten(2, (-1, up))
        rule(cells[..., : self._gammas], cells[..., self._gammas :], normal[:, :, :, None, :, None], places)
        return made


class FastSpadeBlock:
    """A SPADE block that reads its input before upsampling."""

    def __init__(self, block: SpadeBlock, modulation: ConvFactory, plan: ConvPlan) -> None:
        """``modulation`` creates the gamma and beta convolutions, the plan's ``whole`` the others."""
        self._norms = [
            Modulation(kernel_of(norm.mlp_gamma), kernel_of(norm.mlp_beta), modulation)
            for norm in (block.norm_0, block.norm_1)
        ]
        self._convolutions = [plan.whole(kernel_of(conv)) for conv in (block.conv_0, block.conv_1)]
        self._mix: Tensor | None = None
        if block.learned_shortcut:
            mix = kernel_of(block.conv_s).weight
            self._mix = mix.flatten(1).T.contiguous().to(plan.products or mix.dtype)
            beta = with_pointwise(kernel_of(block.norm_s.mlp_beta), mix)
            self._norms.append(Modulation(kernel_of(block.norm_s.mlp_gamma), beta, modulation))

    def __call__(self, x: Tensor, shared: Tensor) -> Tensor:
        """x (N, 1, h, w, C) and the shared SPADE features, concatenated -> (N, 1, H, W, O)."""
        shares = shared.unflatten(-1, (len(self._norms), -1)).unbind(-2)
        normal = normalised(x)
        inner = self._convolutions[0](self._norms[0].activated(normal, shares[0]))
        made = self._convolutions[1](self._norms[1].activated(normalised(inner), shares[1]))
        if self._mix is not None:
            return made.add_(self._norms[2].mixed(normal, shares[2], self._mix))
        up = made.shape[2] // x.shape[2]
        made.unflatten(3, (-1, up)).unflatten(2, (-1, up)).add_(x[:, :, :, None, :, None])
        return made


class FastGenerator(nn.Module):
    """Label (N, C, h, w) -> picture (N, 3, 8h, 8w) in [0, 1], as :class:`Generator`."""

    def __init__(self, generator: Generator, plan: ConvPlan) -> None:
        super().__init__()
        self._plan = plan
        middle: list[Any] = [generator.get_submodule(name) for name in generator.middle]
        shared = [kernel_of(norm.mlp_shared[0]) for block in middle for norm in (block.norm_0, block.norm_1)]
        self._hidden = len(shared[0].bias)
        self._input = plan.whole(side_by_side(*shared, kernel_of(generator.fc)))
        self._middle = [FastSpadeBlock(block, plan.whole, plan) for block in middle]
        self._share_2 = plan.doubled(_shared(generator.up_0))
        self._share_4 = plan.quadrupled(_shared(generator.up_1))
        self._up_0 = FastSpadeBlock(generator.up_0, plan.whole, plan)
        self._up_1 = FastSpadeBlock(generator.up_1, plan.after_quadrupled, plan)
        self._show = plan.plain(kernel_of(generator.conv_img[0]))

    def forward(self, label: Tensor, canvas: None = None) -> Tensor:
        """``label`` (N, C, h, w) -> pictures (N, 3, 8h, 8w) in [0, 1], a few at a time; ``canvas`` is not supported."""
        return torch.cat([self._some(part) for part in label.split(pictures_at_once(label))])

    def _some(self, label: Tensor) -> Tensor:
        maps = self._plan.lay_out(label)[:, None]
        entered = self._input(maps)
        width = 2 * self._hidden
        x = entered[..., width * len(self._middle) :]
        shared = entered[..., : width * len(self._middle)].relu_()
        for i, block in enumerate(self._middle):
            x = block(x, shared[..., i * width : (i + 1) * width])
        x = self._up_0(x, self._share_2(maps).relu_())
        x = self._up_1(x, self._share_4(maps).relu_())
        shown = self._show(F.leaky_relu(x, SLOPE))[:, 0].movedim(-1, 1)
        return F.pixel_shuffle(exact(shown), 2).sigmoid()


def _shared(block: SpadeBlock) -> Kernel:
    """The shared SPADE convolutions of a block, which read the label before upsampling."""
    norms: list[Any] = [block.norm_0, block.norm_1, *([block.norm_s] if block.learned_shortcut else [])]
    return side_by_side(*[kernel_of(norm.mlp_shared[0]) for norm in norms])
