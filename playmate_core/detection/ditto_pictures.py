"""Ditto's image size limit and paste-back mask, where they differ from LivePortrait's (docs/motion_models.md 5.9)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Longest side of a picture or video, and width of the paste-back ramp of a 512 pixel crop, in pixels.
DITTO_LONGEST_SIDE = 1920
RAMP = 26
CROP = 512


def limited_size(height: int, width: int, longest: int = DITTO_LONGEST_SIDE) -> tuple[int, int]:
    """Height and width limited to ``longest``, both even."""
    if max(height, width) > longest:
        share = longest / max(height, width)
        height, width = (longest if side == max(height, width) else round(side * share) for side in (height, width))
    return height - height % 2, width - width % 2


def limited_picture(picture: Tensor) -> Tensor:
    """A picture (H, W, C), float, reduced as Ditto does; the same where it is small enough."""
    import cv2

    height, width = limited_size(*picture.shape[:2])
    if max(picture.shape[:2]) <= DITTO_LONGEST_SIDE:
        return picture[:height, :width]
    smaller = cv2.resize(picture.numpy(), (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.asarray(smaller)).reshape(height, width, picture.shape[2])


def ramp_width(size: int) -> float:
    """Width of Ditto's ramp of a crop of ``size`` pixels, in pixels."""
    return float(RAMP * size // CROP)


def paste_mask(size: int = CROP, width: float = 1.0) -> NDArray[np.float32]:
    """Paste-back weights (size, size): 1 inside, a narrow ramp to 0 at the border, ``width`` in its own width."""
    ramp = ramp_width(size) * width
    if ramp <= 1:
        return np.ones((size, size), np.float32)
    at = np.minimum(np.arange(size), size - 1 - np.arange(size))
    out = 1 - np.clip(at / (ramp - 1), 0, 1)
    return (1 - np.clip(np.hypot(out[:, None], out[None]), 0, 1)).astype(np.float32)
