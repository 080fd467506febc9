"""From a recording to the speech features that condition the motion model."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import encoders, sockets
from .media import recording, to_audio
from .runtime import Bar, MotionModel, explain_missing_package


class EncodeAudio(io.ComfyNode):
    """Listen."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "EncodeAudio",
            "Encode Audio",
            "audio",
            ["speech features", "listen", "wav2vec2"],
            description="Listens to speech: 25 rows of features a second, which the motion model turns into motion.",
            inputs=[
                io.Audio.Input("audio", tooltip="Speech, of any rate and any number of channels."),
                io.MultiType.Input(
                    "audio_encoder",
                    [sockets.AudioEncoder, io.AudioEncoder],
                    optional=True,
                    tooltip="Who listens: Load Audio Encoder, or ComfyUI's own AUDIO_ENCODER. Nothing connected is"
                    " log-mel, which the bundled motion model was trained with.",
                ),
                sockets.Time("start", 0.0, 0.0, 86400.0, "How much of the audio to skip."),
                sockets.Time("duration", 0.0, 0.0, 86400.0, "How much to take; 0 takes everything up to the end."),
                sockets.Time(
                    "offset",
                    0.0,
                    -10.0,
                    10.0,
                    "By how much the lips come later than the sound; negative: earlier.",
                    **sockets.advanced(io.String.Input),
                ),
                sockets.MotionModel.Input(
                    "motion_model",
                    optional=True,
                    tooltip="The motion model that will speak: its own audio encoder listens, unless another is"
                    " connected. JoyVASA and Ditto need this.",
                ),
            ],
            outputs=[
                sockets.Audio.Output(display_name="speech", tooltip="What was heard, one row a frame."),
                io.Audio.Output(display_name="audio", tooltip="The part of the audio that was taken, for the video."),
                io.Float.Output(display_name="seconds", tooltip="How long that part is."),
            ],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        audio: dict[str, Any],
        start: float,
        duration: float,
        offset: float,
        audio_encoder: Any = None,
        motion_model: MotionModel | None = None,
    ) -> io.NodeOutput:
        part = recording(audio).part(start, duration)
        delayed = part.delayed(offset) if offset else part
        encoder = audio_encoder
        if encoder is None and motion_model is not None:
            encoder = motion_model.generator.encoder()
        features = encoders.listen(encoder, delayed, Bar())
        return io.NodeOutput(features, to_audio(part), part.seconds)
