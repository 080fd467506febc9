"""Optimised W: norms folded, upsampling fused into convolutions, the wide mask convolution restructured.

Maps are (N, D, H, W, C), channels last, as in :mod:`winograd`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..warping import Decoder, DenseMotion, Encoder, Warped, WarpingModule, identity_grid
from .candidates import evidence
from .conv_plan import ConvPlan
from .depth_taps import PlainConvFactory, SliceByTap
from .folding import Kernel, kernel_of, with_norm
from .precision import finest
from .split_conv import SplitChannelConv
from .trilinear import gather
from .winograd import TorchConv, pictures_at_once


class FastEncoder:
    """The hourglass encoder: (N, D, H, W, C) -> list of stages, from fine to coarse."""

    def __init__(self, encoder: Encoder, plan: ConvPlan) -> None:
        levels = len(encoder.down_blocks)
        # 2 ** levels divides the sides; up to two levels before the last four still does.
        self._convolutions = [
            (plan.whole if i + 2 <= levels else plan.plain)(with_norm(down.conv, down.norm))  # type: ignore[arg-type]
            for i, down in enumerate(encoder.down_blocks)
        ]

    def __call__(self, maps: Tensor) -> list[Tensor]:
        stages = [maps]
        for convolution in self._convolutions:
            flat = convolution(stages[-1]).relu_().flatten(0, 1).movedim(-1, 1)
            stages.append(F.avg_pool2d(flat, 2).movedim(1, -1).unflatten(0, maps.shape[:2]))
        return stages


class FastDecoder:
    """The hourglass decoder: list of stages -> (N, D, H, W, width)."""

    def __init__(self, decoder: Decoder, plan: ConvPlan) -> None:
        self._ups = [
            plan.doubled(with_norm(up.conv, up.norm))  # type: ignore[arg-type]
            for up in decoder.up_blocks
        ]
        self._last = plan.whole(with_norm(decoder.conv, decoder.norm))

    def __call__(self, stages: list[Tensor]) -> Tensor:
        x = stages[-1]
        for up, skip in zip(self._ups, stages[-2::-1], strict=True):
            joined = x.new_empty(*skip.shape[:-1], up.outside + skip.shape[-1])
            joined[..., up.outside :] = skip
            made = joined[..., : up.outside]
            for block in up.blocks(x):
                torch.clamp_min(block.split(), 0, out=block.place(made))
            x = joined
        return self._last(x).relu_()


def depth_first(weight: Tensor, depth: int) -> Tensor:
    """Reorder a kernel (O, C D, k, k) from folded (C, D) input channels to (D, C)."""
    return weight.unflatten(1, (-1, depth)).transpose(1, 2).flatten(1, 2).contiguous()


class FoldedDepth:
    """The occlusion: a 2-D convolution over depth and channels together, (N, D, H, W, C) -> (N, H, W, 1)."""

    def __init__(self, kernel: Kernel, depth: int, form: PlainConvFactory = TorchConv) -> None:
        self._across = form(depth_first(kernel.weight, depth), kernel.bias)

    def __call__(self, maps: Tensor) -> Tensor:
        return self._across(maps.movedim(1, -2).flatten(-2)[:, None])[:, 0]


class DirectMasks:
    """Mask logits (N, D, H, W, K+1) and occlusion logits (N, H, W, 1), one convolution each."""

    def __init__(
        self,
        dense: DenseMotion,
        depth: int,
        mask: PlainConvFactory = TorchConv,
        occlusion: PlainConvFactory = SplitChannelConv,
    ) -> None:
        self._mask = SliceByTap(kernel_of(dense.mask), mask)
        self._occlusion = FoldedDepth(kernel_of(dense.occlusion), depth, occlusion)

    def __call__(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return self._mask(hidden), self._occlusion(hidden)


class FastWarping(nn.Module):
    """volume (B or 1, C, D, h, w), x_s and x_d (B, K, 3) -> Warped, as :class:`WarpingModule`."""

    def __init__(self, warping: WarpingModule, depth: int, plan: ConvPlan) -> None:
        super().__init__()
        self._plan = plan
        dense = warping.dense_motion_network
        self._plain = (warping, dense)  # in a tuple, or its parameters would be registered here
        self._compress = with_norm(dense.compress, dense.norm)
        self._encoder = FastEncoder(dense.hourglass.encoder, plan)
        self._decoder = FastDecoder(dense.hourglass.decoder, plan)
        self._read = plan.reading(dense, depth)
        third = with_norm(warping.third.conv, warping.third.norm)
        self._third = plan.whole(Kernel(depth_first(third.weight, depth), third.bias))
        self._fourth = plan.plain(kernel_of(warping.fourth))

    def forward(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Warped:
        """See :meth:`WarpingModule.forward`."""
        x_s, volume = x_s.expand_as(x_d), volume.expand(len(x_d), -1, -1, -1, -1)
        size = pictures_at_once(volume)
        parts = [self._some(*part) for part in zip(*(v.split(size) for v in (volume, x_s, x_d)), strict=True)]
        features, occlusion, deformation, mask = (torch.cat(same) for same in zip(*parts, strict=True))
        return Warped(features, occlusion, deformation, mask)

    def _some(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        warping = self._plain[0]
        compressed = F.conv3d(
            volume.to(self._compress.weight.dtype), self._compress.weight, self._compress.bias
        ).relu_()
        seen = evidence(compressed, x_s, x_d).movedim(-1, 1)
        hidden = self._decoder(self._encoder(self._plan.lay_out(seen)))
        logits, hides = self._read(hidden)
        mask, occlusion = logits.to(x_d.dtype).softmax(-1), hides.sigmoid().movedim(-1, 1)
        deformation = deformed(mask, x_s, x_d)
        # Depth next to the channels, as the reference folds it.
        moved = gather(volume, deformation.movedim(1, 3)).flatten(-2).movedim(-1, 1)
        third = F.leaky_relu_(self._third(self._plan.lay_out(moved)[:, None]), warping.third.slope)
        features = self._fourth(third)[:, 0].movedim(-1, 1) * occlusion
        return features, occlusion, deformation.to(x_d.dtype), mask.movedim(-1, 1)


def deformed(mask: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
    """The source position of each voxel, (B, D, h, w, 3), in the dtype of :func:`finest`.

    ``mask`` (B, D, h, w, K+1): weights of the identity and of the keypoints' translations, which sum to one.
    """
    fine = finest(x_d)
    depth, height, width = mask.shape[1:4]
    grid = identity_grid(depth, height, width, x_d.to(fine))
    return grid + torch.einsum("bzyxk,bkc->bzyxc", mask[..., 1:].to(fine), x_s.to(fine) - x_d.to(fine))
