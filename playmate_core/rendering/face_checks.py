"""Plausibility checks of faces: in videos read without a detector, and in portraits that may be rotated."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..detection.crop import whole_to_image
from ..detection.reading_crop import cut_bytes
from ..face import FaceModel
from ..values import Portrait
from .portrait import FaceConfidence, FaceLimits, crop_confidence, within

#: Frames of a video checked for a face before a warning.
_MOST_LOOKS = 4
#: Shift error from which rotated versions of the picture are tried.
_DOUBTFUL_SHIFT = 0.05
log = logging.getLogger(__name__)


class FaceSamples:
    """Keeps some crops of a video while it is read, at exponentially growing distances, for a later check."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def of(self, crops: Iterable[Tensor]) -> Iterator[Tensor]:
        """The crops (S, S, 3) themselves; numbers 0, 1, 3, 7, 15 ... are kept."""
        for number, crop in enumerate(crops):
            if number & (number + 1) == 0:
                self.kept.append(crop)
            yield crop

    def warn_unless_face(self, face: FaceModel, what: str, limits: FaceLimits | None = None) -> None:
        """Log a warning if none of the kept crops is recognised as a face by ``face``; ``what`` names the video."""
        step = max(1, len(self.kept) // _MOST_LOOKS)
        looked = self.kept[::-step][:_MOST_LOOKS]
        if not any(within(confidence_of(face, crop, limits), limits) for crop in looked):
            dark = all(float(crop.std()) < 0.01 for crop in looked)
            seems = "one colour and nothing else" if dark else "nothing that these weights take for a face"
            log.warning("The %s shows %s, so its movement means little; please check it.", what, seems)


def confidence_of(face: FaceModel, crop: Tensor, limits: FaceLimits | None = None) -> FaceConfidence:
    """The face confidence of a crop (S, S, 3) in [0, 1]; ``limits`` as in :func:`crop_confidence`."""
    height, width = crop.shape[:2]
    size = 2 * face.config.image_size
    return crop_confidence(face, cut_bytes(crop, whole_to_image(height, width, size), size), limits)


def upright_rotation(face: FaceModel, portrait: Portrait, confidence: FaceConfidence) -> int:
    """Degrees by which to rotate a portrait counter-clockwise to make it upright: 0, 90, 180 or 270.

    An upside-down face passes the face check with a doubtful score; upright it has less than half of the errors. A
    rotation is rendered only where its readings have that.
    """
    if confidence.shift < _DOUBTFUL_SHIFT:
        return 0
    usual = FaceLimits()
    limits = replace(
        usual,
        flip_keypoints=min(usual.flip_keypoints, confidence.flip_keypoints / 2),
        shift=min(usual.shift, confidence.shift / 2),
    )
    crop = cut_bytes(portrait.image, portrait.crop_to_image, portrait.crop_size)
    for quarters in (2, 1, 3):
        if within(crop_confidence(face, torch.rot90(crop, quarters).contiguous(), limits), limits):
            return 90 * quarters
    return 0
