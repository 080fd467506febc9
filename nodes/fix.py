"""Fix a motion: keep a part, turn it round, join it to another, smooth it."""

from __future__ import annotations

from comfy_api.latest import io

from ..playmate_core.errors import UserError
from ..playmate_core.motion.retime import RegionSmoothing, Retiming, join_motions, retime, smooth_regions
from ..playmate_core.times import ALL, read_ranges
from ..playmate_core.values import FPS, Motion
from . import sockets
from .direct import motion_input, motion_output
from .widgets import verdict

CATEGORY = "motion/fix"
RETIMING, SMOOTH = Retiming(), RegionSmoothing()
REGIONS = {
    "lips": "Smoothing of the lips; more than a little costs lip sync.",
    "eyes": "Smoothing of lids and gaze; more than a little swallows blinks.",
    "brows": "Smoothing of the brows.",
    "rest": "Smoothing of everything else in the face.",
    "head": "Smoothing of the head.",
}


class RetimeMotion(io.ComfyNode):
    """Another length, pace or direction."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "RetimeMotion",
            "Retime Motion",
            CATEGORY,
            ["trim", "cut", "reverse", "loop", "speed", "frame rate", "resample"],
            description="Keeps a part of a motion, reverses, speeds up or slows down, loops, and changes the rate, in"
            " this order.",
            inputs=[
                motion_input(),
                io.String.Input(
                    "keep",
                    default=ALL,
                    tooltip="The part to keep: all, or a start and an end such as 0:01 - 0:03.5, in seconds, m:ss or"
                    " frames (50f).",
                ),
                io.Boolean.Input("reverse", default=False, tooltip="Play it backwards."),
                io.Float.Input(
                    "speed", default=RETIMING.speed, min=0.1, max=10.0, step=0.05, tooltip="2 is twice as fast."
                ),
                io.Int.Input("loops", default=RETIMING.loops, min=1, max=1000, tooltip="How often it plays in all."),
                io.Float.Input(
                    "fps",
                    default=RETIMING.fps,
                    min=0.0,
                    max=240.0,
                    step=0.01,
                    tooltip="Frames a second from here on; 0 keeps them.",
                ),
            ],
            outputs=[motion_output("The retimed motion.")],
        )

    @classmethod
    def validate_inputs(cls, keep: str) -> str | bool:
        return verdict(one_range, keep)

    @classmethod
    def execute(cls, motion: Motion, keep: str, reverse: bool, speed: float, loops: int, fps: float) -> io.NodeOutput:
        read = read_ranges(keep, motion.fps)
        return io.NodeOutput(retime(motion, Retiming(read[0], reverse, speed, loops, fps)))


class JoinMotions(io.ComfyNode):
    """One after the other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "JoinMotions",
            "Join Motions",
            CATEGORY,
            ["concatenate", "append", "cross-fade"],
            description="Plays one motion after the other, with a cross-fade.",
            inputs=[
                sockets.Motion.Input("first", tooltip="Comes first; it says the rate."),
                sockets.Motion.Input("second", tooltip="Comes second."),
                sockets.Time(
                    "fade", 0.3, 0.0, 60.0, "The time that both share, fading from one to the other; 0 is a cut."
                ),
            ],
            outputs=[motion_output("Both, one after the other.")],
        )

    @classmethod
    def execute(cls, first: Motion, second: Motion, fade: float) -> io.NodeOutput:
        return io.NodeOutput(join_motions(first, second, fade))


class SmoothMotion(io.ComfyNode):
    """Calmer, region by region."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "SmoothMotion",
            "Smooth Motion",
            CATEGORY,
            ["jitter", "stabilise", "denoise motion"],
            description="Smooths a motion region by region: 0 leaves a region, 1 is gentle, 100 is plain. Lips are left"
            " alone unless asked for.",
            inputs=[
                motion_input(),
                *(
                    io.Float.Input(name, default=getattr(SMOOTH, name), min=0.0, max=1000.0, step=0.5, tooltip=tooltip)
                    for name, tooltip in REGIONS.items()
                ),
            ],
            outputs=[motion_output("The smoothed motion.")],
        )

    @classmethod
    def execute(cls, motion: Motion, **amounts: float) -> io.NodeOutput:
        return io.NodeOutput(smooth_regions(motion, RegionSmoothing(**amounts)))


def one_range(text: str) -> None:
    """Raise UserError unless ``text`` is one range."""
    if len(read_ranges(text, FPS)) != 1:
        raise UserError(f"One part can be kept, got {text!r}; please join two with Join Motions.")
