"""Where a pasted crop may show: a mask of the whole picture becomes one of the crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .crop import cut_plane
from .paste_options import PasteOptions


def crop_mask(mask: Tensor, crop_to_image: Tensor, size: int, options: PasteOptions | None = None) -> NDArray[np.uint8]:
    """Convert a mask of the whole picture (H, W) in [0, 1] to a crop's mask (size, size).

    It fades inwards from its own edge as the crop does from its border, and the lower of the two counts.
    """
    import cv2

    options = options or PasteOptions()
    inside = cut_plane(mask, crop_to_image, size).numpy()
    edge = options.edge(size)
    if edge > 0 and not inside.all():
        distance = cv2.distanceTransform((inside > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        inside = inside * np.clip(distance / edge, 0, 1)
    return np.asarray(np.minimum((inside * 255).round(), options.border(size)), np.uint8)
