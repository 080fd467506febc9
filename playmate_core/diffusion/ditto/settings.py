"""Settings of Ditto's model, and the data it comes with; the defaults are those of the reference code."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...errors import UserError
from ...values import FPS, expect
from ..model_controls import ModelControls
from .blink import BLINK_FRAMES, NO_BLINKS, BlinkDistances
from .controls import DRIVE_MODES, DRIVEN_PARTS, FACE_ONLY_DRIVE, FADE_TARGETS, Drive
from .layout import COLUMNS, DITTO_EMOTIONS
from .source import SourceFace

#: The fields of ModelControls that Ditto has.
DITTO_CONTROLS = ("eyes", "blink_seconds", "lips", "tilt", "fade_in", "fade_out", "conditioned_on", "drives")
#: "offline" encodes a whole file first; "online" begins with silence and outputs ten frames at a time.
RUNS = ("offline", "online")


@dataclass(frozen=True)
class DittoSettings:
    """Settings that hold for a whole clip.

    ``run`` one of RUNS. ``reset``: every this many windows (0: never) the condition frame is the portrait's instead of
    the frame before, except in the columns ``kept``. ``smoothing``: frames over which the head pose is averaged.
    ``mode``, ``drive``, ``fade``, ``fade_parts`` as in :mod:`controls`, ``fade_in`` and ``fade_out`` in frames.
    ``drive_eyes``: the eyes move; with ``follow_gaze`` they turn against the head. ``blinks`` as in :mod:`blink`.
    ``gate``: weight of the driven expression. ``offsets``: degrees added to pitch, yaw, roll, None to leave an angle in
    its logits; ``factors`` multiply them. ``character``: condition on the file's reference character, if it has one,
    instead of the portrait.
    """

    run: str = "offline"
    reset: int = 0
    kept: tuple[int, int] | None = None
    smoothing: int = 3
    mode: str = "relative"
    drive: Drive = field(default_factory=Drive)
    drive_eyes: bool = True
    follow_gaze: bool = True
    hold_eyes: bool = False
    blinks: BlinkDistances = 0
    gate: float = 1.0
    offsets: tuple[float | None, float | None, float | None] = (None, None, None)
    factors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fade: str = "none"
    fade_parts: tuple[str, ...] = ("expression",)
    fade_in: int = -1
    fade_out: int = -1
    character: bool = True

    def __post_init__(self) -> None:
        for name, allowed in {"run": RUNS, "mode": DRIVE_MODES, "fade": FADE_TARGETS}.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"Unknown {name} {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")
        unknown = [part for part in self.fade_parts if part not in DRIVEN_PARTS]
        if unknown:
            raise UserError(f"Unknown part {unknown[0]!r}; choose of {', '.join(DRIVEN_PARTS)}.")
        if self.reset < 0 or self.smoothing < 1:
            raise UserError(f"Got reset {self.reset} and smoothing {self.smoothing}; choose from 0 and from 1 up.")

    def controlled(self, controls: ModelControls) -> DittoSettings:
        """These settings with the controls that are chosen."""
        made = self
        if controls.eyes is not None:
            moves, blinks = controls.eyes != "still", self.blinks if controls.eyes == "blink" else NO_BLINKS
            made = replace(made, drive_eyes=moves, follow_gaze=moves, blinks=blinks)
        if controls.blink_seconds is not None and made.blinks != NO_BLINKS:
            made = replace(made, blinks=max(round(controls.blink_seconds * FPS) - BLINK_FRAMES, 1))
        if controls.drives is not None:
            made = replace(made, drive=Drive() if controls.drives == "all" else FACE_ONLY_DRIVE)
        if controls.lips is not None:
            made = replace(made, drive=replace(made.drive, expression=controls.lips))
        if controls.tilt is not None:
            pitch, yaw, roll = made.offsets
            made = replace(made, offsets=((pitch or 0.0) + controls.tilt, yaw, roll))
        if controls.conditioned_on is not None:
            made = replace(made, character=controls.conditioned_on == "reference")
        return made._faded(controls.fade_in, controls.fade_out)

    def _faded(self, begin: float | None, end: float | None) -> DittoSettings:
        """Faded from and to the portrait, its pose included, within so many seconds."""
        if not begin and not end:
            return self
        frames = (round((seconds or 0.0) * FPS) or -1 for seconds in (begin, end))
        fade_in, fade_out = frames
        return replace(self, fade="source", fade_parts=DRIVEN_PARTS, fade_in=fade_in, fade_out=fade_out)


@dataclass(frozen=True)
class DittoData:
    """The data of the published configuration; None where it has none.

    ``emotions`` (m, 8): default emotion rows, repeated; ``blink_table`` (15, K, 3) added to the source's eyes;
    ``limits`` (2, 265): least and largest output numbers; ``character``: the face the model is conditioned on.
    ``steps`` and ``overlap``: sampling defaults.
    """

    emotions: Tensor | None = None
    blink_table: Tensor | None = None
    limits: Tensor | None = None
    character: SourceFace | None = None
    steps: int = 50
    overlap: int = 10

    def __post_init__(self) -> None:
        if self.emotions is not None:
            expect("DittoData.emotions", self.emotions, "m", len(DITTO_EMOTIONS))
        if self.blink_table is not None:
            expect("DittoData.blink_table", self.blink_table, "F", 21, 3)
        if self.limits is not None:
            expect("DittoData.limits", self.limits, 2, COLUMNS)

    def clamped(self, numbers: Tensor) -> Tensor:
        """Output numbers (T, 265) clamped to ``limits``."""
        return numbers if self.limits is None else torch.clamp(numbers, self.limits[0], self.limits[1])
