"""Select a face of a picture, and the crop around it; :mod:`detectors` finds the faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UserError, elided, suggestion
from ..ranges import check_ranges, ranged
from ..values import FaceCrop
from .crop import LEAST_BOX, CropOptions, Square, crop_to_image, square_from_box, square_from_landmarks, whole_to_image
from .detectors import DETECTORS, Box, Detector, Face, available
from .landmarks import crop_points
from .tiling import TiledDetector, full_search

#: How to locate a face: "auto", "whole" (the picture is the crop), a detector's name, a face box, or landmarks (N, 2).
FaceSource = str | Box | Tensor
#: Largest aspect ratio at which "auto" treats a picture without detected faces as a face crop.
SQUARE_ENOUGH = 1.15
#: A picture counts as a face crop if its side is this many times that of the detected crop, and the crop is centred to
#: this share of the side.
CROP_ALREADY, CENTRED = (0.75, 1.35), 0.15
ORDERS = ("largest", "left")
#: Detectors that find only faces that are large in the picture.
_NEAR_SIGHTED = ("mediapipe",)


@dataclass(frozen=True)
class Pick:
    """Which of several faces: number ``index``, from 0, in ``order`` "largest" or "left", or the nearest ``point``."""

    order: str = "largest"
    index: int = ranged(0, 0, 999)
    point: tuple[float, float] | None = ranged(None, 0.0, 100_000.0, "pixels")

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"The order of faces must be {' or '.join(ORDERS)}, got {self.order!r}.")
        check_ranges(self)

    @staticmethod
    def read(text: str) -> Pick:
        """Parse largest, left, a number counted from the left, or x,y in pixels. Raises UserError for anything else."""
        if text in ORDERS:
            return Pick(text)
        try:
            numbers = tuple(float(part) for part in text.split(","))
            if len(numbers) == 2:
                return Pick(point=(numbers[0], numbers[1]))
            return Pick("left", int(text))
        except ValueError:  # UserError is one
            raise UserError(
                f"The face {text!r} is not largest, left, a number from 0 (counted from the left) or x,y in pixels."
            ) from None

    def of(self, faces: Sequence[Face]) -> Face:
        """The selected face. Raises UserError when there are too few."""
        if self.point is not None:
            return min(faces, key=lambda face: math.dist(face.centre, self.point or (0, 0)))
        if self.index >= len(faces):
            where = "; ".join(f"{x:.0f},{y:.0f}" for x, y in sorted(face.centre for face in faces))
            raise UserError(
                f"Face number {self.index} was asked for, counted from 0, but {len(faces)} found, at {where};"
                " please choose one of these."
            )
        return sorted(faces, key=lambda f: -f.area if self.order == "largest" else f.centre[0])[self.index]


@dataclass(frozen=True)
class FaceSelection:
    """The selected ``face``, or None if there was no detection. ``whole``: the picture is a face crop already.
    ``detected``: the face comes from a detector, not from the user."""

    face: Face | None
    whole: bool = False
    detected: bool = False

    def crop_to_image(self, height: int, width: int, size: int, options: CropOptions | None = None) -> Tensor:
        """Affine (2, 3) from a crop of ``size`` pixels to the picture."""
        square = self.square(options)
        return whole_to_image(height, width, size) if square is None else crop_to_image(square, size)

    def square(self, options: CropOptions | None = None) -> Square | None:
        """The square around the face, None where the largest centred square of the picture is meant."""
        return None if self.whole or self.face is None else square_of(self.face, options)

    def crop(self, image: Tensor, size: int, options: CropOptions | None = None) -> FaceCrop:
        """The crop of a picture (H, W, 3)."""
        affine = self.crop_to_image(image.shape[0], image.shape[1], size, options)
        seen = (None, None) if self.face is None else (self.face.finest, self.face.mesh)
        return FaceCrop(image, affine, size, self.detected, *seen)


def select_face(
    image: Tensor, where: FaceSource = "auto", pick: Pick | None = None, threshold: float | None = None
) -> FaceSelection:
    """Select a face in a picture (H, W, 3) in [0, 1].

    ``where`` "auto": the first available detector; nearly square pictures also work without one. ``threshold``
    as :func:`detector`. Raises UserError when no face is found, or no detector is available.
    """
    height, width = image.shape[:2]
    if isinstance(where, Tensor):
        return FaceSelection(Face.of(_points(where)))
    if not isinstance(where, str):
        return FaceSelection(Face(_inside(where, height, width)))
    if where == "whole":
        return FaceSelection(None, whole=True)
    if where == "auto":
        return _automatic(image, pick, threshold)
    faces = full_search(detector(where, threshold))(image)
    if not faces:
        raise _no_face(height, width)
    return FaceSelection((pick or Pick()).of(faces), detected=True)


def detector(name: str, threshold: float | None = None) -> Detector:
    """A detector by its name; ``threshold`` is the least score of a face, None for the detector's own default.

    Raises UserError when it is unknown, or unavailable because something is missing.
    """
    if name not in DETECTORS:
        raise _unknown(name)
    found = DETECTORS[name]() if threshold is None else DETECTORS[name](threshold)
    return TiledDetector(found) if name in _NEAR_SIGHTED else found


def check_source(name: str) -> None:
    """Raise UserError unless ``name`` is one of the names in :data:`FaceSource`."""
    if name not in ("auto", "whole", *DETECTORS):
        raise _unknown(name)


def _unknown(name: str) -> UserError:
    known = ("auto", "whole", *DETECTORS)
    shown = f"{elided(repr(name))}{suggestion(name, known)}"
    return UserError(f"Unknown face crop {shown}; choose {', '.join(known)} or a box left,top,right,bottom.")


def square_of(face: Face, options: CropOptions | None = None) -> Square:
    """The square around a face, from its landmarks if known, else from its box."""
    if face.landmarks is None:
        return square_from_box(face.box, options)
    return square_from_landmarks(crop_points(face.landmarks), options)


def fills(square: Square, height: int, width: int) -> bool:
    """Whether a picture is nearly square and shows about the same as ``square``."""
    side = min(height, width)
    off = math.dist((square.x, square.y), (width / 2, height / 2))
    about = CROP_ALREADY[0] <= side / square.side <= CROP_ALREADY[1] and off <= CENTRED * side
    return about and max(height, width) <= SQUARE_ENOUGH * side


def find_crop(
    image: Tensor, size: int, how: FaceSource = "auto", options: CropOptions | None = None, pick: Pick | None = None
) -> Tensor:
    """Affine (2, 3) from a face crop of ``size`` pixels to the picture (H, W, 3); see :func:`select_face`."""
    return select_face(image, how, pick).crop_to_image(image.shape[0], image.shape[1], size, options)


def _automatic(image: Tensor, pick: Pick | None, threshold: float | None) -> FaceSelection:
    height, width = image.shape[:2]
    squarish = max(height, width) <= SQUARE_ENOUGH * min(height, width)
    for name in available()[:1]:
        faces = full_search(detector(name, threshold))(image)
        if faces:
            face = (pick or Pick()).of(faces)
            already = pick is None and fills(square_of(face), height, width)
            return FaceSelection(face, whole=already, detected=True)
        if not squarish or pick is not None:
            raise _no_face(height, width)
    if not available() and pick is not None and (pick.index > 0 or pick.point is not None):
        raise UserError(
            "One of several faces was asked for, but no detector is here to find them; please give the box of the face,"
            " or install mediapipe or insightface."
        )
    if squarish:  # it may be a crop of a drawing or an animal, which detectors do not find
        return FaceSelection(None, whole=True)
    raise UserError(
        f"The picture is {width} x {height}, not a square face picture, and no detector is here; please crop it to a"
        " square around the head, hair and shoulders included, or install mediapipe or insightface."
    )


def _no_face(height: int, width: int) -> UserError:
    return UserError(
        f"No face was found in the {width} x {height} picture; please show one face, large and frontal, or give its"
        " box."
    )


def _points(landmarks: Tensor) -> Tensor:
    if landmarks.ndim != 2 or landmarks.shape[1] != 2 or not bool(torch.isfinite(landmarks).all()):
        raise UserError(f"Landmarks must be finite numbers of shape (N, 2), got {tuple(landmarks.shape)}.")
    return landmarks.float()


def _inside(box: Box, height: int, width: int) -> Box:
    left, top, right, bottom = box
    if 0 < right - left < LEAST_BOX or 0 < bottom - top < LEAST_BOX:
        raise UserError(f"The face box {box} is too small for a face; please give pixels, at least {LEAST_BOX} a side.")
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise UserError(
            f"The face box {box} must be left, top, right, bottom inside the {width} x {height} picture; please fix it."
        )
    return box
