"""Several faces in one video, each with its own motion, and one who listens while another speaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..playmate_core.errors import UserError
from ..playmate_core.media.video_formats import format_named
from ..playmate_core.media.video_options import VideoOptions
from ..playmate_core.motion.listening import Listening, listening
from ..playmate_core.rendering.render import RenderOptions
from ..playmate_core.rendering.segments import VideoOutput, write_video
from ..playmate_core.rendering.several import ARRANGEMENTS, Arrangement, MovingFace
from ..playmate_core.values import AudioFeatures, Motion
from . import sockets
from .drawing import faces_render_job, node_mark, recipe, saved_video
from .encoding import CODECS, at_rate, crf_input, encoding_inputs, suffix_of
from .inputs import mark_input, prefix_input, seed_input
from .live_frame import LiveFrames
from .media import recording
from .motion import loudness
from .runtime import Bar, Managed, explain_missing_package
from .saving import SavingNode, output_file, parts_folder

#: Faces that one node takes.
MOST = 4
LISTENING, DEFAULTS = Listening(), RenderOptions()


class Listener(io.ComfyNode):
    """One who listens."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "Listener",
            "Listener",
            "motion/direct",
            ["dialogue", "conversation", "nod", "listen", "two speakers"],
            description="For a dialogue: closes the lips where the own speech is silent, and nods at what the other"
            " says meanwhile. Nothing else changes.",
            inputs=[
                sockets.Motion.Input("motion", tooltip="Sampled with the own speech."),
                sockets.Audio.Input("speech", tooltip="The own speech, from Encode Audio."),
                sockets.Audio.Input("other", tooltip="The speech of the other, as long."),
                io.Float.Input(
                    "nods",
                    default=LISTENING.nods,
                    min=0.0,
                    max=5.0,
                    step=0.1,
                    tooltip="How deep the nods are; 0 for none.",
                ),
                io.Float.Input(
                    "silence",
                    default=LISTENING.threshold,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Speech is silent where it is quieter than this.",
                ),
                seed_input("Another seed, nods at other times."),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="The motion of one who listens, too.")],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls, motion: Motion, speech: AudioFeatures, other: AudioFeatures, nods: float, silence: float, seed: int
    ) -> io.NodeOutput:
        how = Listening(nods, silence, seed)
        return io.NodeOutput(listening(motion, loudness(speech, motion), loudness(other, motion), how))


class RenderFacesToVideo(SavingNode):
    """Several faces into a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "RenderFacesToVideo",
            "Render Faces To Video",
            "render",
            ["several faces", "dialogue", "two people", "group", "side by side", "split screen"],
            description="Draws several faces, each with its own motion, into one video: all in the picture or the video"
            " they were cropped from, or one beside the other. The memory does not grow with the length.",
            inputs=[
                sockets.Face.Input("face_model", tooltip="From Load Face Model."),
                *_faces(),
                io.Audio.Input("audio", optional=True, tooltip="The sound of the video: all voices."),
                sockets.Choice(
                    "arrange",
                    options=list(ARRANGEMENTS),
                    default=Arrangement().how,
                    tooltip="plate: all in the one picture or video they are from. row: one beside the other.",
                ),
                io.Boolean.Input(
                    "paste_back",
                    default=False,
                    tooltip="In a row: show whole pictures instead of the squares around the faces.",
                ),
                io.Int.Input(
                    "batch",
                    default=DEFAULTS.batch,
                    min=1,
                    max=64,
                    tooltip="Frames drawn at once. Changes speed and memory, not the picture.",
                    **sockets.advanced(io.Int.Input),
                ),
                prefix_input(),
                mark_input(),
                crf_input(),
                *encoding_inputs(),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The file, for any node that takes a video.")],
            is_output_node=True,
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        face_model: Managed,
        arrange: str,
        paste_back: bool,
        batch: int,
        filename_prefix: str,
        mark: bool = True,
        crf: int = 18,
        codec: str = CODECS[0],
        video_fps: float = 0.0,
        ping_pong: bool = False,
        alpha: str = "auto",
        audio: dict[str, Any] | None = None,
        **wired: Any,
    ) -> io.NodeOutput:
        encoding = VideoOptions(crf, codec=codec, ping_pong=ping_pong, alpha=alpha)
        faces = [replace(one, motion=at_rate(one.motion, video_fps)) for one in moving_faces(wired)]
        clear = any(one.portrait.transparency is not None for one in faces)
        arrangement = Arrangement(arrange, paste_back, encoding.keeps_alpha(format_named(codec), clear))
        how, bar = RenderOptions(batch=batch), Bar(LiveFrames())
        told = {"faces": len(faces), "arrangement": arrangement, "rendering": how, "encoding": encoding}
        marked = node_mark(mark, arrange == "plate" or paste_back, cls, told)
        sound = None if audio is None else recording(audio)
        with output_file(filename_prefix, suffix_of(codec)) as (path, saved):
            encoding.check(path, faces[0].motion.fps)
            encoding = replace(encoding, tags=recipe(cls.hidden), mark=marked)
            output = VideoOutput(path, sound, encoding=encoding, parts=parts_folder())
            with faces_render_job(face_model, faces, arrangement, how, bar) as job:
                write_video(job, output, bar)
        return saved_video(path, saved)


def moving_faces(wired: dict[str, Any]) -> list[MovingFace]:
    """The faces whose portrait and motion are connected. Raises UserError where one of the two is missing."""
    faces = []
    for number in range(1, MOST + 1):
        portrait, motion = wired.get(f"portrait_{number}"), wired.get(f"motion_{number}")
        if (portrait is None) != (motion is None):
            missing = "motion" if motion is None else "portrait"
            raise UserError(f"Face {number} has no {missing}; please connect {missing} {number}, or disconnect both.")
        if portrait is not None and motion is not None:
            faces.append(MovingFace(portrait, motion))
    return faces


def _faces() -> list[Any]:
    inputs = []
    for number in range(1, MOST + 1):
        optional = {"optional": True} if number > 2 else {}
        inputs += [
            sockets.Portrait.Input(
                f"portrait_{number}", tooltip=f"Face {number}; in a row counted from the left.", **optional
            ),
            sockets.Motion.Input(
                f"motion_{number}", tooltip=f"What face {number} does; the longest sets the length.", **optional
            ),
        ]
    return inputs
