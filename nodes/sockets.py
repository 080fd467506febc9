"""Socket types of our nodes, and features that only newer versions of ComfyUI have."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from comfy_api.latest import io

from ..playmate_core.errors import UserError

Face = io.Custom("PLAYMATE_FACE")  # runtime.Managed around a FaceModel
MotionModel = io.Custom("PLAYMATE_MOTION_MODEL")  # runtime.MotionModel
AudioEncoder = io.Custom("PLAYMATE_AUDIO_ENCODER")  # playmate_core.speech.AudioEncoder
Crop = io.Custom("PLAYMATE_CROP")  # FaceCrop
Portrait = io.Custom("PLAYMATE_PORTRAIT")  # Portrait
Audio = io.Custom("PLAYMATE_AUDIO")  # AudioFeatures
Emotion = io.Custom("PLAYMATE_EMOTION")  # EmotionSchedule
Pose = io.Custom("PLAYMATE_POSE")  # Pose
Motion = io.Custom("PLAYMATE_MOTION")  # Motion
Takes = io.Custom("PLAYMATE_TAKES")  # Takes
# ComfyUI's own, which older versions lack.
FaceLandmarks = io.Custom("FACE_LANDMARKS")
BoundingBox = io.Custom("BOUNDING_BOX")
Curve = io.Custom("CURVE")
#: Samples that are taken of a drawn curve.
CURVE_SAMPLES = 500


#: How a time is written.
TIME = "Seconds, m:ss or frames (5f)."
#: What may be linked to a time beside text.
TIME_LINKS = ["FLOAT", "INT"]
#: str, or the subclass that 0.3.64 has for names of types.
_TypeName: Any = type(io.Combo.io_type)


class _WiderType(_TypeName):
    """The type of an input to which other types may be linked. What is sent is judged by ``execute``
    (:mod:`widgets`). ComfyUI compares types by ``!=``, for the sake of packs that do this."""

    also: frozenset[str] = frozenset()

    def __ne__(self, other: object) -> bool:
        return bool(super().__ne__(other)) and str(other) not in self.also


def _wider(name: str, *also: str) -> str:
    made = _WiderType(name)
    made.also = frozenset((*also, "*"))
    return made


class Choice(io.Combo.Input):
    """A choice that a name may be linked to: ComfyUI's primitives send no COMBO."""

    def get_io_type(self) -> str:
        return _wider(super().get_io_type(), "STRING")


class Time(io.String.Input):
    """A time that is typed as seconds, ``m:ss`` or frames, from ``low`` to ``high`` seconds; numbers may be linked to
    it, and are seconds. ``execute`` gets seconds (:mod:`widgets`).

    "linkable" tells the page (web/linked_times.js) what else its socket accepts: a MultiType would say so too, but is
    no widget to tools that know the widgets by the names of their types.
    """

    def __init__(self, id: str, default: float, low: float, high: float, tooltip: str, **more: Any) -> None:
        super().__init__(id, default=f"{default:g}", tooltip=f"{tooltip} {TIME}", **more)
        self.extra_dict = {"linkable": TIME_LINKS}  # 0.3.64 has no such keyword here
        self.default, self.low, self.high = default, low, high

    def get_io_type(self) -> str:
        return _wider(super().get_io_type(), *TIME_LINKS)


def known(kind: Callable[..., Any], **more: Any) -> dict[str, Any]:
    """Those of ``more`` that this ComfyUI's ``kind`` accepts: 0.3.64 knows neither ``advanced`` nor search aliases."""
    names = inspect.signature(kind).parameters
    return {name: value for name, value in more.items() if name in names}


def advanced(kind: type) -> dict[str, Any]:
    """The keyword that folds an input away, where there is one."""
    return known(kind, advanced=True)


def schema(node_id: str, name: str, room: str, aliases: list[str], **more: Any) -> io.Schema:
    """A schema under our id prefix and category, with the words people search for."""
    return io.Schema(
        node_id=f"Playmate{node_id}",
        display_name=name,
        category=f"Playmate/{room}" if room else "Playmate",
        **known(io.Schema, search_aliases=[*aliases, "playmate"]),
        **more,
    )


def curve_points(curve: Any) -> list[float] | None:
    """Evenly spaced samples from the left to the right end of a CURVE, None where none is connected.

    Raises UserError for one that is not a number everywhere.
    """
    if curve is None:
        return None
    points = [float(curve.interp(n / (CURVE_SAMPLES - 1))) for n in range(CURVE_SAMPLES)]
    if not all(map(math.isfinite, points)):
        raise UserError("The curve holds NaN or infinite numbers; please draw it again, or connect another.")
    return points
