"""Nodes that replace the head pose of a motion, and that choose between poses."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.errors import UserError
from ..playmate_core.interpolation import FITS
from ..playmate_core.motion.pose import APPLY_MODES, ROTATION_ONLY, PoseAxes, apply_pose, fit, resample_pose
from ..playmate_core.values import Motion, Pose
from . import sockets
from .pose_sources import pose_output


class ApplyPose(io.ComfyNode):
    """Replace the head pose of a motion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "ApplyPose",
            "Apply Pose",
            "pose",
            ["pose override", "head motion", "retarget"],
            description="Lays a head pose on a motion, whatever lips, eyes and expression do.",
            inputs=[
                sockets.Motion.Input("motion", tooltip="What the face does."),
                sockets.Pose.Input("pose", tooltip="From any of the Pose nodes; swap one for another with one wire."),
                sockets.Choice(
                    "mode",
                    options=list(APPLY_MODES),
                    default="replace",
                    tooltip="replace: the pose takes over. add: it comes on top of the motion's own."
                    " mix: something between the two.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How much of the pose: its movement for replace and add, its share for mix.",
                ),
                sockets.Choice(
                    "fit",
                    options=list(FITS),
                    default="bounce",
                    tooltip="What a pose that is shorter than the motion does: hold its last frame, loop, bounce back"
                    " and forth, or stretch. A longer one is cut, except by stretch.",
                ),
                sockets.Time("fade", 0.0, 0.0, 10.0, "How long to ease from the motion's own pose into this one."),
                _axis("rotation", True, "Take the pose's turns."),
                _axis("translation", ROTATION_ONLY.translation, "Take where the head is in the picture."),
                _axis("scale", ROTATION_ONLY.scale, "Take how large the head is."),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="The same face on the other pose.")],
        )

    @classmethod
    def execute(
        cls,
        motion: Motion,
        pose: Pose,
        mode: str,
        strength: float,
        fit: str,
        fade: float,
        rotation: bool,
        translation: bool,
        scale: bool,
    ) -> io.NodeOutput:
        axes = PoseAxes(rotation, rotation, rotation, translation, scale)
        fitted = _fitted(pose, motion, fit)
        return io.NodeOutput(apply_pose(motion, fitted, mode, strength, axes, round(fade * motion.fps)))


class PoseSwitch(io.ComfyNode):
    """One of several poses."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PoseSwitch",
            "Pose Switch",
            "pose",
            ["choose pose", "select", "compare poses"],
            description="Passes one of up to four poses on; the others are not even computed.",
            inputs=[
                io.Int.Input("choice", default=1, min=1, max=4, tooltip="Which pose goes on."),
                *(
                    sockets.Pose.Input(f"pose_{n}", optional=True, lazy=True, tooltip=f"The pose of choice {n}.")
                    for n in range(1, 5)
                ),
            ],
            outputs=[pose_output()],
        )

    @classmethod
    def check_lazy_status(cls, choice: int, **poses: Any) -> list[str]:
        wanted = f"pose_{_number(choice)}"
        return [wanted] if wanted in poses and poses[wanted] is None else []

    @classmethod
    def execute(cls, choice: int, **poses: Any) -> io.NodeOutput:
        return io.NodeOutput(_chosen(choice, poses))


def _chosen(choice: int, poses: dict[str, Any]) -> Any:
    pose = poses.get(f"pose_{choice}")
    if pose is None:
        raise UserError(f"Nothing is connected to pose_{choice}; please connect a pose, or choose another number.")
    return pose


def _number(choice: Any) -> Any:
    """A linked choice as the whole number that execute will take it for."""
    text = str(choice).strip().removesuffix(".0")
    return text if text.isdecimal() else choice


def _fitted(pose: Pose, motion: Motion, how: str) -> Pose:
    return fit(resample_pose(pose, motion.fps), len(motion), how)


def _axis(name: str, default: bool, tooltip: str) -> Any:
    return io.Boolean.Input(name, default=default, tooltip=tooltip)
