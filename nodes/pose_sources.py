"""Sources of head pose. All nodes here output the same socket type, so one replaces another."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..playmate_core.motion.pose_sources import SEEN_FROM, FollowOptions, follow_pose, posed, read_keys, written_pose
from ..playmate_core.rendering.portrait import read_motion
from ..playmate_core.values import Motion, Portrait, Pose
from . import sockets
from .inputs import SMOOTHING, crop_input, fps_input, smooth_input, video_inputs
from .media import one_picture, video_source
from .portrait import read_driving_frames
from .runtime import Managed, explain_missing_package, loaded
from .widgets import verdict

DEFAULTS = FollowOptions()
AROUND = "With a portrait connected, the numbers are counted from the pose in its picture, else from facing the camera."
KEYS = "# seconds: pitch yaw roll\n0.0: 0 0 0\n1.0: 6 -15 0\n2.0: -4 15 5\n3.0: 0 0 0"


class PoseFromVideo(io.ComfyNode):
    """Head pose from a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PoseFromVideo",
            "Pose From Video",
            "pose",
            ["head tracking", "driving video", "pose override"],
            description="Reads how the head moves in a video, to lay that movement on the portrait.",
            inputs=[
                *video_inputs("head"),
                sockets.Portrait.Input(
                    "portrait", optional=True, tooltip="Who will follow; the movement then begins at its own pose."
                ),
                seen_from_input(),
                smooth_input(),
                fps_input(),
                crop_input(),
            ],
            outputs=[pose_output()],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        face_model: Managed,
        video: Any,
        seen_from: str,
        smooth: float,
        fps: float,
        crop: str,
        portrait: Portrait | None = None,
    ) -> io.NodeOutput:
        seen = read_driving_frames(face_model, video_source(video, fps), crop)
        return io.NodeOutput(follow_pose(seen.pose, _rest_of(portrait), FollowOptions(seen_from, smooth * SMOOTHING)))


class PoseFromImage(io.ComfyNode):
    """Constant head pose from a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PoseFromImage",
            "Pose From Image",
            "pose",
            ["head pose", "pose override"],
            description="Reads how the head is held in a picture; it is then held so.",
            inputs=[
                sockets.Face.Input("face_model", tooltip="From Load Face Model."),
                io.Image.Input("image", tooltip="One picture of a head."),
                crop_input(),
            ],
            outputs=[pose_output()],
        )

    @classmethod
    @explain_missing_package
    def execute(cls, face_model: Managed, image: Tensor, crop: str) -> io.NodeOutput:
        with loaded(face_model) as (face,):
            seen = read_motion(face, [one_picture(image)], crop=crop)
        return io.NodeOutput(follow_pose(seen.pose, None))


class PoseStatic(io.ComfyNode):
    """Constant head pose from widgets."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PoseStatic",
            "Pose Static",
            "pose",
            ["still head", "head angle", "pose override"],
            description="Holds the head still at these angles. All zero and a portrait connected is a still portrait.",
            inputs=[
                sockets.Portrait.Input("portrait", optional=True, tooltip=AROUND),
                angle_input("pitch", 60.0, "Degrees the head nods: positive looks down."),
                angle_input("yaw", 60.0, "Degrees the head turns aside."),
                angle_input("roll", 60.0, "Degrees the head leans."),
                angle_input("x", 1.0, "Shift across, in halves of the crop. Apply Pose needs translation on.", 0.01),
                angle_input("y", 1.0, "Shift down, in halves of the crop. Apply Pose needs translation on.", 0.01),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.25,
                    max=4.0,
                    step=0.01,
                    tooltip="How large the head is. Apply Pose needs scale on.",
                ),
            ],
            outputs=[pose_output()],
        )

    @classmethod
    def execute(
        cls, pitch: float, yaw: float, roll: float, x: float, y: float, scale: float, portrait: Portrait | None = None
    ) -> io.NodeOutput:
        return io.NodeOutput(posed((pitch, yaw, roll), (x, y), scale, _rest_of(portrait)))


class PoseKeyframes(io.ComfyNode):
    """Head pose from keyframes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PoseKeyframes",
            "Pose Keyframes",
            "pose",
            ["head animation", "timeline", "pose override"],
            description="Moves the head through keyframes written as text, smoothly and without overshooting.",
            inputs=[
                sockets.Portrait.Input("portrait", optional=True, tooltip=AROUND),
                io.String.Input(
                    "keys",
                    multiline=True,
                    default=KEYS,
                    tooltip="One key a line, time: pitch yaw roll in degrees, the time in seconds, m:ss or frames"
                    " (50f). Three numbers more are x, y and scale. A line that begins with # is a remark.",
                ),
            ],
            outputs=[pose_output()],
        )

    @classmethod
    def validate_inputs(cls, keys: str) -> str | bool:
        return verdict(read_keys, keys)

    @classmethod
    def execute(cls, keys: str, portrait: Portrait | None = None) -> io.NodeOutput:
        return io.NodeOutput(written_pose(keys, around=_rest_of(portrait)))


class PoseFromMotion(io.ComfyNode):
    """Take the head pose out of a motion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PoseFromMotion",
            "Pose From Motion",
            "pose",
            ["extract pose", "pose override"],
            description="Takes the head pose out of any motion: of another take, of a file, of a video.",
            inputs=[sockets.Motion.Input("motion", tooltip="Any motion.")],
            outputs=[pose_output()],
        )

    @classmethod
    def execute(cls, motion: Motion) -> io.NodeOutput:
        return io.NodeOutput(motion.pose)


def pose_output() -> Any:
    return sockets.Pose.Output(display_name="pose", tooltip="For Apply Pose.")


def angle_input(name: str, limit: float, tooltip: str, step: float = 0.5) -> Any:
    return io.Float.Input(name, default=0.0, min=-limit, max=limit, step=step, tooltip=tooltip)


def _rest_of(portrait: Portrait | None) -> Pose | None:
    return None if portrait is None else portrait.rest.pose


def seen_from_input() -> Any:
    return sockets.Choice(
        "seen_from",
        options=list(SEEN_FROM),
        default=DEFAULTS.seen_from,
        tooltip="Movement since the first frame, or since the most frontal one; absolute takes the video's own angles.",
    )
