"""Controls of Ditto's motion, for a whole clip and per frame (docs/motion_models.md 5.7)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...values import KEYPOINTS

ANGLES = ("pitch", "yaw", "roll")
#: Parts of a motion that can be driven and faded.
DRIVEN_PARTS = ("scale", *ANGLES, "translation", "expression")
DRIVE_MODES = ("relative", "absolute")
#: What the motion fades from and to: the first output frame, or the portrait.
FADE_TARGETS = ("none", "first", "source")


@dataclass(frozen=True)
class Drive:
    """Weight of each part of the driving motion; None keeps the source's. Scale is always the source's."""

    expression: float | None = 1.0
    pitch: float | None = 1.0
    yaw: float | None = 1.0
    roll: float | None = 1.0
    translation: float | None = 1.0


#: Only the expression is driven, the head keeps the source's pose: the reference's default for source videos.
FACE_ONLY_DRIVE = Drive(pitch=None, yaw=None, roll=None, translation=None)


@dataclass(frozen=True)
class Applying:
    """How motion is applied to a face, the same for all frames.

    ``mode`` "relative" adds the change since the first driving frame, "absolute" takes the driving values. ``ratio``
    scales expression and angles: scale of the reference character over that of the portrait. ``drive_eyes``: the eyes
    are driven; with ``follow_gaze`` they are turned against the head. ``fade`` one of FADE_TARGETS and ``fade_parts``
    of DRIVEN_PARTS.
    """

    drive: Drive = Drive()
    mode: str = "relative"
    ratio: float = 1.0
    drive_eyes: bool = True
    follow_gaze: bool = True
    fade: str = "none"
    fade_parts: tuple[str, ...] = ("expression",)

    def __post_init__(self) -> None:
        unknown = set(self.fade_parts) - set(DRIVEN_PARTS)
        if self.mode not in DRIVE_MODES or self.fade not in FADE_TARGETS or unknown:
            raise ValueError(
                f"mode is one of {DRIVE_MODES}, fade of {FADE_TARGETS}, fade_parts are of {DRIVEN_PARTS}; got {self}."
            )


@dataclass(frozen=True)
class FrameControls:
    """Per-frame controls.

    ``offset`` (T, 3) degrees added to pitch, yaw, roll, NaN where an angle stays in its logits; ``factor`` (T, 3) times
    the degrees, or times the logits where there is no offset; ``gate`` (T,) share of the driven expression;
    ``expression`` (T, K, 3) added; ``fade`` (T,) share of the motion, NaN for no fade; ``eyes`` (T, K, 3) what the
    blink table adds to the source's eyes, None without a table.
    """

    offset: Tensor
    factor: Tensor
    gate: Tensor
    expression: Tensor
    fade: Tensor
    eyes: Tensor | None = None

    @staticmethod
    def none(frames: int) -> FrameControls:
        """Controls that change nothing."""
        return FrameControls(
            torch.full((frames, 3), math.nan),
            torch.ones(frames, 3),
            torch.ones(frames),
            torch.zeros(frames, KEYPOINTS, 3),
            torch.full((frames,), math.nan),
        )

    def __getitem__(self, frames: slice) -> FrameControls:
        held = vars(self).items()
        return replace(self, **{name: value[frames] for name, value in held if value is not None})
