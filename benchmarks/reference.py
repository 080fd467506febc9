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
from torch import Tensor

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


def load_reference(checkout: Path, face: FaceModel, compiled: bool = False) -> Draw:
    """W and G of a LivePortrait checkout, holding the very tensors of ``face``; ``compiled`` as its speed.py measures
    them: copies in half precision, keypoints too, each compiled for itself."""
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
        theirs.eval().requires_grad_(False)

    half = None
    if compiled:
        half = torch.float16
        warp, paint = (torch.compile(copy.deepcopy(part).half(), mode="max-autotune") for part in (warp, paint))

    def draw(volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        volume, x_s, x_d = (value.to(half or value.dtype) for value in (volume, x_s, x_d))
        warped = warp(volume.expand(len(x_d), -1, -1, -1, -1), kp_driving=x_d, kp_source=x_s.expand_as(x_d))
        return paint(feature=warped["out"])

    return draw
