"""Who looks for the face. A detector is a function from a picture to faces, largest first; a new one is a table row."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .crop import CropOptions, crop_to_image, square_from_box, square_from_landmarks, whole_to_image
from .errors import UserError
from .pictures import to_bytes

#: Left, top, right, bottom in pixels.
Box = tuple[float, float, float, float]
#: Up to this ratio of the sides, "auto" takes a picture for a face crop already.
SQUARE_ENOUGH = 1.15
_REMEDY = "please crop it to a square around the head, hair and shoulders included, or install insightface"


@dataclass(frozen=True)
class Face:
    """A face that was found: its ``box`` in pixels, ``landmarks`` (N, 2) in pixels, and the detector's ``score``."""

    box: Box
    landmarks: Tensor
    score: float


class Detector(Protocol):
    """Finds the faces of a picture (H, W, 3) in [0, 1], the largest first."""

    def __call__(self, image: Tensor) -> tuple[Face, ...]: ...


def find_crop(image: Tensor, size: int, how: str | Box = "auto", options: CropOptions | None = None) -> Tensor:
    """Affine (2, 3) from a face crop of ``size`` pixels to the picture (H, W, 3).

    ``how``: "whole" (the picture is the crop: its largest centred square), a face box, a detector's name, or "auto":
    whole for squarish pictures, else a detector if one is installed. Raises UserError when no face is found or
    nothing can look for one.
    """
    height, width = image.shape[:2]
    if not isinstance(how, str):
        return crop_to_image(square_from_box(_inside(how, height, width), options), size)
    if how == "auto":
        how = _automatic(height, width)
    if how == "whole":
        return whole_to_image(height, width, size)
    if how not in DETECTORS:
        raise UserError(f"Unknown face crop {how!r}; choose auto, whole, {', '.join(DETECTORS)} or a box.")
    faces = DETECTORS[how]()(image)
    if not faces:
        raise UserError(
            f"No face was found in the {width} x {height} picture; please show one face, large and frontal."
        )
    return crop_to_image(square_from_landmarks(faces[0].landmarks, options), size)


def _automatic(height: int, width: int) -> str:
    if max(height, width) <= SQUARE_ENOUGH * min(height, width):
        return "whole"
    if _insightface_models().is_dir() and _installed("insightface"):
        return "insightface"
    raise UserError(
        f"The picture is {width} x {height}, not a square face picture, and no detector is here; {_REMEDY}."
    )


def _inside(box: Box, height: int, width: int) -> Box:
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise UserError(
            f"The face box {box} must be left, top, right, bottom inside the {width} x {height} picture; please fix it."
        )
    return box


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _insightface_models() -> Path:
    home = os.environ.get("INSIGHTFACE_HOME", "~/.insightface")
    return Path(home).expanduser() / "models" / "buffalo_l"


@cache
def _insightface() -> Detector:
    """insightface's buffalo_l (its models are for non-commercial use), run on the CPU; never downloads."""
    if not _installed("insightface"):
        raise UserError("The insightface detector is not installed; run `pip install insightface onnxruntime`.")
    if not _insightface_models().is_dir():
        raise UserError(f"insightface has no models in {_insightface_models()}; please unpack buffalo_l there.")
    from insightface.app import FaceAnalysis

    app: Any = FaceAnalysis(
        name="buffalo_l",
        root=str(_insightface_models().parent.parent),
        allowed_modules=["detection", "landmark_2d_106"],
        providers=["CPUExecutionProvider"],
    )
    app.prepare(ctx_id=-1, det_size=(512, 512), det_thresh=0.15)

    def detect(image: Tensor) -> tuple[Face, ...]:
        found = app.get(np.ascontiguousarray(to_bytes(image).numpy()[..., ::-1]))  # it wants BGR
        return tuple(sorted(map(_face, found), key=lambda f: (f.box[0] - f.box[2]) * (f.box[3] - f.box[1])))

    return detect


def _face(found: Any) -> Face:
    left, top, right, bottom = map(float, found.bbox)
    return Face((left, top, right, bottom), torch.as_tensor(found.landmark_2d_106).float(), float(found.det_score))


DETECTORS: dict[str, Callable[[], Detector]] = {"insightface": _insightface}
