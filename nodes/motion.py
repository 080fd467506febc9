"""Nodes that read motion from a video, scale it and plot it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..playmate_core.errors import UserError
from ..playmate_core.interpolation import loudness_at
from ..playmate_core.motion.driving import ANIMAL, MODES, DrivingOptions
from ..playmate_core.motion.edit import Regions, scale_regions
from ..playmate_core.motion.motion_file import MotionClip
from ..playmate_core.motion.plot import draw_keypoints, plot_motion
from ..playmate_core.motion.plot_marks import NO_MARKS, read_marks
from ..playmate_core.motion.pose import REFERENCES
from ..playmate_core.rendering.guided_motion import guided_motion
from ..playmate_core.rendering.retarget import require_networks
from ..playmate_core.values import FPS, AudioFeatures, Motion, Portrait
from . import sockets
from .drawing import gathered, refuse_too_many
from .inputs import SMOOTHING, crop_input, fps_input, limit_input, smooth_input, video_inputs
from .media import to_image, video_source
from .portrait import read_driving_clip, read_driving_frames
from .runtime import Bar, Managed, explain_missing_package, loaded

DRIVING = DrivingOptions()
REGIONS = {
    "lips": "How far the lips move; 0 keeps them as in the picture.",
    "eyes": "The same for lids and gaze.",
    "expression": "The same for everything else in the face.",
    "pose": "The same for the head.",
}


class MotionFromVideo(io.ComfyNode):
    """Pose and expression of a face in a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "MotionFromVideo",
            "Motion From Video",
            "motion",
            ["driving video", "reenactment", "performance capture"],
            description="Reads head and face of a video frame by frame, to let a portrait do the same, without audio.",
            inputs=[
                *video_inputs("face"),
                sockets.Portrait.Input(
                    "portrait",
                    optional=True,
                    tooltip="Who will do the same: the motion is then carried over to this face. Without it the motion"
                    " stays that of the person in the video.",
                ),
                sockets.Choice(
                    "mode",
                    options=[*MODES, ANIMAL],
                    default=DRIVING.mode,
                    tooltip="relative: what changes in the video, on top of the portrait's own face and pose."
                    " absolute: the video's own values. animal: all of them, damped, as LivePortrait drives animals.",
                ),
                sockets.Choice(
                    "reference",
                    options=list(REFERENCES),
                    default=DRIVING.reference,
                    tooltip="The frame of the video that counts as its rest: the first, or the most frontal one.",
                ),
                smooth_input(0.0),
                fps_input(),
                crop_input(),
                *_retarget_inputs(),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="What was seen, at the video's own rate.")],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        face_model: Managed,
        video: Any,
        mode: str,
        reference: str,
        smooth: float,
        fps: float,
        crop: str,
        retarget_eyes: bool = False,
        retarget_lips: bool = False,
        close_lips: bool = False,
        portrait: Portrait | None = None,
    ) -> io.NodeOutput:
        options = DrivingOptions(mode, reference, smoothing=smooth * SMOOTHING)
        options = replace(options, retarget_eyes=retarget_eyes, retarget_lips=retarget_lips, close_lips=close_lips)
        if portrait is None and (retarget_eyes or retarget_lips or close_lips):
            raise UserError("Eyes and lips are retargeted to a portrait; please connect one to Motion From Video.")
        with loaded(face_model) as (face,):
            require_networks(face, options)
        source = video_source(video, fps)
        if options.retargets:
            clip = read_driving_clip(face_model, source, crop)
        else:
            clip = MotionClip(read_driving_frames(face_model, source, crop))
        if portrait is None:
            return io.NodeOutput(clip.motion)
        with loaded(face_model) as (face,):
            return io.NodeOutput(guided_motion(face, portrait, clip, options))


def _retarget_inputs() -> list[Any]:
    """LivePortrait's retargeting, which sets how open eyes and lips are."""
    needs = "Needs LivePortrait's face model, and a detector (mediapipe or insightface)"
    told = {
        "retarget_eyes": f"Open the portrait's eyes as far as those in the video. {needs} for both faces.",
        "retarget_lips": f"Open the portrait's lips as far as those in the video. {needs} for both faces.",
        "close_lips": f"Start from a closed mouth where the portrait's is open, in relative mode. {needs}.",
    }
    return [
        io.Boolean.Input(name, default=False, tooltip=tooltip, **sockets.advanced(io.Boolean.Input))
        for name, tooltip in told.items()
    ]


class ScaleMotion(io.ComfyNode):
    """More or less movement, region by region."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "ScaleMotion",
            "Motion Strength",
            "motion",
            ["lips only", "head motion strength", "amplify"],
            description="Makes lips, eyes, expression and head move more or less: 0 keeps a region as it is in the"
            " picture, 1 leaves its movement, 2 doubles it.",
            inputs=[
                sockets.Motion.Input("motion", tooltip="Any motion."),
                sockets.Portrait.Input("portrait", tooltip="Whose rest the movement departs from."),
                *(
                    io.Float.Input(name, default=1.0, min=0.0, max=3.0, step=0.05, tooltip=tooltip)
                    for name, tooltip in REGIONS.items()
                ),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="The scaled motion.")],
        )

    @classmethod
    def execute(cls, motion: Motion, portrait: Portrait, **gains: float) -> io.NodeOutput:
        return io.NodeOutput(scale_regions(motion, portrait.rest, Regions(**gains)))


class PlotMotion(io.ComfyNode):
    """A motion as curves."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PlotMotion",
            "Plot Motion",
            "motion",
            ["curves", "graph", "inspect motion"],
            description="Draws a motion over time: head in degrees, how open lips, eyes and brows are, and jumps.",
            inputs=[
                sockets.Motion.Input("motion", tooltip="Any motion."),
                sockets.Audio.Input(
                    "speech", optional=True, tooltip="Its loudness is shaded behind the curves, and its silences."
                ),
                io.Int.Input("width", default=1200, min=256, max=4096, step=16, tooltip="Pixels across."),
                io.Int.Input("height", default=720, min=256, max=4096, step=16, tooltip="Pixels down."),
                io.String.Input(
                    "marks",
                    default=NO_MARKS,
                    tooltip="Times to mark, such as those of keys: 1.5, 0:03, 50f in seconds, m:ss or frames; or none.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The drawing.")],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls, motion: Motion, width: int, height: int, marks: str = NO_MARKS, speech: AudioFeatures | None = None
    ) -> io.NodeOutput:
        read_marks(marks, FPS)
        energy = None if speech is None else loudness(speech, motion)
        drawn = plot_motion(motion, energy, width, height, read_marks(marks, motion.fps))
        return io.NodeOutput(to_image(drawn))


class PreviewKeypoints(io.ComfyNode):
    """A motion as dots."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PreviewKeypoints",
            "Preview Keypoints",
            "motion",
            ["dots", "landmarks", "quick preview"],
            description="Draws the keypoints of a portrait under a motion: a look at the movement in no time, without"
            " any network.",
            inputs=[
                sockets.Portrait.Input("portrait", tooltip="From Encode Portrait."),
                sockets.Motion.Input("motion", tooltip="Any motion."),
                io.Int.Input("size", default=256, min=64, max=1024, step=16, tooltip="Pixels a side."),
                limit_input(),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="One picture a frame.")],
        )

    @classmethod
    @explain_missing_package
    def execute(cls, portrait: Portrait, motion: Motion, size: int, max_gb: float) -> io.NodeOutput:
        refuse_too_many(len(motion), size, size, max_gb, "make size smaller or the motion shorter")
        drawn = Bar().along(draw_keypoints(portrait, motion, size), len(motion))
        return io.NodeOutput(gathered(map(to_image, drawn), len(motion)))


def loudness(speech: AudioFeatures, motion: Motion) -> Tensor:
    """That of every frame of ``motion``, at whatever rate; silence after the end of the speech."""
    return loudness_at(speech, len(motion), motion.fps)
