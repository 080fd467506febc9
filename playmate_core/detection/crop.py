"""Face crops: their geometry, cutting them out, and pasting them back without a seam.

An affine here is (2, 3) and maps homogeneous pixel positions (x, y, 1); pixel centres are at integers. See
docs/liveportrait.md 6.3 to 6.5 and 9.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..ranges import check_ranges, ranged
from ..values import expect
from .paste_options import feather

#: Rows of a crop blended together, so that they fit a core's share of the cache.
_ROWS = 64
#: cv2.BORDER_CONSTANT; OpenCV is imported where it computes.
_BLACK_OUTSIDE = 0

#: Which landmarks make the left eye, the right eye and the mouth, by how many landmarks there are. 478 are MediaPipe's
#: mesh (its irises and the lower lip), 9 an animal's.
_ANCHORS = {
    478: ((468,), (473,), (14,)),
    203: ((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
    106: ((33, 35, 40, 39), (87, 89, 94, 93), (52, 61)),
    101: ((39, 42, 45, 48), (51, 54, 57, 60), (75, 81)),
    68: ((36, 39), (42, 45), (48, 54)),
    9: ((2, 3), (0, 1), (5, 6)),
    5: ((0,), (1,), (3, 4)),
}


#: Least width and height of a face box in pixels: smaller boxes are probably given in relative units.
LEAST_BOX = 8


@dataclass(frozen=True)
class CropOptions:
    """How much around a face to take: ``scale`` times its box, moved by ``shift`` sides along the face (negative: up).

    ``aside`` moves it across the face (positive: to the face's right in the picture). ``upright`` keeps the crop's
    sides parallel to the picture's even if the head is tilted.
    """

    scale: float = ranged(2.3, 0.1, 20.0, "times the face")
    shift: float = ranged(-0.125, -2.0, 2.0, "sides of the crop")
    upright: bool = False
    aside: float = ranged(0.0, -2.0, 2.0, "sides of the crop")

    def __post_init__(self) -> None:
        check_ranges(self)


#: LivePortrait's crop of driving videos (docs/liveportrait.md 6.5): one upright box.
DRIVING_CROP = CropOptions(scale=2.2, shift=-0.1, upright=True)


@dataclass(frozen=True)
class Square:
    """A square in the picture: centre (``x``, ``y``) and ``side`` in pixels, ``angle`` in radians, clockwise."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        if not self.side > 0:
            raise ValueError(f"A square's side must be positive, got {self.side}.")


def square_from_landmarks(points: Tensor, options: CropOptions | None = None) -> Square:
    """The square around 478, 203, 106, 68, 9 or 5 landmarks, or any other number above 101: points (N, 2) in pixels."""
    options = options or CropOptions()
    points = points.double()
    left, right, mouth = (points[list(group)].mean(0) for group in _anchors(len(points)))
    down = mouth - (left + right) / 2
    down = down / down.norm() if down.norm() > 1e-3 else torch.tensor([0.0, 1.0], dtype=points.dtype)
    across = torch.stack([down[1], -down[0]])
    axes = torch.stack([across, down])
    mean = points.mean(0)
    turned = (points - mean) @ axes.T
    low, high = turned.amin(0), turned.amax(0)
    side = (high - low).max() * options.scale
    centre = mean + (low + high) / 2 @ axes + (across * options.aside + down * options.shift) * side
    angle = 0.0 if options.upright else math.atan2(float(across[1]), float(across[0]))
    return Square(float(centre[0]), float(centre[1]), float(side), angle)


def square_from_box(box: tuple[float, float, float, float], options: CropOptions | None = None) -> Square:
    """The square around a face box (left, top, right, bottom) in pixels. Raises ValueError for an empty box."""
    options = options or CropOptions()
    left, top, right, bottom = box
    if not (right > left and bottom > top):
        raise ValueError(f"A face box is left, top, right, bottom with right > left and bottom > top, got {box}.")
    side = max(right - left, bottom - top) * options.scale
    return Square((left + right) / 2 + options.aside * side, (top + bottom) / 2 + options.shift * side, side)


def crop_to_image(square: Square, size: int) -> Tensor:
    """Affine (2, 3) from a crop of ``size`` pixels to the picture (docs/liveportrait.md 6.4, M_c2o)."""
    step = square.side / size
    cos, sin = math.cos(square.angle) * step, math.sin(square.angle) * step
    half = size / 2
    return torch.tensor(
        [[cos, -sin, square.x - half * (cos - sin)], [sin, cos, square.y - half * (sin + cos)]], dtype=torch.float64
    ).float()


def whole_to_image(height: int, width: int, size: int) -> Tensor:
    """Affine (2, 3) from a crop of ``size`` pixels to the largest centred square of a picture, edge to edge."""
    side = min(height, width)
    step = side / size
    return torch.tensor(
        [[step, 0, (width - side) // 2 + (step - 1) / 2], [0, step, (height - side) // 2 + (step - 1) / 2]]
    )


def at_size(affine: Tensor, size: int, wanted: int) -> Tensor:
    """The affine (2, 3) of the same crop with ``wanted`` pixels a side instead of ``size``; crop edges coincide."""
    step = size / wanted
    shift = affine[:, :2].sum(1, keepdim=True) * (step - 1) / 2
    return torch.cat([affine[:, :2] * step, affine[:, 2:] + shift], 1)


def inverse(affine: Tensor) -> Tensor:
    """The inverse of an affine (2, 3)."""
    full = torch.eye(3, dtype=torch.float64)
    full[:2] = affine.double()
    return torch.linalg.inv(full)[:2].to(affine.dtype)


def move_points(points: Tensor, affine: Tensor) -> Tensor:
    """Points (..., 2) transformed by an affine (2, 3)."""
    return points @ affine[:, :2].T + affine[:, 2]


def cut(image: Tensor, crop_to_image: Tensor, size: int, beyond: str = "black") -> Tensor:
    """Cut the crop (size, size, 3) out of an image (H, W, 3), float or uint8.

    ``beyond``: pixels outside the image are "black", as in the reference, or repeat the "edge": black areas of a crop
    move with the head and would be pasted back as a dark frame.
    """
    expect("image", image, "H", "W", 3)
    import cv2

    border = {"edge": cv2.BORDER_REPLICATE, "black": cv2.BORDER_CONSTANT}[beyond]
    return torch.from_numpy(_sample(image.numpy(), crop_to_image.double().numpy(), (size, size), border))


def cut_plane(plane: Tensor, crop_to_image: Tensor, size: int) -> Tensor:
    """:func:`cut` for one channel (H, W) in [0, 1]: (size, size) in [0, 1]."""
    planes = plane[..., None].expand(-1, -1, 3).contiguous()
    return cut(planes, crop_to_image, size)[..., 0].clamp(0, 1).contiguous()


def shrink(image: Tensor, size: int) -> Tensor:
    """Reduce a square image (S, S, 3) to (size, size, 3) by area averaging, as LivePortrait feeds F and M."""
    if len(image) == size:
        return image
    import cv2

    return torch.from_numpy(np.asarray(cv2.resize(image.numpy(), (size, size), interpolation=cv2.INTER_AREA)))


class Patch:
    """The placement and blend weights of a crop in pictures of one size; work is limited to its bounding box."""

    def __init__(
        self, crop_to_image: Tensor, size: int, height: int, width: int, mask: NDArray[np.uint8] | None = None
    ) -> None:
        """``crop_to_image`` (2, 3) for crops of ``size`` pixels; ``mask`` (size, size), the feather if not given."""
        image_to_crop = inverse(crop_to_image.double()).numpy()
        corners = move_points(torch.tensor([[0.0, 0], [size, 0], [0, size], [size, size]]) - 0.5, crop_to_image)
        low = np.maximum(np.floor(corners.amin(0).numpy()) - 1, 0).astype(int)
        high = np.minimum(np.ceil(corners.amax(0).numpy()) + 2, (width, height)).astype(int)
        if (low >= high).any():
            raise ValueError("The crop lies outside the picture; there is nothing to paste into.")
        shares = _sample(feather(size) if mask is None else mask, _from(image_to_crop, *low), tuple(high - low))
        rows, columns = np.flatnonzero(shares.any(1)), np.flatnonzero(shares.any(0))
        if not len(rows):
            raise ValueError("The crop lies outside the picture, or its mask is empty; there is nothing to paste.")
        top, left = low[1] + rows[0], low[0] + columns[0]
        shares = shares[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        self.box = np.s_[top : top + len(shares), left : left + shares.shape[1]]
        self._image_to_crop = _from(image_to_crop, left, top)
        # In 255ths, whose products with bytes fit 16 bits, and repeated per channel: numpy broadcasts slowly here.
        self._share = np.repeat(shares[..., None].astype(np.uint16), 3, 2)
        self._size = shares.shape[1::-1]

    def weights(self, height: int, width: int) -> Tensor:
        """The blend weights (H, W) in [0, 1] of a picture of this size."""
        whole = torch.zeros(height, width)
        whole[self.box] = torch.from_numpy(self._share[..., 0].astype(np.float32)) / 255
        return whole

    def ground(self, picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """The background's weighted contribution of a picture (H, W, 3) inside the box, in 255ths of a grey level."""
        return np.asarray((255 - self._share) * picture[self.box], np.uint16)

    def blend(self, frame: NDArray[np.uint8], ground: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """The box of the picture with a crop (size, size, 3) blended over ``ground``; results are truncated."""
        import cv2

        # Repeated edges instead of the reference's black: the mask is not quite zero there, and a dark rim would show.
        laid = _sample(frame, self._image_to_crop, self._size, cv2.BORDER_REPLICATE)
        for first in range(0, len(laid), _ROWS):
            rows = slice(first, first + _ROWS)
            sums = laid[rows].astype(np.uint16)
            sums *= self._share[rows]
            sums += ground[rows]
            sums += (sums >> 8) + np.uint16(1)  # exact x / 255 without a division
            laid[rows] = sums >> 8
        return laid

    def paste(self, picture: NDArray[np.uint8], frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of a picture (H, W, 3) with a crop (size, size, 3) in it."""
        pasted = picture.copy()
        pasted[self.box] = self.blend(frame, self.ground(picture))
        return pasted


class Paster:
    """Pastes crops into one picture; changes only the bounding box of the mask."""

    def __init__(self, image: Tensor, crop_to_image: Tensor, size: int, mask: NDArray[np.uint8] | None = None) -> None:
        """``image`` (H, W, 3) uint8; ``crop_to_image`` (2, 3) for crops of ``size`` pixels; ``mask`` as in Patch."""
        expect("image", image, "H", "W", 3)
        if image.dtype != torch.uint8:
            raise ValueError(f"Paster needs a uint8 image, got {image.dtype}.")
        self._image, self._side = image.numpy(), size
        height, width = self._image.shape[:2]
        self._patch = Patch(crop_to_image, size, height, width, mask)
        self._ground = self._patch.ground(self._image)

    def weights(self) -> Tensor:
        """The blend weights (H, W) in [0, 1]: 1 where only the crop is seen."""
        return self._patch.weights(*self._image.shape[:2])

    def paste(self, frames: Tensor) -> Tensor:
        """Crops (n, size, size, 3) uint8 -> pictures (n, H, W, 3) uint8; beyond the mask bit-identical to the image."""
        expect("frames", frames, "n", self._side, self._side, 3)
        pictures = np.repeat(self._image[None], len(frames), 0)

        def put(picture: NDArray[np.uint8], frame: NDArray[np.uint8]) -> None:
            picture[self._patch.box] = self._patch.blend(frame, self._ground)

        # A GPU renders a frame faster than one core pastes it; numpy and OpenCV release the GIL here.
        with ThreadPoolExecutor(min(len(frames), _cores())) as executor:
            list(executor.map(put, pictures, frames.numpy()))
        return torch.from_numpy(pictures)


def _cores() -> int:
    """Number of CPU cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _anchors(count: int) -> tuple[tuple[int, ...], ...]:
    if count in _ANCHORS:
        return _ANCHORS[count]
    if count > 101:
        return _ANCHORS[101]
    raise ValueError(f"Cannot read {count} landmarks; expected 478, 203, 106, 101, 68, 9 or 5.")


def _from(image_to_crop: NDArray, left: int, top: int) -> NDArray:
    """The affine (2, 3) for pixel positions relative to (``left``, ``top``)."""
    moved = np.array(image_to_crop, np.float64)
    moved[:, 2] += image_to_crop[:, :2] @ (left, top)
    return moved


def _sample(source: NDArray, target_to_source: NDArray, size: tuple[int, int], border: int = _BLACK_OUTSIDE) -> NDArray:
    """Sample ``source`` at every pixel of a target of ``size`` (width, height): bilinear, black outside by default.

    Where a target pixel covers two or more source pixels, a finer target is sampled and averaged against aliasing.
    """
    import cv2

    fine = max(1, int(math.sqrt(abs(np.linalg.det(target_to_source[:, :2]))) + 1e-6))
    affine = np.array(target_to_source, np.float64)
    affine[:, 2] -= affine[:, :2].sum(1) * (fine - 1) / (2 * fine)
    affine[:, :2] /= fine
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    read = cv2.warpAffine(source, affine, (size[0] * fine, size[1] * fine), flags=flags, borderMode=border)
    return np.asarray(read if fine == 1 else cv2.resize(read, size, interpolation=cv2.INTER_AREA))
