"""Direct a performance that is there: expression, gaze, blinks, lips and the range of the head."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..playmate_core.errors import UserError
from ..playmate_core.motion.directions import POSE_SLIDERS, SLIDERS
from ..playmate_core.motion.expression_edit import ExpressionEdit as Edit
from ..playmate_core.motion.expression_edit import expression_edit
from ..playmate_core.motion.gaze import GAZES, with_gaze
from ..playmate_core.motion.gaze import Gaze as GazeOptions
from ..playmate_core.motion.lips_and_lids import BLINKS, closed_lips, lip_gain, silence, with_blinks
from ..playmate_core.motion.lips_and_lids import Blinks as BlinkOptions
from ..playmate_core.motion.pose import mirror_pose
from ..playmate_core.motion.pose_limits import PoseLimits as Limits
from ..playmate_core.motion.pose_limits import limit_pose
from ..playmate_core.times import ALL, TimeRange, envelope, read_ranges, read_seconds
from ..playmate_core.values import FPS, AudioFeatures, Motion, Portrait
from . import sockets
from .inputs import seed_input
from .live_edit import LIVE, Editing
from .motion import loudness
from .runtime import Managed, node_id
from .widgets import verdict

CATEGORY = "motion/direct"
LIMITS, BLINKING, LOOKING = Limits(), BlinkOptions(), GazeOptions()
#: Seconds.
LONGEST_FADE = 10.0
#: A range of time that holds nothing.
NOTHING = "none"
WHEN = (
    "Over which time: all, or ranges such as 0:01 - 0:03.5, 8 - with times in seconds, m:ss or frames (50f); an open"
    " end is the end of the motion."
)


class ExpressionEdit(io.ComfyNode):
    """Sliders over a range of time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "ExpressionEdit",
            "Expression Edit",
            CATEGORY,
            ["blink", "smile", "wink", "eyebrow", "live portrait sliders", "edit expression"],
            description="Changes an expression with sliders, over a range of time with fades. Sliders at 0 change"
            " nothing; chain the node for more than one edit.",
            inputs=[
                motion_input(),
                *(_slider(name, slider.low, slider.high, slider.effect) for name, slider in SLIDERS.items()),
                *(_slider(name, slider.low, slider.high, slider.effect) for name, slider in POSE_SLIDERS.items()),
                when_input(),
                *fade_inputs(0.2),
                sockets.Portrait.Input(
                    "portrait", optional=True, tooltip="With a face model: after a run, sliders redraw a frame here."
                ),
                sockets.Face.Input("face_model", optional=True, tooltip="Draws that frame; the motion needs none."),
            ],
            outputs=[motion_output("The edited motion.")],
        )

    @classmethod
    def validate_inputs(cls, when: str) -> str | bool:
        return verdict(read_ranges, when)

    @classmethod
    def execute(
        cls, motion: Motion, portrait: Portrait | None = None, face_model: Managed | None = None, **values: Any
    ) -> io.NodeOutput:
        if portrait is not None and face_model is not None:
            LIVE.keep(node_id(), Editing(motion, portrait, face_model, edited))
        return io.NodeOutput(edited(motion, values)[0])


class Gaze(io.ComfyNode):
    """Where the eyes look."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "Gaze",
            "Gaze",
            CATEGORY,
            ["eye contact", "look at camera", "look at", "eyes"],
            description="Lets the eyes look into the camera however the head turns, or at a point, ahead of the head.",
            inputs=[
                motion_input(),
                sockets.Choice(
                    "mode",
                    options=list(GAZES),
                    default="camera",
                    tooltip="free: as the motion has it. camera: into the camera. target: at x and y.",
                ),
                _number("x", LOOKING.x, -1.0, 1.0, "The target across: -1 is the picture's left edge, 1 its right."),
                _number("y", LOOKING.y, -1.0, 1.0, "The target down: -1 is the upper edge, 1 the lower."),
                _number("head", LOOKING.head, 0.0, 1.0, "The share of the turn to the target that the head makes."),
                sockets.Time("lead", LOOKING.lead, 0.0, 2.0, "By how much the eyes are ahead of the head."),
                _number("strength", LOOKING.strength, 0.0, 1.0, "How far the eyes obey."),
                when_input(),
                sockets.Time("fade", LOOKING.fade, 0.0, 10.0, "How long to ease in and out."),
            ],
            outputs=[motion_output("The motion with that gaze.")],
        )

    @classmethod
    def validate_inputs(cls, when: str) -> str | bool:
        return verdict(read_ranges, when)

    @classmethod
    def execute(cls, motion: Motion, when: str, **options: Any) -> io.NodeOutput:
        return io.NodeOutput(with_gaze(motion, GazeOptions(ranges=read_ranges(when, motion.fps), **options)))


class Blinks(io.ComfyNode):
    """Blinks as wanted."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "Blinks",
            "Blinks",
            CATEGORY,
            ["eye blink", "eyelids"],
            description="Keeps, adds, replaces or takes out blinks.",
            inputs=[
                motion_input(),
                sockets.Choice(
                    "mode",
                    options=list(BLINKS),
                    default="replace",
                    tooltip="keep: as they are. add: more of them. replace: others instead. none: eyes stay open.",
                ),
                _number(
                    "per_minute", BLINKING.per_minute, 0.0, 60.0, "Blinks a minute; people blink about 17 times.", 1
                ),
                seed_input("Another seed, other moments."),
            ],
            outputs=[motion_output("The motion with those blinks.")],
        )

    @classmethod
    def execute(cls, motion: Motion, mode: str, per_minute: float, seed: int) -> io.NodeOutput:
        return io.NodeOutput(with_blinks(motion, BlinkOptions(mode, per_minute, seed)))


class Lips(io.ComfyNode):
    """How far lips part, and when they stay closed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "Lips",
            "Lips",
            CATEGORY,
            ["lip gain", "close mouth", "articulation", "mute lips"],
            description="Lets lips part more or less and still meet; closes them in silence, at the end, or when told.",
            inputs=[
                motion_input(),
                sockets.Audio.Input("speech", optional=True, tooltip="Whose silences close the lips."),
                _number("gain", 1.0, 0.0, 3.0, "How far the lips part, times this; closed lips stay closed."),
                _number(
                    "silence", 0.0, 0.0, 1.0, "Close the lips where the speech is quieter than this; 0 is off.", 0.01
                ),
                sockets.Time("end", 0.0, 0.0, 10.0, "How long the lips are closed at the end."),
                io.String.Input("closed", default=NOTHING, tooltip=f"Lips are closed then. {WHEN} none: at no time."),
            ],
            outputs=[motion_output("The motion with those lips.")],
        )

    @classmethod
    def validate_inputs(cls, closed: str) -> str | bool:
        return verdict(ranges_or_none, closed)

    @classmethod
    def execute(
        cls,
        motion: Motion,
        gain: float,
        silence: float,
        end: float,
        closed: str,
        speech: AudioFeatures | None = None,
    ) -> io.NodeOutput:
        shut = envelope(closing(closed, end, motion), len(motion), motion.fps, EASE, EASE)
        if silence > 0 and speech is not None:
            shut = shut.maximum(silent(speech, motion, silence))
        return io.NodeOutput(closed_lips(lip_gain(motion, gain), shut))


class PoseLimits(io.ComfyNode):
    """A head that turns no further."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "PoseLimits",
            "Limit Pose",
            CATEGORY,
            ["clamp head", "head range", "mirror pose"],
            description="Holds the head within limits, bent softly instead of cut; mirrors it on demand.",
            inputs=[
                motion_input(),
                *(
                    _number(axis, getattr(LIMITS, axis), 0.0, 90.0, f"Most degrees of {axis} to either side.", 0.5)
                    for axis in ("pitch", "yaw", "roll")
                ),
                _number("knee", LIMITS.knee, 0.0, 1.0, "The share of a limit up to which nothing changes; 1 cuts."),
                io.Boolean.Input("mirror", default=False, tooltip="Turn and lean to the other side."),
            ],
            outputs=[motion_output("The motion within the limits.")],
        )

    @classmethod
    def execute(cls, motion: Motion, mirror: bool, **limits: float) -> io.NodeOutput:
        pose = mirror_pose(motion.pose) if mirror else motion.pose
        return io.NodeOutput(motion.with_pose(limit_pose(pose, Limits(**limits))))


def edited(motion: Motion, values: dict[str, Any]) -> tuple[Motion, int]:
    """``motion`` under the widgets' values, and the frame that shows the edit best. Raises UserError for wrong ones."""
    try:
        sliders = {name: float(values[name]) for name in (*SLIDERS, *POSE_SLIDERS)}
        fades, when = [values[name] for name in ("fade_in", "fade_out")], str(values["when"])
    except (KeyError, TypeError, ValueError):
        raise UserError("The values are not those of Expression Edit's widgets; please reload the page.") from None
    ranges = read_ranges(when, motion.fps)
    fade_in, fade_out = (read_seconds(fade, 0.0, LONGEST_FADE, motion.fps) for fade in fades)
    edits = [Edit(tuple(sliders.items()), one.start, one.end, fade_in, fade_out) for one in ranges]
    acts = envelope(ranges, len(motion), motion.fps, fade_in, fade_out)
    return expression_edit(motion, edits), int(acts.argmax()) if len(motion) else 0


#: Seconds in which told lips close and open again.
EASE = 0.12


def ranges_or_none(text: str, fps: float = FPS) -> tuple[TimeRange, ...]:
    """Ranges of :func:`read_ranges`; () for "none"."""
    return () if text.strip().lower() == NOTHING else read_ranges(text, fps)


def closing(closed: str, end: float, motion: Motion) -> list[TimeRange]:
    """When lips are told to be closed, the last ``end`` seconds included."""
    ranges = list(ranges_or_none(closed, motion.fps))
    if end > 0:
        ranges.append(TimeRange(max(0.0, len(motion) / motion.fps - end)))
    return ranges


def silent(speech: AudioFeatures, motion: Motion, threshold: float) -> Any:
    """How silent the speech is in every frame of ``motion``."""
    return silence(loudness(speech, motion), len(motion), motion.fps, threshold)


def motion_input(tooltip: str = "Any motion.") -> Any:
    return sockets.Motion.Input("motion", tooltip=tooltip)


def motion_output(tooltip: str) -> Any:
    return sockets.Motion.Output(display_name="motion", tooltip=tooltip)


def when_input() -> Any:
    return io.String.Input("when", default=ALL, tooltip=WHEN)


def fade_inputs(default: float) -> list[Any]:
    return [
        sockets.Time("fade_in", default, 0.0, LONGEST_FADE, "How long to ease in, inside the range."),
        sockets.Time("fade_out", default, 0.0, LONGEST_FADE, "How long to ease out, inside the range."),
    ]


def _slider(name: str, low: float, high: float, effect: str) -> Any:
    step = 0.01 if high < 5 else 0.5
    return io.Float.Input(name, default=0.0, min=low, max=high, step=step, tooltip=f"{effect[0].upper()}{effect[1:]}.")


def _number(name: str, default: float, low: float, high: float, tooltip: str, step: float = 0.05) -> Any:
    return io.Float.Input(name, default=default, min=low, max=high, step=step, tooltip=tooltip)
