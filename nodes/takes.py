"""Choose: several takes of one speech, one of them picked, two of them mixed or compared."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.diffusion.emotion_schedule import EmotionSchedule
from ..playmate_core.diffusion.options import SamplingOptions, numbers
from ..playmate_core.motion.plot import plot_motion
from ..playmate_core.motion.region_mix import REGION_NAMES, RegionShares, compare_motions, region_mix
from ..playmate_core.motion.takes import Takes as TakeList
from ..playmate_core.pipelines.takes import TOGETHER, emotion_takes, sample_takes, seed_takes
from ..playmate_core.values import FPS, AudioFeatures, Motion, Portrait
from . import sockets
from .inputs import INTENSITY, seed_input
from .runtime import Bar, MotionModel, explain_missing_package, loaded, show_text
from .sample import DEFAULTS, as_published

CATEGORY = "motion/choose"
VARIED = ("seeds", "emotions")


class Takes(io.ComfyNode):
    """The same speech, several times."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "Takes",
            "Takes",
            CATEGORY,
            ["variations", "seeds", "all emotions", "batch"],
            description="Samples one speech several times, with other seeds or with each of the eight emotions: up to"
            " 16 takes at once. Look at them with Contact Sheet, choose with Pick Take.",
            inputs=[
                sockets.MotionModel.Input("motion_model", tooltip="From Load Motion Model."),
                sockets.Portrait.Input("portrait", tooltip="Whose face speaks, from Encode Portrait."),
                sockets.Audio.Input("speech", tooltip="From Encode Audio."),
                sockets.Emotion.Input("emotion", optional=True, tooltip="What the face feels, where seeds are varied."),
                sockets.Choice(
                    "vary",
                    options=list(VARIED),
                    default="seeds",
                    tooltip="seeds: as many takes as count says, seed, seed + 1 and so on. emotions: one take each.",
                ),
                io.Int.Input("count", default=4, min=1, max=32, tooltip="How many takes, where seeds are varied."),
                seed_input(
                    "The seed of the first take. A take is what Sample Motion makes of its seed, but for rounding:"
                    f" within {TOGETHER['degrees']:g} degrees and {TOGETHER['units']:.5f} of the face."
                ),
                _intensity(),
                io.Float.Input(
                    "pose_amplitude",
                    default=numbers(DEFAULTS.pose_amplitude)[0],
                    min=0.0,
                    max=3.0,
                    step=0.05,
                    tooltip="How much the head moves: 0 holds it still, 1 is usual.",
                ),
            ],
            outputs=[sockets.Takes.Output(display_name="takes", tooltip="For Contact Sheet and Pick Take.")],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        motion_model: MotionModel,
        portrait: Portrait,
        speech: AudioFeatures,
        vary: str,
        count: int,
        seed: int,
        intensity: float,
        pose_amplitude: float,
        emotion: EmotionSchedule | None = None,
    ) -> io.NodeOutput:
        options = as_published(motion_model.generator, SamplingOptions(seed=seed, pose_amplitude=pose_amplitude))
        requests = emotion_takes(intensity, options) if vary == "emotions" else seed_takes(count, emotion, options)
        bar = Bar()
        with loaded(*motion_model.parts):
            takes = sample_takes(motion_model.generator, portrait, speech, requests, progress=bar)
        bar.show(plot_motion(takes.takes[-1].motion, width=512, height=384))
        bar(1, 1)
        return io.NodeOutput(takes)


class PickTake(io.ComfyNode):
    """One of the takes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PickTake",
            "Pick Take",
            CATEGORY,
            ["choose take", "select"],
            description="Passes one of the takes on; choosing another samples nothing again.",
            inputs=[
                sockets.Takes.Input("takes", tooltip="From Takes."),
                io.Int.Input("number", default=1, min=1, max=32, tooltip="Which take, counted from 1."),
            ],
            outputs=[
                sockets.Motion.Output(display_name="motion", tooltip="The take."),
                io.String.Output(display_name="name", tooltip="What it is called: its seed, or its emotion."),
            ],
        )

    @classmethod
    def execute(cls, takes: TakeList, number: int) -> io.NodeOutput:
        take = takes.picked(number)
        show_text(take.name)
        return io.NodeOutput(take.motion, take.name)


class RegionMix(io.ComfyNode):
    """Lips of one, head of the other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "RegionMix",
            "Region Mix",
            CATEGORY,
            ["comping", "combine motions", "lips of", "blend motions"],
            description="Makes one motion of two, region by region: 0 is the first, 1 the second, a curve goes from one"
            " to the other.",
            inputs=[
                sockets.Motion.Input("first", tooltip="The motion at 0; it says length and rate."),
                sockets.Motion.Input("second", tooltip="The motion at 1; its last frame is held where it is shorter."),
                *(io.String.Input(name, default="0", tooltip=REGION_TOOLTIPS[name]) for name in REGION_NAMES),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="Both in one.")],
        )

    @classmethod
    def execute(cls, first: Motion, second: Motion, **shares: str) -> io.NodeOutput:
        RegionShares.written(shares, FPS)  # a bad text is refused before the motions are looked at
        return io.NodeOutput(region_mix(first, second, RegionShares.written(shares, first.fps)))


class CompareMotions(io.ComfyNode):
    """How far two motions are apart."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "CompareMotions",
            "Compare Motions",
            CATEGORY,
            ["difference", "diff", "regression"],
            description="Says how far two motions are apart, region by region: the largest difference and the mean.",
            inputs=[
                sockets.Motion.Input("first", tooltip="Any motion."),
                sockets.Motion.Input("second", tooltip="A motion of the same length, rate and keypoints."),
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="One line for each region."),
                io.Float.Output(display_name="largest", tooltip="The largest difference of all, 0 for equal motions."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, first: Motion, second: Motion) -> io.NodeOutput:
        found = compare_motions(first, second)
        text = "\n".join(map(str, found))
        show_text(text)
        return io.NodeOutput(text, max(one.largest for one in found), ui={"text": [text]})


_CURVE = "a number from 0 to 1, or a curve such as 0:0, 2.5:1."
REGION_TOOLTIPS = {
    "lips": f"Lips of the second: {_CURVE}",
    "eyes": f"Lids and gaze of the second: {_CURVE}",
    "brows": f"Brows of the second: {_CURVE}",
    "rest": f"Everything else in the face of the second: {_CURVE}",
    "rotation": f"Turns of the second head: {_CURVE}",
    "translation": f"Place of the second head: {_CURVE}",
    "scale": f"Size of the second head: {_CURVE}",
}


def _intensity() -> Any:
    return io.Float.Input("intensity", **INTENSITY, tooltip="Of each emotion, where emotions are varied.")
