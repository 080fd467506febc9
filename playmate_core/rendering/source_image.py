"""Read a source picture as a portrait: select, crop, read and check the face."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from torch import Tensor

from ..detection.crop import CropOptions
from ..detection.detect import FaceSource, Pick, select_face
from ..detection.landmarks import Openings
from ..face import FaceModel
from ..keypoint_space import PLAYMATE_DEMO
from ..values import FaceCrop, Portrait
from .face_checks import upright_rotation
from .portrait import FaceLimits, face_confidence, read_crop, require_face, within

#: Nominal size of a selected crop in pixels; readers resample the same square at their own size.
CROP_SIZE = 512
UNFAMILIAR = (
    "The face model hardly knows faces of this kind, so the video may look wrong; only changes of expression are taken"
    " from the motion, on top of the portrait's own, unless --expression absolute is chosen."
)
MORE_FACES = " LivePortrait's weights (--face-weights, Load Face Model) know more faces."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourcePortrait:
    """A portrait, and its eye and lip openings if the detector provides them."""

    portrait: Portrait
    openings: Openings | None = None


def crop_face(
    image: Tensor,
    where: FaceSource = "auto",
    pick: Pick | None = None,
    options: CropOptions | None = None,
    threshold: float | None = None,
) -> FaceCrop:
    """The crop around the face of a picture (H, W, 3) in [0, 1]; see :func:`detect.select_face`."""
    return select_face(image, where, pick, threshold).crop(image, CROP_SIZE, options)


def read_face_crop(face: FaceModel, crop: FaceCrop, limits: FaceLimits | None = None) -> SourcePortrait:
    """Read a crop. ``limits``: thresholds of the face check, None to accept any picture.

    A picture that fails the check is not a ``familiar`` portrait, with a warning: a face that a detector found may be
    outside the training data of these weights. Raises UserError where no detector found one and ``limits`` are given.
    """
    portrait = read_crop(face, crop)
    confidence = face_confidence(face, portrait, limits)
    turn = 0 if crop.detected else upright_rotation(face, portrait, confidence)
    if turn:
        log.warning("The face seems to be turned; please turn the picture by %d degrees to the left first.", turn)
    if limits and not crop.detected:
        require_face(confidence, limits)
    elif not within(confidence, limits):
        portrait = replace(portrait, familiar=False)
        if not turn:
            more = MORE_FACES if portrait.keypoint_space == PLAYMATE_DEMO else ""
            log.warning("%s%s", UNFAMILIAR, more)
    return SourcePortrait(portrait, None if crop.landmarks is None else Openings.of(crop.landmarks[None]))


def read_source_portrait(
    face: FaceModel,
    image: Tensor,
    where: FaceSource = "auto",
    pick: Pick | None = None,
    options: CropOptions | None = None,
    limits: FaceLimits | None = None,
    threshold: float | None = None,
) -> SourcePortrait:
    """Select, crop and read the face of a picture: :func:`crop_face`, then :func:`read_face_crop`."""
    return read_face_crop(face, crop_face(image, where, pick, options, threshold), limits)
