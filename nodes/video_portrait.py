"""Somebody's video as the portrait: its frames are driven in their place."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.detection.crop import CropOptions
from ..playmate_core.detection.detect import Pick
from ..playmate_core.errors import UserError
from ..playmate_core.pipelines.over_video import REPLACED, OverVideo, motion_over_video
from ..playmate_core.rendering.portrait import FaceLimits
from ..playmate_core.rendering.source_video import FaceVideoOptions
from ..playmate_core.rendering.video_order import VIDEO_FITS
from ..playmate_core.rendering.video_portrait import VideoPortrait, read_video_portrait, video_of
from ..playmate_core.values import FPS, Motion, Portrait
from . import sockets
from .inputs import crop_input, fps_input, pick_inputs, video_inputs
from .media import footage
from .runtime import Bar, Managed, explain_missing_package, loaded

DEFAULTS = OverVideo()


class EncodeVideoPortrait(io.ComfyNode):
    """Encode every frame of a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "EncodeVideoPortrait",
            "Encode Video Portrait",
            "portrait",
            ["dub a video", "source video", "talk over video", "video to video", "reenactment"],
            description="Reads a video of somebody as a portrait: Render, Render To Video and Paste Back then draw into"
            " its frames. The video is read frame by frame; its length takes no memory.",
            inputs=[
                *video_inputs("face"),
                crop_input(),
                *pick_inputs(),
                sockets.Choice(
                    "fit",
                    options=list(VIDEO_FITS),
                    default=DEFAULTS.fit,
                    tooltip="What the video does when the motion is longer: hold its last frame, bounce back and"
                    " forth, loop, or cut the motion. A longer video is cut.",
                ),
                io.Boolean.Input(
                    "require_face",
                    default=True,
                    tooltip="Stop with a message if the first frame shows no face. Switch it off for faces the model"
                    " finds strange.",
                ),
                fps_input(),
            ],
            outputs=[
                sockets.Portrait.Output(
                    display_name="portrait", tooltip="The person in the first frame, and the video around them."
                ),
                sockets.Motion.Output(display_name="motion", tooltip="What they do in the video, at its own rate."),
            ],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        face_model: Managed,
        video: Any,
        crop: str,
        order: str,
        index: int,
        scale: float,
        fit: str,
        require_face: bool,
        fps: float = FPS,
    ) -> io.NodeOutput:
        pick = Pick(order, index) if (order, index) != (Pick.order, Pick.index) else None
        options = FaceVideoOptions(crop, pick, CropOptions(scale))
        limits = FaceLimits() if require_face else None
        with loaded(face_model) as (face,):
            portrait = read_video_portrait(face, footage(video, fps), options, fit, limits, Bar())
        return io.NodeOutput(portrait, portrait.video.motion)


class MotionOverVideo(io.ComfyNode):
    """A motion in place of what a video does."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "MotionOverVideo",
            "Motion Over Video",
            "motion",
            ["dubbing", "lips only", "replace speech", "talk over loop", "reenactment"],
            description="Lets a motion replace the lips, the face or everything of what somebody does in a video; all"
            " else stays as it is in the video. The result has the video's rate and can be edited like any motion.",
            inputs=[
                sockets.Portrait.Input("portrait", tooltip="From Encode Video Portrait."),
                sockets.Motion.Input("motion", tooltip="What replaces it, for example from Sample Motion."),
                sockets.Choice(
                    "over",
                    options=list(REPLACED),
                    default=DEFAULTS.replaced,
                    tooltip="lips: dubbing, every bit of the rest is the video's. face: lips, eyes and brows, under the"
                    " video's head. all: the head too, on top of the video's own movement.",
                ),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion", tooltip="Both in one, as long as the motion that came in.")
            ],
        )

    @classmethod
    def execute(cls, portrait: Portrait, motion: Motion, over: str) -> io.NodeOutput:
        video = _video(portrait)
        return io.NodeOutput(motion_over_video(video.video, motion, OverVideo(over, video.fit))[1])


def _video(portrait: Portrait) -> VideoPortrait:
    video = video_of(portrait)
    if video is None:
        raise UserError("This portrait is a single picture; please connect one from Encode Video Portrait.")
    return video
