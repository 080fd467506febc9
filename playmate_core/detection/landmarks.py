"""Facial landmarks: layouts, openings of eyes and lips, and LivePortrait's network of 203 points.

See docs/liveportrait.md 6.1, 6.2 and 8.2. Left and right are those of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UserError
from ..values import expect
from .crop import CropOptions, crop_to_image, cut, move_points, square_from_landmarks

#: Indices in MediaPipe's mesh of 478 of the usual 68 landmarks: jaw, brows, nose, eyes, outer and inner lips.
_MESH_TO_68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
MESH = 478
#: Landmark indices for openings, by layout: upper and lower middle, then the two corners.
_EYES = {203: ((6, 18, 0, 12), (30, 42, 24, 36)), MESH: ((159, 145, 33, 133), (386, 374, 362, 263))}
_LIPS = {203: (90, 102, 48, 66), MESH: (13, 14, 61, 291)}
_NET_SIZE = 224
_NET_CROP = CropOptions(scale=1.5, shift=-0.1)


def crop_points(points: Tensor) -> Tensor:
    """The landmarks (N, 2) that determine a crop: MediaPipe's mesh is reduced to 68 points, others are unchanged.

    The mesh extends to the hairline, LivePortrait's points to the brows: with the whole mesh the same ``scale`` would
    give a head a tenth smaller.
    """
    return points[list(_MESH_TO_68)] if len(points) == MESH else points


def eye_ratios(points: Tensor) -> Tensor:
    """Opening ratios of the left and the right eye: 203 or 478 points (..., N, 2) -> (..., 2); about 0.3 when open."""
    return torch.stack([_opening(points, where) for where in _layout(points, _EYES)], -1)


def lip_ratio(points: Tensor) -> Tensor:
    """Opening ratio of the lips: 203 or 478 points (..., N, 2) -> (..., 1); 0 when closed."""
    return _opening(points, _layout(points, _LIPS))[..., None]


@dataclass(frozen=True)
class Openings:
    """Opening ratios in every frame: ``eyes`` (T, 2) left and right, ``lips`` (T, 1)."""

    eyes: Tensor
    lips: Tensor

    def __post_init__(self) -> None:
        expect("Openings.eyes", self.eyes, "T", 2)
        expect("Openings.lips", self.lips, len(self.eyes), 1)

    def __len__(self) -> int:
        return len(self.eyes)

    def __getitem__(self, frames: slice | Tensor) -> Openings:
        return Openings(self.eyes[frames], self.lips[frames])

    @staticmethod
    def of(points: Tensor) -> Openings | None:
        """Measured on landmarks (T, N, 2); None for layouts without the needed points."""
        if points.shape[-2] not in _EYES:
            return None
        return Openings(eye_ratios(points), lip_ratio(points))


class LandmarkNet:
    """LivePortrait's ``landmark.onnx``: refines landmarks to 203 points, on the CPU."""

    def __init__(self, path: Path) -> None:
        """Raises UserError when onnxruntime is missing or the file is not this network."""
        try:
            import onnxruntime
        except ImportError:
            raise UserError(f"{path.name} needs onnxruntime; run `pip install onnxruntime`.") from None
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            self._run(np.zeros((1, 3, _NET_SIZE, _NET_SIZE), np.float32))
        except Exception as problem:  # onnxruntime raises its own kinds for every sort of bad file
            raise UserError(
                f"{path} is not LivePortrait's network of 203 points ({type(problem).__name__}); please fetch"
                " landmark.onnx again."
            ) from problem

    def __call__(self, image: Tensor, points: Tensor) -> Tensor:
        """203 points (203, 2) in pixels of ``image`` (H, W, 3) in [0, 1], for the face at ``points`` (N, 2)."""
        affine = crop_to_image(square_from_landmarks(crop_points(points), _NET_CROP), _NET_SIZE)
        seen = cut(image, affine, _NET_SIZE).movedim(-1, 0)[None].contiguous().numpy()
        return move_points(self._run(seen) * _NET_SIZE, affine)

    def _run(self, seen: NDArray[np.float32]) -> Tensor:
        """The network's third output, in units of the crop."""
        outputs = self._session.run(None, {"input": seen})
        return torch.from_numpy(np.asarray(outputs[2], np.float32)).reshape(203, 2)


@cache
def landmark_net(path: Path) -> LandmarkNet:
    """The network of a file, loaded once."""
    return LandmarkNet(path)


def _layout(points: Tensor, table: dict[int, Any]) -> Any:
    count = points.shape[-2]
    if count not in table:
        raise ValueError(f"Openings are measured on {' or '.join(map(str, table))} landmarks, got {count}.")
    return table[count]


def _opening(points: Tensor, where: tuple[int, int, int, int]) -> Tensor:
    upper, lower, one, other = (points[..., i, :] for i in where)
    return (upper - lower).norm(dim=-1) / ((one - other).norm(dim=-1) + 1e-6)
