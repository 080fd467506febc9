"""Emotions from what is at hand: tags in subtitles, the loudness of the voice, a drawn curve."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.diffusion.emotion_cues import by_loudness, read_cues
from ..playmate_core.diffusion.emotion_schedule import EmotionSchedule
from ..playmate_core.diffusion.options import GuidanceKeys
from ..playmate_core.errors import UserError
from ..playmate_core.values import AudioFeatures
from . import sockets
from .inputs import INTENSITY
from .widgets import verdict

EXAMPLE = "[00:00.00][neutral] Good morning.\n[00:01.50][happy@0.8] What a day!\n[00:03.00][surprised] Look!"


class EmotionFromSubtitles(io.ComfyNode):
    """Tags in the text that is spoken."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "EmotionFromSubtitles",
            "Emotion From Subtitles",
            "emotion",
            ["srt", "lrc", "vtt", "lyrics", "tags"],
            description="Reads emotions from tags in subtitles or lyrics: [happy], [sad@0.6], [happy+surprised]. A tag"
            " holds until the next one.",
            inputs=[
                io.String.Input(
                    "text",
                    multiline=True,
                    default=EXAMPLE,
                    tooltip="The content of a SubRip, WebVTT or LRC file, with a tag in each line that changes the"
                    " emotion.",
                ),
                io.Float.Input("intensity", **INTENSITY, tooltip="The intensity of tags that name none."),
            ],
            outputs=[sockets.Emotion.Output(display_name="emotion", tooltip="For Sample Motion or Talk.")],
        )

    @classmethod
    def validate_inputs(cls, text: str) -> str | bool:
        return verdict(lambda written: read_cues(written, 1.0), text)

    @classmethod
    def execute(cls, text: str, intensity: float) -> io.NodeOutput:
        return io.NodeOutput(read_cues(text, intensity))


class EmotionOverTime(io.ComfyNode):
    """An emotion that grows and falls."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "EmotionOverTime",
            "Emotion Over Time",
            "emotion",
            ["curve", "loudness", "audio reactive", "emotion intensity"],
            description="Lets the intensity of an emotion follow the loudness of the speech, or a curve drawn with"
            " ComfyUI's Curve Editor.",
            inputs=[
                sockets.Emotion.Input("emotion", tooltip="Whose intensity changes; schedules and blends too."),
                sockets.Audio.Input("speech", optional=True, tooltip="Its loudness shapes the intensity."),
                sockets.Curve.Input(
                    "curve",
                    optional=True,
                    tooltip="A drawn curve instead of the loudness.",
                    extra_dict={"forceInput": True},
                ),
                io.Float.Input(
                    "low", default=0.3, min=0.0, max=2.0, step=0.05, tooltip="Times the intensity where it is quiet."
                ),
                io.Float.Input(
                    "high", default=1.0, min=0.0, max=2.0, step=0.05, tooltip="Times the intensity where it is loud."
                ),
                sockets.Time("seconds", 5.0, 0.04, 3600.0, "How long the curve lasts, unless speech is connected too."),
            ],
            outputs=[sockets.Emotion.Output(display_name="emotion", tooltip="For Sample Motion or Talk.")],
        )

    @classmethod
    def execute(
        cls,
        emotion: EmotionSchedule,
        low: float,
        high: float,
        seconds: float,
        speech: AudioFeatures | None = None,
        curve: Any = None,
    ) -> io.NodeOutput:
        drawn = sockets.curve_points(curve)
        if drawn is not None:
            seconds = seconds if speech is None else len(speech) / speech.fps
            return io.NodeOutput(emotion.shaped(_keys(drawn, low, high, seconds)))
        if speech is None:
            raise UserError("Emotion Over Time has nothing to follow; please connect the speech or a curve.")
        return io.NodeOutput(by_loudness(emotion, speech.energy, low, high, speech.fps))


def _keys(drawn: list[float], low: float, high: float, seconds: float) -> GuidanceKeys:
    step = seconds / (len(drawn) - 1)
    return GuidanceKeys(tuple((n * step, low + (high - low) * value) for n, value in enumerate(drawn)))
