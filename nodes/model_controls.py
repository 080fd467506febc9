"""Widgets for what is changed of how a published generator is run; the value each begins with is "as published"."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.diffusion.model_controls import CONDITIONED_ON, DRIVES, EYES, SUBJECTS, ModelControls
from . import sockets

AS_PUBLISHED = "as published"
LEADS = ("2", "0")


def loading_widgets() -> list[Any]:
    """What decides how a model listens and whom it is told of."""
    return [
        _choice("lead_frames", LEADS, "JoyVASA: frames of silence before the speech. It was published with 2, and its"
        " lips come 80 ms late; 0 has no delay."),
        _number("head_smoothing", 0.0, (0.0, 1.0, 0.01), "JoyVASA: share of each new frame in the running average of"
        " the head. 0 is as published (0.01, a head almost at rest), 0.1 keeps nods, 1 is no smoothing."),
        _choice("subject", SUBJECTS, "JoyVASA: an animal keeps its size, and its lips move from where they are. Needs"
        " LivePortrait's animal weights."),
        _choice("conditioned_on", CONDITIONED_ON, "Ditto: whose eyes and shape of face it is told. As published, those"
        " of its reference face where its file has one, else the portrait's."),
    ]  # fmt: skip


def sampling_widgets() -> list[Any]:
    """What an artist changes from take to take."""
    return [
        _choice("eyes", EYES, "Ditto: blink (blinks, and a gaze that stays when the head turns), gaze (no blinks) or"
        " still (the eyes of the picture)."),
        _time("blink_seconds", "Ditto: from one blink to the next, at least 0.6 s; 0 is as published (at random, 3 to 5"
        " s)."),
        _number("lips", 1.0, (0.0, 2.0, 0.05), "Ditto: how far the lips move, 1 as published."),
        _number("tilt", 0.0, (-30.0, 30.0, 0.5), "Ditto: degrees added to the pitch of the head."),
        _time("fade_in", "Ditto: how long the motion grows out of the picture's own face and pose."),
        _time("fade_out", "Ditto: how long the motion returns to the picture's own face and pose at the end."),
        _choice("drives", DRIVES, "Ditto: all (head and face) or face (the head keeps the picture's own pose)."),
    ]  # fmt: skip


def chosen(**widgets: Any) -> ModelControls:
    """What the widgets say; those at the value they begin with leave the model as it was published."""
    begins = {put.id: put.default for put in (*loading_widgets(), *sampling_widgets())}
    said = {name: value for name, value in widgets.items() if value != begins[name]}
    if "lead_frames" in said:
        said["lead_frames"] = int(said["lead_frames"])
    return ModelControls(**said)


def _choice(name: str, options: tuple[str, ...], tooltip: str) -> Any:
    folded = sockets.advanced(io.Combo.Input)
    return sockets.Choice(
        name, options=[AS_PUBLISHED, *options], default=AS_PUBLISHED, tooltip=tooltip, optional=True, **folded
    )


def _time(name: str, tooltip: str) -> Any:
    return sockets.Time(name, 0.0, 0.0, 60.0, tooltip, optional=True, **sockets.advanced(io.String.Input))


def _number(name: str, default: float, span: tuple[float, float, float], tooltip: str) -> Any:
    least, most, step = span
    folded = sockets.advanced(io.Float.Input)
    return io.Float.Input(
        name, default=default, min=least, max=most, step=step, tooltip=tooltip, optional=True, **folded
    )
