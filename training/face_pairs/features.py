"""V of Eq. 4 where VGG19's weights are not at hand: the backbone of the given M, frozen. Never a random network."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.face.motion import ConvNeXt, PlainBackbone
from training.perceptual import FeatureNet, load_feature_net

#: The given M's own backbone; the others are those of :mod:`training.perceptual`.
GIVEN = "given"
NETWORKS = (GIVEN, "vgg19", "probe")


class BackboneFeatures(nn.Module):
    """Feature maps of a copy of M's backbone, fine to coarse."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone)

    def features(self, image: Tensor) -> list[Tensor]:
        """Maps of pictures (B, 3, S, S) in [0, 1]."""
        maps, net = [], self.backbone
        if isinstance(net, ConvNeXt):
            x = image
            for down, stage in zip(net.downsample_layers, net.stages, strict=True):
                x = stage(down(x))
                maps.append(x)
        elif isinstance(net, PlainBackbone):
            x = image * 2.0 - 1.0
            for stage in net.stages:
                x = stage(x)
                maps.append(x)
        return maps


def feature_net(name: str, path: str, model: FaceModel) -> FeatureNet:
    """The frozen feature network called ``name``. Raises UserError for another name or a file that is not its."""
    if name not in NETWORKS:
        raise UserError(f"--perceptual is {name!r}, expected one of {', '.join(NETWORKS)}.")
    if name == GIVEN:
        return BackboneFeatures(model.motion.detector).eval().requires_grad_(False)
    return load_feature_net(name, path)
