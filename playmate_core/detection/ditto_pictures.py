"""Ditto's image size limit and paste-back mask, where they differ from LivePortrait's (docs/motion_models.md 5.9)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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


def paste_mask(size: int = CROP) -> NDArray[np.float32]:
    """Paste-back weights (size, size): 1 inside, a narrow ramp to 0 at the border."""
    ramp = RAMP * size // CROP
    at = np.minimum(np.arange(size), size - 1 - np.arange(size))
    out = 1 - np.clip(at / (ramp - 1), 0, 1)
    return (1 - np.clip(np.hypot(out[:, None], out[None]), 0, 1)).astype(np.float32)
