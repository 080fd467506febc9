"""The reference implementation, imported from a checkout of it: none of its code is here."""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from playmate_core.errors import UserError
from playmate_core.face import FaceModel

#: volume, x_s, x_d -> pictures (B, 3, H, W), each contender's one entry.
Draw = Callable[[Tensor, Tensor, Tensor], Tensor]


def sizes_file(checkout: Path) -> Path:
    """Where a checkout says how large its networks are. Raises UserError when it is no checkout of LivePortrait."""
    settings = checkout / "src" / "config" / "models.yaml"
    if not settings.is_file():
        raise UserError(f"{checkout} is no checkout of LivePortrait: {settings} is missing.")
    return settings


class ReferenceNetworks(nn.Module):
    """W and G of a checkout as one module: volume, x_s, x_d of one batch -> pictures (B, 3, H, W)."""

    def __init__(self, warp: nn.Module, paint: nn.Module) -> None:
        super().__init__()
        self.warp, self.paint = warp, paint

    def forward(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        """``volume`` (B, C, D, h, w), ``x_s`` and ``x_d`` (B, K, 3) -> (B, 3, H, W)."""
        return self.paint(feature=self.warp(volume, kp_driving=x_d, kp_source=x_s)["out"])


def reference_networks(checkout: Path, face: FaceModel) -> ReferenceNetworks:
    """W and G of a LivePortrait checkout, holding the very tensors of ``face``."""
    settings = sizes_file(checkout)
    sizes = yaml.safe_load(settings.read_text())["model_params"]
    sys.path.insert(0, str(checkout.resolve()))
    try:
        warp_room = importlib.import_module("src.modules.warping_network")
        paint_room = importlib.import_module("src.modules.spade_generator")
    finally:
        sys.path.pop(0)
    with torch.device("meta"):  # its own first values would only be thrown away
        warp: Any = warp_room.WarpingNetwork(**sizes["warping_module_params"])
        paint: Any = paint_room.SPADEDecoder(**sizes["spade_generator_params"])
    for theirs, ours in ((warp, face.warping), (paint, face.generator)):
        theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)
        theirs.train(False).requires_grad_(False)
    return ReferenceNetworks(warp, paint).train(False)


def load_reference(checkout: Path, face: FaceModel, compiled: bool = False) -> Draw:
    """The networks of :func:`reference_networks`; ``compiled`` as its speed.py measures them: copies in half precision,
    keypoints too, each compiled for itself."""
    networks, half = reference_networks(checkout, face), None
    if compiled:
        half = torch.float16
        warp, paint = (copy.deepcopy(part).half() for part in (networks.warp, networks.paint))
        networks = ReferenceNetworks(*(torch.compile(part, mode="max-autotune") for part in (warp, paint)))

    def draw(volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        volume, x_s, x_d = (value.to(half or value.dtype) for value in (volume, x_s, x_d))
        return networks(volume.expand(len(x_d), -1, -1, -1, -1), x_s.expand_as(x_d), x_d)

    return draw
