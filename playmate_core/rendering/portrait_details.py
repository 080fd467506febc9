"""What generators with conditions of their own want to know of a portrait, beyond its motion."""

from __future__ import annotations

import torch
from torch import Tensor

from ..detection.crop import inverse, move_points
from ..diffusion.ditto.eyes import eye_features
from ..values import FaceCrop, PortraitDetails


def read_details(crop: FaceCrop, angle_logits: Tensor) -> PortraitDetails:
    """Details of one frame. ``angle_logits`` (1, 3, 66); the eyes are known where MediaPipe's mesh is."""
    if crop.mesh is None:
        return PortraitDetails(angle_logits)
    return PortraitDetails(angle_logits, *eye_features(in_crop(crop, crop.mesh)[None]))


def in_crop(crop: FaceCrop, mesh: Tensor) -> Tensor:
    """A mesh (N, 3) in pixels of the picture, in units of the crop's side: x and y from its corner, z scaled alike."""
    to_crop = inverse(crop.crop_to_image)
    flat = move_points(mesh[:, :2], to_crop)
    shrink = to_crop[:, :2].det().abs().sqrt()
    return torch.cat([flat, mesh[:, 2:] * shrink], -1) / crop.size
