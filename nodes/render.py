"""From motion to pictures: as a batch, into a file, and back into the whole picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..playmate_core.detection.paste_options import PasteOptions
from ..playmate_core.media.images import to_bytes
from ..playmate_core.media.video_options import VideoOptions
from ..playmate_core.rendering.render import EXPRESSIONS, RenderOptions, paste_back, pasted_weights
from ..playmate_core.rendering.segments import VideoOutput, write_video
from ..playmate_core.rendering.video_portrait import paste_into_video, video_of
from ..playmate_core.rendering.write_video import Composition
from ..playmate_core.values import Motion, Portrait
from . import sockets
from .drawing import gathered, node_mark, recipe, refuse_too_many, render_job, saved_video
from .encoding import (
    MASK_TOOLTIP,
    at_rate,
    composition,
    crf_input,
    encoding_inputs,
    paste_inputs,
    paste_weights,
    suffix_of,
)
from .inputs import limit_input, mark_input, prefix_input
from .live_frame import LiveFrames
from .media import colours, recording
from .runtime import Bar, Managed, explain_missing_package
from .saving import SavingNode, output_file, parts_folder

DEFAULTS = RenderOptions()
TO_FILE = "use Render To Video, which needs none of it, or make the motion shorter"


class Render(io.ComfyNode):
    """Frames as IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "Render",
            "Render",
            "render",
            ["draw frames", "animate portrait", "decode motion"],
            description="Draws the face under every frame of the motion, as a batch of pictures in memory. A minute of"
            " 512 x 512 takes 4.7 GB; Render To Video takes none.",
            inputs=[
                *_scene_inputs(),
                limit_input(),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The face crop, one picture a frame."),
                io.Float.Output(display_name="fps", tooltip="Frames a second, for Create Video."),
            ],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        face_model: Managed,
        portrait: Portrait,
        motion: Motion,
        max_gb: float,
        **options: Any,
    ) -> io.NodeOutput:
        how, crop, bar = RenderOptions(**options), Composition(), Bar()
        refuse_too_many(len(motion), *crop.size(portrait), max_gb, TO_FILE)
        with render_job(face_model, portrait, motion, how, crop, bar) as job:
            return io.NodeOutput(gathered(job.pictures(bar), job.frames), job.fps)


class RenderToVideo(SavingNode):
    """Frames into a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "RenderToVideo",
            "Render To Video",
            "render",
            ["save video", "long video", "animate portrait", "mp4"],
            description="Draws the motion straight into a video file in the output folder, with the audio. The memory"
            " it takes does not grow with the length. After a change, only the ten-second parts that changed are drawn"
            " again.",
            inputs=[
                *_scene_inputs(),
                io.Audio.Input("audio", optional=True, tooltip="The sound of the video, usually from Encode Audio."),
                io.Boolean.Input(
                    "paste_back",
                    default=False,
                    tooltip="Put the face back into the whole picture instead of showing the crop.",
                ),
                crf_input(),
                prefix_input(),
                mark_input(),
                *encoding_inputs(),
                io.Mask.Input("mask", optional=True, tooltip=f"With paste_back. {MASK_TOOLTIP}"),
                *paste_inputs(),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The file, for any node that takes a video.")],
            is_output_node=True,
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        face_model: Managed,
        portrait: Portrait,
        motion: Motion,
        paste_back: bool,
        crf: int,
        filename_prefix: str,
        mark: bool = True,
        codec: str = "h264",
        video_fps: float = 0.0,
        ping_pong: bool = False,
        alpha: str = "auto",
        feather: float = 1.0,
        mask_shape: str = "liveportrait",
        audio: dict[str, Any] | None = None,
        mask: Tensor | None = None,
        **options: Any,
    ) -> io.NodeOutput:
        how, bar, sound = RenderOptions(**options), Bar(LiveFrames()), None if audio is None else recording(audio)
        motion = at_rate(motion, video_fps)
        encoding = VideoOptions(crf, codec=codec, ping_pong=ping_pong, alpha=alpha)
        shown = composition(portrait, paste_back, mask, feather, mask_shape, encoding)
        told = {"frames": len(motion), "fps": motion.fps, "rendering": how, "paste_back": paste_back, "crf": crf}
        marked = node_mark(mark, paste_back, cls, {**told, "encoding": encoding})
        with output_file(filename_prefix, suffix_of(codec), *shown.size(portrait)[::-1]) as (path, saved):
            encoding.check(path, motion.fps)
            encoding = replace(encoding, tags=recipe(cls.hidden), mark=marked)
            output = VideoOutput(path, sound, encoding=encoding, parts=parts_folder())
            with render_job(face_model, portrait, motion, how, shown, bar) as job:
                write_video(job, output, bar)
        return saved_video(path, saved)


class PasteBack(io.ComfyNode):
    """Crops into their picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PasteBack",
            "Paste Back",
            "render",
            ["composite", "uncrop", "full picture"],
            description="Puts rendered faces back into the whole picture, without a seam.",
            inputs=[
                sockets.Portrait.Input("portrait", tooltip="Whose picture it is, from Encode Portrait."),
                io.Image.Input("images", tooltip="Faces from Render, perhaps edited since, but of the same size."),
                limit_input(),
                io.Mask.Input("mask", optional=True, tooltip=MASK_TOOLTIP),
                *paste_inputs(),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The whole picture, one for each face."),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="The mask that was used, in the whole picture: white where only the face is seen. Of a"
                    " video its first frame's.",
                ),
            ],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        portrait: Portrait,
        images: Tensor,
        max_gb: float,
        feather: float = 1.0,
        mask_shape: str = "liveportrait",
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        weights = paste_weights(portrait, mask, PasteOptions(mask_shape, feather))
        height, width = portrait.image.shape[:2]
        refuse_too_many(len(images), height, width, max_gb, "let Render To Video paste back into a file")
        faces = (to_bytes(colours(one[None])) for one in Bar().along(images, len(images)))
        if video := video_of(portrait):
            pasted = gathered(paste_into_video(video, faces, len(images), weights), len(images))
        else:
            pasted = gathered(paste_back(portrait, faces, weights), len(images))
        return io.NodeOutput(pasted, pasted_weights(portrait, weights)[None])


def _scene_inputs() -> list[Any]:
    return [
        sockets.Face.Input("face_model", tooltip="From Load Face Model."),
        sockets.Portrait.Input("portrait", tooltip="Who is drawn, from Encode Portrait."),
        sockets.Motion.Input("motion", tooltip="What they do."),
        sockets.Choice(
            "expression",
            options=list(EXPRESSIONS),
            default=DEFAULTS.expression,
            tooltip="absolute: the motion's expression as it is. relative: its change, on top of the picture's own."
            " auto: relative for faces that the face model hardly knows.",
        ),
        io.Boolean.Input(
            "stitching",
            default=DEFAULTS.stitching,
            tooltip="Keep neck and shoulders in place, where the face model has learned to.",
            **sockets.advanced(io.Boolean.Input),
        ),
        io.Int.Input(
            "batch",
            default=DEFAULTS.batch,
            min=1,
            max=64,
            tooltip="Frames drawn at once. Changes speed and memory, not the picture.",
            **sockets.advanced(io.Int.Input),
        ),
    ]
