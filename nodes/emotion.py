"""Emotion inputs: constant, blended, or a schedule over time."""

from __future__ import annotations

from comfy_api.latest import io

from ..playmate_core.diffusion import emotion_schedule
from ..playmate_core.values import EMOTIONS
from . import sockets
from .inputs import INTENSITY, emotion_inputs
from .widgets import verdict

EXAMPLE = "0: neutral\n1.0: happy@0.8\n2.2: surprised"


class Emotion(io.ComfyNode):
    """One emotion from beginning to end."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "Emotion",
            "Emotion",
            "emotion",
            ["mood", "feeling", "expression", *EMOTIONS],
            description="One emotion, held from the beginning to the end. It moves the face and leaves the head alone.",
            inputs=[
                *emotion_inputs(),
            ],
            outputs=[sockets.Emotion.Output(display_name="emotion", tooltip="For Sample Motion or Talk.")],
        )

    @classmethod
    def execute(cls, emotion: str, intensity: float) -> io.NodeOutput:
        return io.NodeOutput(emotion_schedule.EmotionSchedule.constant(emotion, intensity))


class EmotionBlend(io.ComfyNode):
    """Two emotions at once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "EmotionBlend",
            "Emotion Blend",
            "emotion",
            ["mix emotions", "mood"],
            description="Mixes two emotions, schedules included: surprised and a little happy. Chain it for more.",
            inputs=[
                sockets.Emotion.Input("first", tooltip="The emotion at blend 0."),
                sockets.Emotion.Input("second", tooltip="The emotion at blend 1."),
                io.Float.Input(
                    "blend", default=0.5, min=0.0, max=1.0, step=0.05, tooltip="How much of the second emotion."
                ),
            ],
            outputs=[sockets.Emotion.Output(display_name="emotion", tooltip="Both at once.")],
        )

    @classmethod
    def execute(
        cls, first: emotion_schedule.EmotionSchedule, second: emotion_schedule.EmotionSchedule, blend: float
    ) -> io.NodeOutput:
        return io.NodeOutput(first.blended(second, blend))


class EmotionSchedule(io.ComfyNode):
    """Emotions over time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "EmotionSchedule",
            "Emotion Schedule",
            "emotion",
            ["emotion timeline", "emotion score", "keyframes", "mood"],
            description="Emotions over time, written as text: seconds, a colon, the emotion, and @ with an intensity.",
            inputs=[
                io.String.Input(
                    "schedule",
                    multiline=True,
                    default=EXAMPLE,
                    tooltip="One entry a line, or commas between them: 2.5: happy@0.8, the time in seconds, m:ss or"
                    " frames (62f). Join emotions with +: happy+surprised. A line that begins with # is a remark.",
                ),
                io.Float.Input("intensity", **INTENSITY, tooltip="The intensity of entries that name none."),
            ],
            outputs=[sockets.Emotion.Output(display_name="emotion", tooltip="For Sample Motion or Talk.")],
        )

    @classmethod
    def validate_inputs(cls, schedule: str) -> str | bool:
        return verdict(lambda text: emotion_schedule.EmotionSchedule.written(text, 1.0), schedule)

    @classmethod
    def execute(cls, schedule: str, intensity: float) -> io.NodeOutput:
        return io.NodeOutput(emotion_schedule.EmotionSchedule.written(schedule, intensity))
