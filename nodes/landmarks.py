"""Motion from the blend shapes that ComfyUI's own face landmarker finds in a video."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..playmate_core.errors import UserError
from ..playmate_core.motion.arkit_import import HEAD_CHOICES, head_rotation, on_face
from ..playmate_core.motion.arkit_tables import ShapeClip, shapes_of_names
from ..playmate_core.values import FPS, Portrait
from . import sockets

NO_SHAPES = "The landmarks hold no blend shapes; please connect those of ComfyUI's MediaPipe Face Landmarker."


class MotionFromLandmarks(io.ComfyNode):
    """Expression and head of a face whose landmarks were found."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "MotionFromLandmarks",
            "Motion From Landmarks",
            "motion",
            ["blendshapes", "arkit", "mediapipe", "webcam", "performance capture"],
            description="Lets a portrait do what the 52 blend shapes of ComfyUI's MediaPipe Face Landmarker say: lids,"
            " gaze, brows, jaw, smile and pucker, and the turns of the head.",
            inputs=[
                sockets.FaceLandmarks.Input(
                    "landmarks",
                    optional=True,  # a graph may be saved where ComfyUI has no Face Landmarker
                    tooltip="From ComfyUI's MediaPipe Face Landmarker, of the frames of a video.",
                ),
                sockets.Portrait.Input("portrait", tooltip="Who will do the same, from Encode Portrait."),
                io.Float.Input(
                    "fps", default=FPS, min=1.0, max=240.0, step=0.01, tooltip="Frames a second of that video."
                ),
                io.Int.Input("face", default=0, min=0, max=15, tooltip="Which of several faces, counted from 0."),
                sockets.Choice(
                    "head",
                    options=list(HEAD_CHOICES),
                    default="relative",
                    tooltip="relative: the portrait's own pose and what changes since the first frame. absolute: the"
                    " turns as they were found. none: the head stays still.",
                ),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="The same on the portrait's face.")],
        )

    @classmethod
    def execute(
        cls, portrait: Portrait, fps: float, face: int, head: str, landmarks: Any | None = None
    ) -> io.NodeOutput:
        clip = found_shapes(landmarks, face, fps)
        return io.NodeOutput(on_face(clip.motion(portrait.keypoint_space), portrait.rest, head))


def found_shapes(landmarks: Any, face: int, fps: float) -> ShapeClip:
    """FACE_LANDMARKS -> the shapes of one face; frames without it lie between its neighbours. Raises UserError."""
    try:
        found = {at: faces[face] for at, faces in enumerate(landmarks["frames"]) if face < len(faces)}
        shapes = [one["blendshapes"] for one in found.values()]
        matrices = [one.get("transformation_matrix", np.eye(4)) for one in found.values()]
        total = len(landmarks["frames"])
    except (KeyError, TypeError, AttributeError):
        raise UserError(NO_SHAPES) from None
    if not found:
        raise UserError(f"No frame has a face {face}; please choose a smaller number, or a video with a face.")
    rotation = head_rotation(torch.from_numpy(np.stack(matrices).astype(np.float64)))
    clip = shapes_of_names(shapes, rotation, fps)
    return clip if len(found) == total else clip.spread(list(found), total)
