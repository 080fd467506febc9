"""Whose picture it is: the face found, cropped, read, and asked whether it is one."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from torch import Tensor

from ..detection.crop import CropOptions
from ..detection.detect import FaceSource, Pick, find_face
from ..detection.landmarks import Openings
from ..errors import UserError
from ..face import FaceModel
from ..values import Portrait
from .portrait import FaceLimits, face_confidence, read_portrait, require_face

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourcePortrait:
    """A portrait, and how open its eyes and lips are where the detector told."""

    portrait: Portrait
    openings: Openings | None = None


def read_source_portrait(
    face: FaceModel,
    image: Tensor,
    where: FaceSource = "auto",
    pick: Pick | None = None,
    options: CropOptions | None = None,
    limits: FaceLimits | None = None,
) -> SourcePortrait:
    """Find, crop and read the face of a picture (H, W, 3) in [0, 1]; see :func:`detect.find_face`.

    ``limits`` ask whether the crop behaves like a face, None takes any. A face that a detector found is let through
    with a warning: it is one, though perhaps of a kind these weights never saw. Raises UserError otherwise.
    """
    found = find_face(image, where, pick)
    landmarks = None if found is None else found.landmarks
    crop: FaceSource = "whole" if found is None else found.box if landmarks is None else landmarks
    portrait = read_portrait(face, image, crop, options=options)
    if limits:
        try:
            require_face(face_confidence(face, portrait), limits)
        except UserError as doubt:
            if landmarks is None or isinstance(where, Tensor):
                raise
            log.warning("A face was found, but these weights hardly know it, and the result may look wrong. %s", doubt)
    finest = None if found is None else found.finest
    return SourcePortrait(portrait, None if finest is None else Openings.of(finest[None]))
