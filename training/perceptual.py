"""What two pictures look like to a network that learned to see: the V of Eq. 4 and of the reconstruction loss.

Two networks behind one interface, ``features(image) -> maps, coarse last``. ``vgg19`` is the paper's and needs its
weights on disk. ``probe`` is the stated substitute where they are not: the frozen trunk of our own pose, expression and
identity probe (docs/method.md 4.3), trained on the corpus first. A randomly initialised network is never used.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Protocol

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from playmate_core.errors import UserError, with_article
from training.probe import Probe, load_probe

#: How feature maps are compared: Eq. 4's, and face-vid2vid's.
NORMS = ("l2", "l1")

#: torchvision's VGG19: index of each convolution in ``features``, its width, and whether a pooling follows its ReLU.
VGG19_LAYERS = (
    (0, 64, False), (2, 64, True), (5, 128, False), (7, 128, True),
    (10, 256, False), (12, 256, False), (14, 256, False), (16, 256, True),
    (19, 512, False), (21, 512, False), (23, 512, False), (25, 512, True), (28, 512, False),
)  # fmt: skip
#: relu1_1, 2_1, 3_1, 4_1, 5_1, the first-order-model set (docs/method.md 1.2).
VGG19_TAPS = (0, 5, 10, 19, 28)


class FeatureNet(Protocol):
    """Maps a picture (B, 3, H, W) in [0, 1] to feature maps, fine to coarse."""

    def features(self, image: Tensor) -> list[Tensor]: ...


class Vgg19Features(nn.Module):
    """The first thirteen convolutions of VGG19 under torchvision's key names, frozen, tapped at relu{1..5}_1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers, width = {}, 3
        for index, out, _ in VGG19_LAYERS:
            layers[str(index)] = nn.Conv2d(width, out, 3, padding=1)
            width = out
        self.convolutions = nn.ModuleDict(layers)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def features(self, image: Tensor) -> list[Tensor]:
        x, taps = (image - self.mean) / self.deviation, []
        for index, _, pooled in VGG19_LAYERS:
            x = F.relu(self.convolutions[str(index)](x))
            if index in VGG19_TAPS:
                taps.append(x)
            if pooled:
                x = F.max_pool2d(x, 2)
        return taps


def load_vgg19(path: Path) -> Vgg19Features:
    """Read torchvision's ``vgg19`` state dict (.pth or .safetensors). Raises UserError where it is anything else."""
    state, net = _read_state(path), Vgg19Features()
    try:
        for index, _, _ in VGG19_LAYERS:
            net.convolutions[str(index)].load_state_dict(
                {part: state[f"features.{index}.{part}"] for part in ("weight", "bias")}
            )
    except KeyError as missing:
        raise UserError(
            f"{path} is not torchvision's VGG19: key {missing} is missing; give vgg19's state dict."
        ) from None
    except RuntimeError:
        raise UserError(
            f"{path} is not torchvision's VGG19: features.{index} has another shape; give vgg19's state dict."
        ) from None
    return net


def _read_state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, ValueError, RuntimeError, UnpicklingError, SafetensorError) as error:
        raise UserError(f"Cannot read {path} as a state dict ({error}); give torchvision's vgg19 weights.") from None
    if not isinstance(state, dict):
        raise UserError(f"{path} holds {with_article(type(state).__name__)}, expected torchvision's vgg19 state dict.")
    return state


def load_feature_net(name: str, path: str) -> Probe | Vgg19Features:
    """The frozen network called ``name`` ("probe" or "vgg19") from a file. Raises UserError for another name."""
    if name not in ("probe", "vgg19"):
        raise UserError(f"Unknown perceptual network {name!r}; choose probe or vgg19.")
    if not Path(path).is_file():
        raise UserError(f"The perceptual network {name} needs its weights, and {path or 'no file'} was found.")
    net: Probe | Vgg19Features = load_vgg19(Path(path)) if name == "vgg19" else load_probe(Path(path))
    return net.eval().requires_grad_(False)


def perceptual_distance(net: FeatureNet, first: Tensor, second: Tensor, norm: str, scales: int = 1) -> Tensor:
    """Distance of two pictures (B, 3, H, W), summed over layers and over a pyramid of ``scales`` halvings.

    ``norm`` "l2" is the paper's (Eq. 4), per layer sqrt(mean square + 1e-8); "l1" is face-vid2vid's.
    """
    total = torch.zeros((), device=first.device)
    for _ in range(scales):
        for a, b in zip(net.features(first), net.features(second), strict=True):
            gap = a.float() - b.float()  # means in half precision lose what small gaps add up to
            total = total + (gap.abs().mean() if norm == "l1" else (gap.square().mean() + 1e-8).sqrt())
        first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
    return total / scales
