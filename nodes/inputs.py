"""Inputs shared by several nodes."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.detection.crop import CropOptions
from ..playmate_core.detection.detect import ORDERS, Pick
from ..playmate_core.detection.detectors import DETECTORS
from ..playmate_core.diffusion.emotion_schedule import NO_EMOTION
from ..playmate_core.diffusion.options import SamplingOptions
from ..playmate_core.motion.pose_sources import FollowOptions
from ..playmate_core.values import EMOTIONS, FPS
from . import sockets

#: What 1 on a node's smooth widget means.
SMOOTHING = FollowOptions().smoothing
BACKGROUND = "white"
NAMES = [*EMOTIONS, NO_EMOTION]
INTENSITY = {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}


def video_inputs(whose: str) -> list[Any]:
    """The reader and the video inputs of a node that tracks one ``whose``: face or head."""
    return [
        sockets.Face.Input("face_model", tooltip="From Load Face Model."),
        io.MultiType.Input(
            "video", [io.Video, io.Image], tooltip=f"A video of one {whose}, as VIDEO or as a batch of pictures."
        ),
    ]


def smooth_input(default: float = 1.0) -> Any:
    return io.Float.Input(
        "smooth",
        default=default,
        min=0.0,
        max=1000.0,
        step=0.5,
        tooltip="Calms the trembling of what was read: 0 leaves it, 1 is gentle, 100 is plain.",
    )


def fps_input() -> Any:
    return io.Float.Input(
        "fps",
        default=FPS,
        min=1.0,
        max=240.0,
        step=0.01,
        tooltip="Frames a second of a batch of pictures. A VIDEO knows its own.",
        **sockets.advanced(io.Float.Input),
    )


def crop_input() -> Any:
    return sockets.Choice(
        "crop",
        options=["auto", "whole", *DETECTORS],
        default="auto",
        tooltip="Where the face is. auto: a picture that is about the head is taken as it is, in any other a detector"
        " looks. whole: the largest square of the picture. Or a detector by name.",
    )


def pick_inputs() -> list[Any]:
    """Which of several faces, and how much around it."""
    pick = Pick()
    return [
        sockets.Choice(
            "order",
            options=list(ORDERS),
            default=pick.order,
            tooltip="How several faces are counted: the largest first, or from the left.",
        ),
        io.Int.Input("index", default=pick.index, min=0, max=99, tooltip="Which of several faces, counted from 0."),
        io.Float.Input(
            "scale",
            default=CropOptions().scale,
            min=1.0,
            max=5.0,
            step=0.05,
            tooltip="How much around the face to take, in sizes of the face. Not used with whole.",
        ),
    ]


def emotion_inputs() -> list[Any]:
    """One emotion, and how strong it is."""
    return [
        sockets.Choice(
            "emotion", options=NAMES, default="happy", tooltip="What the face shows; none leaves it to the voice."
        ),
        io.Float.Input("intensity", **INTENSITY, tooltip="0 is neutral, 1 as strong as in training."),
    ]


def seed_input(tooltip: str) -> Any:
    return io.Int.Input(
        "seed", default=SamplingOptions().seed, min=0, max=2**63 - 1, control_after_generate=True, tooltip=tooltip
    )


def limit_input() -> Any:
    """How much memory a batch of pictures may take."""
    return io.Float.Input(
        "max_gb",
        default=8.0,
        min=0.1,
        max=1024.0,
        step=0.5,
        tooltip="Refuse to begin when the pictures would take more memory than this.",
    )


def background_input() -> Any:
    """What is behind a transparent picture."""
    return io.String.Input(
        "background",
        default=BACKGROUND,
        tooltip="The colour behind a transparent picture (an IMAGE with alpha, as from Join Image with Alpha): a name"
        " such as white, or #00ff00.",
        **sockets.advanced(io.String.Input),
    )


def mark_input() -> Any:
    return io.Boolean.Input(
        "mark",
        default=True,
        tooltip="Say in the file that the video is synthetic: the IPTC's digital source type, and Playmate's name.",
        **sockets.advanced(io.Boolean.Input),
    )


def prefix_input(default: str = "video/Playmate") -> Any:
    return io.String.Input(
        "filename_prefix",
        default=default,
        tooltip="Name in ComfyUI's output folder, before the number. %date:yyyy-MM-dd% and the like work.",
    )
