"""Loaders: nodes that load the chosen file into a model managed by ComfyUI."""

from __future__ import annotations

from functools import partial
from typing import Any

from comfy_api.latest import io

from ..playmate_core.rendering.device import AUTO, PRECISIONS
from ..playmate_core.weights.files import load_face
from ..playmate_core.weights.generator_file import Companions
from ..playmate_core.weights.generators import load_generator
from . import encoders, files, model_controls, sockets
from .runtime import MotionModel, explain_missing_package, manage, renderer_dtype, show_text
from .widgets import verdict


class LoadFaceModel(io.ComfyNode):
    """Load the face model (F, M, W, G)."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "LoadFaceModel",
            "Load Face Model",
            "load",
            ["face renderer", "liveportrait", "checkpoint"],
            description="Loads the networks that read a face and draw it again in another pose and expression.",
            inputs=[
                sockets.Choice(
                    "file",
                    options=files.choices("face"),
                    default=files.BUNDLED,
                    tooltip="A face model in models/playmate, or LivePortrait's in models/liveportrait, named by its"
                    " first file. The bundled demo needs no download, but knows only drawn heads.",
                ),
                sockets.Choice(
                    "precision",
                    options=[AUTO, *PRECISIONS],
                    default="auto",
                    tooltip="Numbers the networks compute with. auto: half precision where the graphics card is"
                    " faster with it, else full.",
                    **sockets.advanced(io.Combo.Input),
                ),
            ],
            outputs=[sockets.Face.Output(display_name="face model", tooltip="Reads and draws faces.")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> str | bool:
        return verdict(partial(files.check, "face"), file)

    @classmethod
    def fingerprint_inputs(cls, file: str, **rest: Any) -> str:
        return files.state("face", file)

    @classmethod
    @explain_missing_package
    def execute(cls, file: str, precision: str) -> io.NodeOutput:
        path = files.model_path("face", file)
        return io.NodeOutput(manage(load_face(path).set_compute_dtype(renderer_dtype(precision))))


class LoadMotionModel(io.ComfyNode):
    """Load a motion generator."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "LoadMotionModel",
            "Load Motion Model",
            "load",
            ["diffusion", "checkpoint", "audio to motion"],
            description="Loads the diffusion model that turns speech into motion, and the emotion model on top of it.",
            inputs=[
                sockets.Choice(
                    "file",
                    options=files.choices("motion"),
                    default=files.BUNDLED,
                    tooltip="The bundled demo, a motion model in models/playmate, JoyVASA's in models/joyvasa (no"
                    " emotion of its own) or Ditto's in models/ditto (eight emotions). These two move LivePortrait's"
                    " keypoints, learned mostly Chinese and English, and need LivePortrait's face model.",
                ),
                sockets.Choice(
                    "emotion",
                    options=[*files.choices("emotion"), files.NONE],
                    default=files.BUNDLED,
                    tooltip="The emotion model that was trained on this motion model, or none to leave the emotion"
                    " to the voice. JoyVASA and Ditto do not use it.",
                ),
                *model_controls.loading_widgets(),
            ],
            outputs=[
                sockets.MotionModel.Output(display_name="motion model", tooltip="Turns speech and emotion into motion.")
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> str | bool:
        """Validates one widget only: ComfyUI shows the message on every widget listed here. It checks itself whether
        the emotion model is one of those listed."""
        return verdict(partial(files.check, "motion"), file)

    @classmethod
    def fingerprint_inputs(cls, file: str, emotion: str, **rest: Any) -> str:
        return f"{files.state('motion', file)} {files.state('emotion', emotion)}"

    @classmethod
    @explain_missing_package
    def execute(cls, file: str, emotion: str, **controls: Any) -> io.NodeOutput:
        upper = None if emotion == files.NONE else files.model_path("emotion", emotion)
        generator = load_generator(files.model_path("motion", file), Companions(emotion=upper))
        generator = generator.controlled(model_controls.chosen(**controls))
        show_text(f"{generator.name}, listens through {generator.encoder().name}")
        return io.NodeOutput(MotionModel.of(generator))


class LoadAudioEncoder(io.ComfyNode):
    """Load an audio encoder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "LoadAudioEncoder",
            "Load Audio Encoder",
            "load",
            ["wav2vec2", "log-mel", "speech features"],
            description="Chooses who listens to the speech. It must be the one the motion model was trained with: the"
            " bundled motion model listens to log-mel, which needs no file.",
            inputs=[
                sockets.Choice(
                    "encoder",
                    options=encoders.choices(),
                    default=encoders.LOGMEL,
                    tooltip="log-mel needs no weights; a file in models/audio_encoders is a wav2vec2 base model.",
                )
            ],
            outputs=[sockets.AudioEncoder.Output(display_name="audio encoder", tooltip="Listens to speech.")],
        )

    @classmethod
    def validate_inputs(cls, encoder: str) -> str | bool:
        return verdict(encoders.check, encoder)

    @classmethod
    def fingerprint_inputs(cls, encoder: str) -> str:
        return encoders.state(encoder)

    @classmethod
    @explain_missing_package
    def execute(cls, encoder: str) -> io.NodeOutput:
        return io.NodeOutput(encoders.load(encoder))
