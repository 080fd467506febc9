"""Guidance over time: typed keys, or a curve drawn with ComfyUI's Curve Editor."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.diffusion.options import GuidanceKeys, GuidanceScale
from ..playmate_core.errors import UserError
from ..playmate_core.values import AudioFeatures
from . import sockets

#: The text that leaves a number as it is.
CONSTANT = "none"
NAMES = ("cfg_audio", "cfg_emotion")


def curve_sockets() -> list[Any]:
    """A drawn curve for each number."""
    return [
        sockets.Curve.Input(
            f"{name}_curve",
            optional=True,
            tooltip=f"A drawn curve over the whole speech: {name} times its height, so the upper edge is {name}"
            " itself.",
            extra_dict={"forceInput": True},
        )
        for name in NAMES
    ]


def key_widgets() -> list[Any]:
    """Typed keys for each number."""
    return [
        io.String.Input(
            f"{name}_keys",
            default=CONSTANT,
            tooltip=f"{name} over time instead of the number: 0:1.5, 0:02.5:3 with times in seconds, m:ss or frames"
            " (50f). none: the number, always.",
            **sockets.advanced(io.String.Input),
        )
        for name in NAMES
    ]


def over_time(options: dict[str, Any], speech: AudioFeatures) -> dict[str, Any]:
    """``options`` of Sample Motion whose keys and curves have become values of ``cfg_audio`` and ``cfg_emotion``.

    A curve lasts as long as ``speech``. Raises UserError where both are given for one number, or keys cannot be read.
    """
    left = dict(options)
    texts = {name: left.pop(f"{name}_keys", CONSTANT) for name in NAMES}
    typed = {name: GuidanceKeys.written(text) for name, text in texts.items() if text.strip().lower() != CONSTANT}
    for name in NAMES:
        keys, curve = typed.get(name), sockets.curve_points(left.pop(f"{name}_curve", None))
        if keys is not None and curve is not None:
            raise UserError(f"{name} has both keys and a curve; please set {name}_keys to none, or unplug the curve.")
        if keys is not None:
            left[name] = keys
        elif curve is not None:
            left[name] = _drawn(float(left[name]), curve, len(speech) / speech.fps)
    return left


def _drawn(number: float, curve: list[float], seconds: float) -> GuidanceScale:
    step = seconds / (len(curve) - 1)
    return GuidanceKeys(tuple((n * step, number * max(value, 0.0)) for n, value in enumerate(curve)))
