"""How a face crop fades into its picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..ranges import check_ranges, ranged
from .ditto_pictures import paste_mask, ramp_width

#: Width of LivePortrait's feather of a 512 pixel crop, in pixels; proportional for other sizes.
_FEATHER, _FEATHER_AT = 16, 512
#: The published masks: LivePortrait's (docs/liveportrait.md 9) and Ditto's (docs/motion_models.md 5.9).
PASTE_SHAPES = ("liveportrait", "ditto")


@dataclass(frozen=True)
class PasteOptions:
    """The blend of a pasted crop: whose ``shape`` the mask has, and how soft its edge is.

    ``feather`` is the width of the edge in that of the shape, 16 of 512 pixels of the crop for liveportrait and 26 for
    ditto; 0 is a hard edge.
    """

    shape: str = "liveportrait"
    feather: float = ranged(1.0, 0.0, 16.0, "times the width of the shape's own edge")

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.shape not in PASTE_SHAPES:
            raise ValueError(f"shape must be one of {', '.join(PASTE_SHAPES)}, got {self.shape!r}.")

    def border(self, size: int) -> NDArray[np.uint8]:
        """The mask (size, size) of a whole crop: 255 inside, fading to 0 at the border."""
        if self.shape == "ditto":
            return np.round(255 * paste_mask(size, self.feather)).astype(np.uint8)
        return feather(size, self.feather)

    def edge(self, size: int) -> float:
        """Width of the edge of a crop of ``size`` pixels, in pixels."""
        own = feather_width(size) if self.shape == "liveportrait" else ramp_width(size)
        return own * self.feather


def feather_width(size: int) -> float:
    """Width of LivePortrait's edge of a crop of ``size`` pixels, in pixels."""
    return _FEATHER * size / _FEATHER_AT


@functools.lru_cache(4)
def feather(size: int, width: float = 1.0) -> NDArray[np.uint8]:
    """LivePortrait's mask (size, size): 255 inside, a ramp with round corners to 0 at the border; ``width`` in the
    ramp's own (docs/liveportrait.md 9)."""
    ramp = feather_width(size) * width
    if ramp <= 0:
        return np.full((size, size), 255, np.uint8)
    at = np.arange(size, dtype=np.float64)
    out = np.maximum.reduce([ramp - at, at - (size - ramp), np.zeros(size)])
    return np.floor(255 * np.clip(1 - np.hypot(out[:, None], out[None]) / ramp, 0, 1)).astype(np.uint8)
