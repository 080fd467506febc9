"""Blend weights for several crops in one picture: where crops overlap, each pixel shows the face it is nearest to."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .crop import inverse
from .paste_options import feather

#: Side of the grid that the weights are computed on, and the width, in crop sides, of the blend between two faces.
_GRID, _RAMP = 128, 0.1


class PlateMasks:
    """The masks of several crops that are pasted one after the other; kept while the crops stay where they are."""

    def __init__(self, size: int) -> None:
        """``size`` is the crops' side in pixels."""
        self._size = size
        self._places: bytes | None = None
        self._masks: list[NDArray[np.uint8] | None] = []

    def at(self, crops: Tensor) -> list[NDArray[np.uint8] | None]:
        """As :func:`plate_masks`."""
        places = crops.numpy().tobytes()
        if self._places != places:
            self._places, self._masks = places, plate_masks(crops, self._size)
        return self._masks


def plate_masks(crops: Tensor, size: int) -> list[NDArray[np.uint8] | None]:
    """Masks (size, size) for crops at ``crops`` (F, 2, 3), pasted in this order; None is the feathered crop alone.

    With f the feather of a crop and b, between 0 and 1, how much nearer a pixel is to its face than to another's, the
    picture shows s = f prod(1 - f'(1 - b)) of each crop. As later crops cover earlier ones, the mask of a crop is
    s / (1 - sum of the later s). Distances are measured in sides of the crops, so that a large face does not take
    pixels of a small one.
    """
    return [_mask(i, crops, size) for i in range(len(crops))]


def _mask(i: int, crops: Tensor, size: int) -> NDArray[np.uint8] | None:
    import cv2

    faces, distances = zip(*(_seen_from(crops[i], crop, size) for crop in crops), strict=True)
    if not any(face.any() for j, face in enumerate(faces) if j != i):
        return None
    shares = [_share(j, faces, distances) for j in range(len(faces))]
    later = sum(faces[j] * shares[j] for j in range(i + 1, len(faces)))
    fine = cv2.resize(shares[i] / np.maximum(1 - later, 1e-3), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray((fine * feather(size)).clip(0, 255).round(), np.uint8)


def _share(j: int, faces: tuple[NDArray, ...], distances: tuple[NDArray, ...]) -> NDArray[np.float32]:
    """The factor of crop ``j``'s feather: 1 where no other crop is."""
    share = np.ones_like(faces[j])
    for k in range(len(faces)):
        if k != j:
            nearer = np.clip(0.5 + (distances[k] - distances[j]) / _RAMP, 0, 1)
            share *= 1 - faces[k] * (1 - nearer)
    return share


def _seen_from(place: Tensor, crop: Tensor, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For a grid over the crop at ``place``: the feather of ``crop`` in 0..1, and the distance from its centre in
    sides."""
    import cv2

    at = (np.arange(_GRID) + 0.5) * size / _GRID - 0.5
    grid = torch.from_numpy(np.stack(np.meshgrid(at, at), -1))  # (n, n, 2), x and y
    place, back = place.double(), inverse(crop.double())
    points = (grid @ place[:, :2].T + place[:, 2]) @ back[:, :2].T + back[:, 2]
    x, y = (points[..., axis].numpy().astype(np.float32) for axis in (0, 1))
    shade = cv2.remap(feather(size), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    away = np.hypot((x + 0.5) / size - 0.5, (y + 0.5) / size - 0.5)
    return (np.asarray(shade) / 255).astype(np.float32), away.astype(np.float32)
