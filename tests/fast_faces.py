"""Face models whose prepared forms are compared with the plain ones, and what a form of a convolution should give."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.fast.winograd import TorchConv


def lively(config: FaceConfig, seed: int = 0) -> FaceModel:
    """A model whose every weight and statistic matters, as in a trained one."""
    torch.manual_seed(seed)
    face = FaceModel(config).eval().requires_grad_(False)
    for name, value in face.state_dict().items():
        if name.endswith("running_var") or (name.endswith("norm.weight") and value.ndim == 1):
            value.uniform_(0.6, 1.4)
        elif value.ndim == 1 and value.is_floating_point() and "weight_" not in name:
            value.normal_(0, 0.1)
    return face


def sitting(face: FaceModel, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    volume = face.appearance(torch.rand(1, 3, *[face.config.image_size] * 2, generator=random))
    x_s = torch.rand(1, 21, 3, generator=random) - 0.5
    return volume, x_s, x_s + 0.1 * torch.randn(frames, 21, 3, generator=random)


CONFIGS = {
    "tiny": FaceConfig.tiny(),
    "wide mask": replace(
        FaceConfig.tiny(),
        image_size=64,
        hourglass_levels=4,
        mask_kernel=5,
        occlusion_kernel=5,
        generator_middle=128,
        spade_hidden=128,
        volume_depth=3,
    ),
}


def over(maps: Tensor, weight: Tensor, bias: Tensor, scale: int) -> Tensor:
    """Enlarge by repeating pixels, then the plain convolution: (N, D, H, W, C) -> (N, D, sH, sW, O)."""
    large = maps.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return TorchConv(weight, bias)(large)
