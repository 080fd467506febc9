"""What will go wrong with a portrait, in one sentence each, before anything slow is made of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..detection.landmarks import Openings
from ..diffusion.pose_prior import ANGLE_LIMITS
from ..face import FaceModel
from ..motion.directions import Y, directions, slider_values
from ..motion.expression_layer import lid_apertures
from ..values import LOWER_LIP, UPPER_LIP, FaceCrop, Portrait
from .portrait import FaceConfidence, face_confidence, within

#: A head that is turned further leaves little of the other side to draw, in degrees.
_TURNED = 20.0
#: Lips that stand this many steps of the slider aaa apart, or whose landmarks this share of their width; lids that are
#: this share of their travel down, or whose landmarks this share of their width apart.
_OPEN_STEPS, _OPEN_RATIO, _SHUT_SHARE, _SHUT_RATIO = 15.0, 0.12, 0.6, 0.15
_AXES = ("pitch", "yaw", "roll")


@dataclass(frozen=True)
class Finding:
    """``sentence`` says what was found; ``problem`` that it will show in the video."""

    sentence: str
    problem: bool = False

    def __str__(self) -> str:
        return f"{'!' if self.problem else ' '} {self.sentence}"


@dataclass(frozen=True)
class SourceReport:
    """What was found, and the ``usable`` pitch, yaw and roll that can be added to the portrait's own, in degrees."""

    findings: tuple[Finding, ...]
    usable: tuple[tuple[float, float], ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.problem)

    def __str__(self) -> str:
        said = (f"{axis} {low:+.0f} to {high:+.0f}" for axis, (low, high) in zip(_AXES, self.usable, strict=True))
        return "\n".join([*map(str, self.findings), f"  the head can turn from here: {', '.join(said)} degrees"])


def examine_source(face: FaceModel, portrait: Portrait, crop: FaceCrop | None = None) -> SourceReport:
    """Examine a portrait that ``face`` has read; ``crop``, where it is known, brings landmarks, which are more exact.

    Raises UserError for a keypoint space without directions.
    """
    turn = portrait.rest.pose.rotation[0]
    confidence = face_confidence(face, portrait)
    openings = None if crop is None or crop.landmarks is None else Openings.of(crop.landmarks[None])
    findings = (
        _turned(turn),
        _size(face, portrait),
        _mouth(portrait, openings),
        _eyes(portrait, openings),
        _known(confidence),
    )
    limits = torch.maximum(torch.tensor(ANGLE_LIMITS), turn.abs())
    usable = tuple(
        (float(-limit - own), float(limit - own)) for limit, own in zip(limits.tolist(), turn.tolist(), strict=True)
    )
    return SourceReport(findings, usable)


def _turned(turn: torch.Tensor) -> Finding:
    said = ", ".join(f"{axis} {float(angle):.0f}" for axis, angle in zip(_AXES, turn, strict=True))
    if float(turn[:2].abs().max()) > _TURNED:
        return Finding(f"the head is turned away ({said} degrees); a picture that faces the camera moves better", True)
    return Finding(f"the head faces the camera ({said} degrees)")


def _size(face: FaceModel, portrait: Portrait) -> Finding:
    """The crop in pixels of the picture against what the networks draw."""
    across = float(portrait.crop_to_image[:, 0].norm()) * portrait.crop_size
    least = face.config.image_size
    if across < least:
        return Finding(
            f"the face is small: its crop has {across:.0f} pixels and {2 * least} are drawn; a larger picture is"
            " sharper",
            True,
        )
    return Finding(f"the face is large enough: its crop has {across:.0f} pixels, {2 * least} are drawn")


def _mouth(portrait: Portrait, openings: Openings | None) -> Finding:
    if openings is not None:
        opened = float(openings.lips[0, 0]) > _OPEN_RATIO
    else:
        rest = portrait.rest.expression[0].double()
        aaa = directions(portrait.keypoint_space).offset(slider_values({"aaa": 1.0}))
        step = float(aaa[LOWER_LIP, Y] - aaa[UPPER_LIP, Y])
        opened = float(rest[LOWER_LIP, Y] - rest[UPPER_LIP, Y]) / step > _OPEN_STEPS
    if opened:
        return Finding("the mouth is open, so it may never close in the video; a closed mouth is safer", True)
    return Finding("the mouth is closed")


def _eyes(portrait: Portrait, openings: Openings | None) -> Finding:
    if openings is not None:
        shut = float(openings.eyes[0].min()) < _SHUT_RATIO
    else:
        travel = directions(portrait.keypoint_space).lid_travel
        shut = float(-lid_apertures(portrait.rest)[0].min()) > _SHUT_SHARE * travel
    if shut:
        return Finding("an eye is closed, so what lies behind its lid is invented; open eyes are safer", True)
    return Finding("the eyes are open")


def _known(confidence: FaceConfidence) -> Finding:
    if not within(confidence):
        return Finding("this face model hardly knows such a face; please choose another picture or face model", True)
    return Finding(f"the face model knows such faces (it redraws this one at {confidence.reconstruction:.0f} dB)")
