"""Apply Ditto's motion to a source face (docs/motion_models.md 5.7).

Converts driving motion in bin logits to the portrait's motion in degrees; logits are combined before the conversion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...geometry import degrees_from_bins
from ...values import EYE_KEYPOINTS, FPS, KEYPOINTS, LIP_KEYPOINTS, Motion, Pose
from .controls import ANGLES, Applying, FrameControls
from .layout import BinnedMotion
from .source import SourceFace, back_and_forth

#: Gaze compensates head rotation: degrees of gaze per degree of rotation, then expression units per degree for the two
#: eyes, horizontally and vertically.
GAZE_YAW, GAZE_PITCH = 0.26, 0.28
GAZE_NEAR, GAZE_FAR, GAZE_UP = 0.0007, 0.001, 0.001
LEFT_EYE, RIGHT_EYE = 11, 15


@dataclass(frozen=True)
class _Shown:
    """Intermediate frames: ``angles`` (T, 3, 66) logits, or ``degrees`` (T, 3) where ``fixed`` (T, 3)."""

    scale: Tensor
    angles: Tensor
    degrees: Tensor
    fixed: Tensor
    translation: Tensor
    expression: Tensor

    @property
    def rotation(self) -> Tensor:
        return torch.where(self.fixed, self.degrees, degrees_from_bins(self.angles))


class Application:
    """Applies consecutive pieces of motion to a face; keeps the reference frames between calls.

    ``first`` is the driving frame that "relative" motion is measured from.
    """

    def __init__(self, face: SourceFace, first: BinnedMotion, applying: Applying, fps: float = FPS) -> None:
        self.face, self.first, self.applying, self.fps = face, first, applying, fps
        self._target: _Shown | None = None
        self._source_rotation: Tensor | None = None

    def __call__(self, driving: BinnedMotion, frames: Tensor, controls: FrameControls) -> Motion:
        """``driving`` (T frames) applied to the source frames that correspond to ``frames`` (T,) of the clip."""
        source = self.face.motion[back_and_forth(frames, len(self.face))]
        shown = self._controlled(self._driven(source, driving, controls), source, controls)
        if self._target is None:
            self._target = _row(shown, 0)
        if self.applying.fade != "none":
            shown = self._faded(shown, source, controls.fade)
        follows = self.applying.drive_eyes and self.applying.follow_gaze
        expression = self._gaze(shown, source) if follows else shown.expression
        return Motion(Pose(shown.rotation, shown.translation, shown.scale, self.fps), expression)

    def _driven(self, source: BinnedMotion, driving: BinnedMotion, controls: FrameControls) -> _Shown:
        drive, ratio = self.applying.drive, self.applying.ratio
        angles, degrees = source.angles.clone(), degrees_from_bins(source.angles)
        for i, name in enumerate(ANGLES):
            share = getattr(drive, name)
            if share is None:
                continue
            own, new, start = source.angles[:, i], driving.angles[:, i], self.first.angles[:, i]
            angles[:, i] = self._moved(own, new, start, share * ratio)
            turns = (degrees_from_bins(own), degrees_from_bins(new), degrees_from_bins(start))
            degrees[:, i] = self._moved(*turns, share * ratio)
        translation = self._part("translation", source, driving, 1.0)
        expression = self._face(self._part("expression", source, driving, ratio), source.expression, controls)
        fixed = torch.full(degrees.shape, not self.face.binned)
        return _Shown(source.scale, angles, degrees, fixed, translation, expression)

    def _part(self, name: str, source: BinnedMotion, driving: BinnedMotion, ratio: float) -> Tensor:
        share = getattr(self.applying.drive, name)
        own, new, start = (getattr(motion, name) for motion in (source, driving, self.first))
        return own if share is None else self._moved(own, new, start, share * ratio)

    def _moved(self, own: Tensor, new: Tensor, start: Tensor, share: float) -> Tensor:
        return own + (new - start) * share if self.applying.mode == "relative" else new * share

    def _face(self, driven: Tensor, own: Tensor, controls: FrameControls) -> Tensor:
        """Driven lips, eyes as configured, everything else from the source; then scaled by the gate."""
        kept = _points(*LIP_KEYPOINTS)
        if self.applying.drive_eyes and controls.eyes is None:
            kept = kept | _points(*EYE_KEYPOINTS)
        expression = torch.where(kept, driven, own)
        if self.applying.drive_eyes and controls.eyes is not None:
            expression = torch.where(_points(*EYE_KEYPOINTS), own + controls.eyes, expression)
        gate = controls.gate[:, None, None]
        return torch.where(gate < 1, own + (expression - own) * gate, expression)

    def _controlled(self, shown: _Shown, source: BinnedMotion, controls: FrameControls) -> _Shown:
        asked = ~controls.offset.isnan()
        fixed = shown.fixed | asked
        degrees = torch.where(shown.fixed, shown.degrees, degrees_from_bins(shown.angles))
        degrees = (degrees + controls.offset.nan_to_num(0.0)) * controls.factor
        angles = shown.angles * controls.factor[..., None]
        expression = shown.expression + controls.expression
        return _Shown(shown.scale, angles, degrees, fixed, shown.translation, expression)

    def _faded(self, shown: _Shown, source: BinnedMotion, share: Tensor) -> _Shown:
        target = self._target
        if self.applying.fade == "source":
            own = degrees_from_bins(source.angles)
            none = torch.zeros(own.shape, dtype=torch.bool)
            target = _Shown(source.scale, source.angles, own, none, source.translation, source.expression)
        assert target is not None
        # Logits are faded as logits only where both are; anything else would mix them with degrees.
        fixed = shown.fixed | target.fixed
        turns = {"degrees": (shown.rotation, target.rotation), "angles": (shown.angles, target.angles)}
        turned = {name: shown_.clone() for name, (shown_, _) in turns.items()}
        for i, name in enumerate(ANGLES):
            if name in self.applying.fade_parts:
                for kind, (new, old) in turns.items():
                    turned[kind][:, i] = _mixed(new[:, i], old[:, i], share)
        parts = {
            name: _mixed(getattr(shown, name), getattr(target, name), share)
            if name in self.applying.fade_parts
            else getattr(shown, name)
            for name in ("scale", "translation", "expression")
        }
        return _Shown(fixed=fixed, **turned, **parts)

    def _gaze(self, shown: _Shown, source: BinnedMotion) -> Tensor:
        """Rotate the eyes against the head's rotation since the first source frame."""
        if self._source_rotation is None:
            self._source_rotation = degrees_from_bins(source.angles[:1])
        turn = shown.rotation - self._source_rotation
        side, up = GAZE_YAW * turn[:, 1], GAZE_PITCH * turn[:, 0]
        expression = shown.expression.clone()
        ahead = side > 0
        expression[:, LEFT_EYE, 0] += side * torch.where(ahead, GAZE_NEAR, GAZE_FAR)
        expression[:, RIGHT_EYE, 0] += side * torch.where(ahead, GAZE_FAR, GAZE_NEAR)
        for eye in (LEFT_EYE, RIGHT_EYE):
            expression[:, eye, 1] -= GAZE_UP * up
        return expression


def _points(*chosen: int) -> Tensor:
    """Mask of the ``chosen`` keypoints, (K, 1) bool."""
    mask = torch.zeros(KEYPOINTS, 1, dtype=torch.bool)
    mask[list(chosen)] = True
    return mask


def _row(shown: _Shown, index: int) -> _Shown:
    return _Shown(**{name: value[index : index + 1] for name, value in vars(shown).items()})


def _mixed(new: Tensor, old: Tensor, share: Tensor) -> Tensor:
    """``new`` weighted by ``share`` (T,) plus ``old`` by the rest; ``new`` unchanged where the share is NaN."""
    weight = share.reshape(-1, *[1] * (new.ndim - 1))
    return torch.where(weight.isnan(), new, new * weight + old * (1 - weight))
