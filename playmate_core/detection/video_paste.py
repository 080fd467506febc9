"""Putting the drawn faces of a video back into its pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .crop import Patch


class VideoPaster:
    """Puts crops back into the pictures of a video; a place that stays the same is prepared once."""

    def __init__(self, size: int) -> None:
        """``size`` is the crops' side in pixels."""
        self._size = size
        self._place: tuple[bytes, int, int] | None = None
        self._mask: NDArray[np.uint8] | None = None
        self._last: Patch | None = None

    def paste(
        self,
        pictures: list[NDArray[np.uint8]],
        crops: NDArray[np.uint8],
        places: Tensor,
        masks: Sequence[NDArray[np.uint8] | None] | None = None,
    ) -> list[NDArray]:
        """Copies of pictures (H, W, 3) with crops (n, size, size, 3) at their ``places`` (n, 2, 3), on all cores.

        ``masks``: blend weights (size, size) of each crop, None for a feathered one.
        """
        patches = [
            self._patch(place, mask, *picture.shape[:2])
            for place, picture, mask in zip(places, pictures, masks or [None] * len(pictures), strict=True)
        ]
        with ThreadPoolExecutor(min(len(pictures), os.cpu_count() or 1)) as executor:
            return list(executor.map(Patch.paste, patches, pictures, crops))

    def _patch(self, crop_to_image: Tensor, mask: NDArray[np.uint8] | None, height: int, width: int) -> Patch:
        place = (crop_to_image.numpy().tobytes(), height, width)
        if self._last is None or self._place != place or self._mask is not mask:
            self._place, self._mask = place, mask
            self._last = Patch(crop_to_image, self._size, height, width, mask)
        return self._last
