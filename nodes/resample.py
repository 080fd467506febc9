"""Sample a part of a motion again, or a motion that keeps the course of another."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.diffusion.emotion_schedule import EmotionSchedule
from ..playmate_core.diffusion.options import SamplingOptions, numbers
from ..playmate_core.diffusion.regenerate import Part
from ..playmate_core.motion.emotion_by import EmotionBy
from ..playmate_core.motion.plot import plot_motion
from ..playmate_core.pipelines.regenerate import regenerate_motion, regenerations
from ..playmate_core.times import read_ranges
from ..playmate_core.values import AudioFeatures, Motion, Portrait
from . import sockets
from .direct import motion_input, motion_output, when_input
from .inputs import seed_input
from .runtime import Bar, MotionModel, explain_missing_package, loaded
from .sample import DEFAULTS
from .widgets import verdict


class ResampleMotion(io.ComfyNode):
    """A part sampled again, both ends held."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "ResampleMotion",
            "Resample Motion",
            "motion/fix",
            ["resample range", "motion to motion", "inpaint", "denoise strength", "retake", "regenerate"],
            description="Samples a range of a motion again and joins it to what stays, or, with a strength below 1,"
            " varies the motion that is there. Playmate's own model only.",
            inputs=[
                sockets.MotionModel.Input("motion_model", tooltip="The model that sampled the motion."),
                sockets.Portrait.Input("portrait", tooltip="Whose face speaks, from Encode Portrait."),
                sockets.Audio.Input("speech", tooltip="The speech that the motion was sampled with."),
                motion_input("As long as the speech, at its rate. Frames outside the range keep every bit."),
                sockets.Emotion.Input("emotion", optional=True, tooltip="The emotion of the whole motion."),
                when_input(),
                io.Float.Input(
                    "strength",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="1 is new motion, less keeps the course of the motion that is there, 0 changes nothing.",
                ),
                sockets.Choice(
                    "part",
                    options=[part.value for part in Part],
                    default=Part.ALL.value,
                    tooltip="What is sampled again: everything, the expression or the pose of the head.",
                ),
                seed_input("Another seed, another performance of that range."),
                io.Int.Input("steps", default=DEFAULTS.steps, min=1, max=1000, tooltip="Steps of the diffusion."),
                _pose_amplitude(),
                sockets.Choice(
                    "emotion_by",
                    options=[by.value for by in EmotionBy],
                    default=EmotionBy.BOTH.value,
                    tooltip="As in the Sample Motion that made the motion.",
                    **sockets.advanced(io.Combo.Input),
                ),
            ],
            outputs=[motion_output("The motion with that range sampled again.")],
        )

    @classmethod
    def validate_inputs(cls, when: str) -> str | bool:
        return verdict(read_ranges, when)

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        motion_model: MotionModel,
        portrait: Portrait,
        speech: AudioFeatures,
        motion: Motion,
        when: str,
        strength: float,
        part: str,
        emotion_by: str,
        emotion: EmotionSchedule | None = None,
        **options: Any,
    ) -> io.NodeOutput:
        sampling, by, bar = SamplingOptions(**options), EmotionBy(emotion_by), Bar()
        parts = regenerations(read_ranges(when, motion.fps), motion, strength, Part(part))
        with loaded(*motion_model.parts):
            for index, what in enumerate(parts):
                step = bar.part(index / len(parts), (index + 1) / len(parts))
                generator = motion_model.generator
                motion = regenerate_motion(generator, portrait, speech, motion, what, emotion, sampling, by, step)
                bar.show(plot_motion(motion, width=512, height=384))
        return io.NodeOutput(motion)


def _pose_amplitude() -> Any:
    default = numbers(DEFAULTS.pose_amplitude)[0]
    tooltip = "How much the head moves: 0 holds it still, 1 is usual."
    return io.Float.Input("pose_amplitude", default=default, min=0.0, max=3.0, step=0.05, tooltip=tooltip)
