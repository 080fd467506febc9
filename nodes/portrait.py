"""From a picture to a portrait: detect the face, then encode it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..playmate_core.detection.crop import CropOptions, cut
from ..playmate_core.detection.detect import FaceSelection, Pick
from ..playmate_core.detection.detectors import DETECTORS
from ..playmate_core.errors import UserError
from ..playmate_core.media.transparency import read_colour
from ..playmate_core.motion.motion_file import MotionClip
from ..playmate_core.rendering.portrait import FaceLimits
from ..playmate_core.rendering.source_image import CROP_SIZE, crop_face, read_face_crop
from ..playmate_core.rendering.source_video import FaceVideoOptions, read_driving
from ..playmate_core.rendering.timed_motion import read_timed_motion
from ..playmate_core.values import FaceCrop, Motion
from . import sockets
from .inputs import BACKGROUND, background_input, pick_inputs
from .media import VideoSource, to_image, told_faces, transparent_picture
from .runtime import Bar, Managed, explain_missing_package, loaded
from .widgets import verdict


class CropPortrait(io.ComfyNode):
    """Choose the face crop."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "CropPortrait",
            "Crop Portrait",
            "portrait",
            ["face crop", "face detection"],
            description="Finds the face in a picture and cuts a square around it.",
            inputs=[
                io.Image.Input("image", tooltip="One picture with a face; of any size."),
                sockets.FaceLandmarks.Input(
                    "landmarks",
                    optional=True,
                    tooltip="Landmarks from ComfyUI's MediaPipe Face Landmarker, instead of looking for a face here.",
                ),
                sockets.BoundingBox.Input(
                    "box",
                    optional=True,
                    tooltip="A box around the face, instead of looking for one here.",
                    extra_dict={"forceInput": True},
                ),
                io.Mask.Input("mask", optional=True, tooltip="A mask over the face, instead of looking for one here."),
                *_widgets(),
                background_input(),
            ],
            outputs=[
                sockets.Crop.Output(display_name="crop", tooltip="Where the face is, with the whole picture."),
                io.Image.Output(display_name="preview", tooltip="The square that was cut out."),
            ],
        )

    @classmethod
    def validate_inputs(cls, background: str) -> str | bool:
        return verdict(read_colour, background)

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        image: Tensor,
        crop: str,
        order: str,
        index: int,
        scale: float,
        shift: float,
        upright: bool,
        background: str = BACKGROUND,
        **told: Any,
    ) -> io.NodeOutput:
        picture, transparency = transparent_picture(image, read_colour(background))
        pick, options = Pick(order, index), CropOptions(scale, shift, upright)
        faces = told_faces(picture, **told)
        if faces is None:
            found = crop_face(picture, crop, pick, options)
        else:
            face = pick.of(faces)
            found = FaceSelection(face, detected=face.landmarks is not None).crop(picture, CROP_SIZE, options)
        found = replace(found, transparency=transparency)
        return io.NodeOutput(found, to_image(cut(picture, found.crop_to_image, found.size)))


class EncodePortrait(io.ComfyNode):
    """Encode the face crop: appearance, keypoints, pose and expression."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "EncodePortrait",
            "Encode Portrait",
            "portrait",
            ["read face", "appearance"],
            description="Reads who the person is: the look, the shape of the face, its pose and expression at rest.",
            inputs=[
                sockets.Face.Input("face_model", tooltip="From Load Face Model."),
                sockets.Crop.Input("crop", tooltip="From Crop Portrait."),
                io.Boolean.Input(
                    "require_face",
                    default=True,
                    tooltip="Stop with a message if the crop shows no face. Switch it off for faces the model finds"
                    " strange, such as animals or abstract drawings.",
                ),
            ],
            outputs=[sockets.Portrait.Output(display_name="portrait", tooltip="The person, ready to be moved.")],
        )

    @classmethod
    @explain_missing_package
    def execute(cls, face_model: Managed, crop: FaceCrop, require_face: bool) -> io.NodeOutput:
        with loaded(face_model) as (face,):
            return io.NodeOutput(read_face_crop(face, crop, FaceLimits() if require_face else None).portrait)


def read_driving_frames(model: Managed, video: VideoSource, crop: str) -> Motion:
    """Read the motion of a face in a video, with progress on the node."""
    with loaded(model) as (face,):
        return read_timed_motion(face, video.frames, video.fps, crop, total=video.total, progress=Bar())


def read_driving_clip(model: Managed, video: VideoSource, crop: str) -> MotionClip:
    """The same with the openings of eyes and lips, where a detector tells them. Raises UserError for frames in memory,
    which cannot be looked through twice."""
    if video.path is None:
        raise UserError(
            "Retargeting needs a video file, as Load Video gives it, since a detector looks through it first; got"
            " pictures in memory."
        )
    with loaded(model) as (face,):
        return read_driving(face, video.path, FaceVideoOptions(crop), Bar())


def _widgets() -> list[Any]:
    options = CropOptions()
    return [
        sockets.Choice(
            "crop",
            options=["auto", "whole", *DETECTORS],
            default="auto",
            tooltip="auto: a picture that is about the head is taken as it is, in any other a detector looks"
            " for the face. whole: the largest square of the picture. Or a detector by name.",
        ),
        *pick_inputs(),
        io.Float.Input(
            "shift",
            default=options.shift,
            min=-1.0,
            max=1.0,
            step=0.005,
            tooltip="Moves the square down along the face, or up where negative, in its sides.",
            **sockets.advanced(io.Float.Input),
        ),
        io.Boolean.Input(
            "upright",
            default=options.upright,
            tooltip="Keep the square parallel to the picture even if the head is tilted.",
            **sockets.advanced(io.Boolean.Input),
        ),
    ]
