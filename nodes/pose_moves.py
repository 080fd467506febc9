"""Head poses without a video: movement by itself, and curves drawn on the canvas."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.interpolation import loudness_at
from ..playmate_core.motion.head_moves import HEAD_MOVES, HeadMove, head_move, on_top_of
from ..playmate_core.motion.pose_curves import pose_from_curves
from ..playmate_core.values import FPS, AudioFeatures, Portrait, Pose
from . import sockets
from .inputs import seed_input
from .pose_sources import AROUND, pose_output

MOVE = HeadMove()


class PoseProcedural(io.ComfyNode):
    """The head moves by itself."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PoseProcedural",
            "Pose Procedural",
            "pose",
            ["idle", "nod", "shake", "look around", "breathe", "head animation"],
            description="Moves the head by itself: idles, nods, shakes, looks around, breathes, or nods on the stresses"
            " of the speech. Chain it to add one move to another.",
            inputs=[
                sockets.Choice("move", options=list(HEAD_MOVES), default=MOVE.move, tooltip="How the head moves."),
                _number("amount", MOVE.amount, 0.0, 5.0, "Times its usual size; 0 is still."),
                _number("speed", MOVE.speed, 0.1, 5.0, "Times its usual pace."),
                seed_input("Another seed, another movement, for those that wander."),
                _seconds("How long it lasts; with speech connected, as long as the speech."),
                sockets.Portrait.Input("portrait", optional=True, tooltip=AROUND),
                sockets.Audio.Input("speech", optional=True, tooltip="Its stresses, and its length."),
                sockets.Pose.Input("pose", optional=True, tooltip="A pose to move on top of."),
            ],
            outputs=[pose_output()],
        )

    @classmethod
    def execute(
        cls,
        move: str,
        amount: float,
        speed: float,
        seed: int,
        seconds: float,
        portrait: Portrait | None = None,
        speech: AudioFeatures | None = None,
        pose: Pose | None = None,
    ) -> io.NodeOutput:
        fps = FPS if pose is None else pose.fps
        if pose is not None and len(pose) > 1:
            frames = len(pose)
        else:
            frames = max(1, round((seconds if speech is None else len(speech) / speech.fps) * fps))
        energy = None if speech is None else loudness_at(speech, frames, fps)
        moved = head_move(HeadMove(move, amount, speed, seed), frames, fps, energy)
        below = portrait.rest.pose if pose is None and portrait is not None else pose
        return io.NodeOutput(moved if below is None else on_top_of(moved, below))


class PoseFromCurves(io.ComfyNode):
    """The head follows drawn curves."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PoseFromCurves",
            "Pose From Curves",
            "pose",
            ["curve", "draw head motion"],
            description="Turns the head along curves drawn with ComfyUI's Curve Editor; the middle is no turn.",
            inputs=[
                _number("degrees", 20.0, 0.0, 60.0, "Degrees at the upper edge; the lower is minus that."),
                _seconds("How long the curves last, from left to right."),
                *(
                    sockets.Curve.Input(
                        axis,
                        optional=True,
                        tooltip=f"The curve of {axis}; none is no {axis}.",
                        extra_dict={"forceInput": True},
                    )
                    for axis in ("pitch", "yaw", "roll")
                ),
                sockets.Portrait.Input("portrait", optional=True, tooltip=AROUND),
            ],
            outputs=[pose_output()],
        )

    @classmethod
    def execute(cls, degrees: float, seconds: float, portrait: Portrait | None = None, **curves: Any) -> io.NodeOutput:
        read = tuple(sockets.curve_points(curves.get(axis)) for axis in ("pitch", "yaw", "roll"))
        moved = pose_from_curves(read, degrees, seconds)
        return io.NodeOutput(moved if portrait is None else on_top_of(moved, portrait.rest.pose))


def _seconds(tooltip: str) -> Any:
    return sockets.Time("seconds", 5.0, 0.04, 3600.0, tooltip)


def _number(name: str, default: float, low: float, high: float, tooltip: str) -> Any:
    return io.Float.Input(name, default=default, min=low, max=high, step=0.05, tooltip=tooltip)
