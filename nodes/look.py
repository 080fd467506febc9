"""Look before rendering: a sheet of frames, a report on a motion, an examination of a portrait."""

from __future__ import annotations

from comfy_api.latest import io

from ..playmate_core.errors import UserError
from ..playmate_core.motion.plot import plot_motion
from ..playmate_core.motion.report import motion_report
from ..playmate_core.motion.takes import Take, Takes
from ..playmate_core.rendering.contact_sheet import SheetOptions, contact_sheet
from ..playmate_core.rendering.source_doctor import examine_source
from ..playmate_core.values import AudioFeatures, FaceCrop, Motion, Portrait
from . import sockets
from .media import to_image
from .motion import loudness
from .runtime import Bar, Managed, explain_missing_package, loaded, show_text

CATEGORY = "motion/look"
SHEET = SheetOptions()


class ContactSheet(io.ComfyNode):
    """Some frames, in seconds."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "ContactSheet",
            "Contact Sheet",
            CATEGORY,
            ["thumbnails", "preview", "storyboard", "compare takes", "all emotions"],
            description="Renders some frames of a motion, or of several takes side by side, as one picture: seconds"
            " instead of minutes.",
            inputs=[
                sockets.Face.Input("face_model", tooltip="From Load Face Model."),
                sockets.Portrait.Input("portrait", tooltip="Who is drawn, from Encode Portrait."),
                sockets.Motion.Input("motion", optional=True, tooltip="A motion to look at."),
                sockets.Takes.Input("takes", optional=True, tooltip="Takes to look at, one row each."),
                io.Int.Input("columns", default=SHEET.columns, min=1, max=64, tooltip="How many moments of each."),
                io.Int.Input("tile", default=SHEET.tile, min=64, max=1024, step=16, tooltip="Pixels of one frame."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The sheet.")],
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        face_model: Managed,
        portrait: Portrait,
        columns: int,
        tile: int,
        motion: Motion | None = None,
        takes: Takes | None = None,
    ) -> io.NodeOutput:
        rows = [] if motion is None else [Take("", motion)]
        rows += [] if takes is None else list(takes.takes)
        if not rows:
            raise UserError("Contact Sheet has nothing to show; please connect a motion or takes.")
        with loaded(face_model) as (face,):
            sheet = contact_sheet(face, portrait, rows, SheetOptions(columns, tile), progress=Bar())
        return io.NodeOutput(to_image(sheet))


class MotionReport(io.ComfyNode):
    """What is wrong with a motion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "MotionReport",
            "Motion Report",
            CATEGORY,
            ["sync check", "jitter", "health", "quality", "analyse motion"],
            description="Measures a motion: how well lips follow the voice and how late, jitter by region, blinks,"
            " range of the head, a mouth that moves in silence. What needs a look begins with an exclamation mark.",
            inputs=[
                sockets.Motion.Input("motion", tooltip="Any motion."),
                sockets.Audio.Input("speech", optional=True, tooltip="The speech it was made for."),
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="One line for each measure."),
                io.Image.Output(display_name="image", tooltip="The curves, silences and jumps marked."),
            ],
            is_output_node=True,
        )

    @classmethod
    @explain_missing_package
    def execute(cls, motion: Motion, speech: AudioFeatures | None = None) -> io.NodeOutput:
        energy = None if speech is None else loudness(speech, motion)
        text = str(motion_report(motion, energy))
        show_text(text)
        return io.NodeOutput(text, to_image(plot_motion(motion, energy)), ui={"text": [text]})


class SourceDoctor(io.ComfyNode):
    """What will go wrong with a portrait."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "SourceDoctor",
            "Source Doctor",
            CATEGORY,
            ["check portrait", "examine picture", "portrait quality"],
            description="Examines a portrait before anything slow is made of it: turned away, mouth open, eyes closed,"
            " face too small, hardly known to the face model, and how far the head can turn.",
            inputs=[
                sockets.Face.Input("face_model", tooltip="From Load Face Model."),
                sockets.Portrait.Input("portrait", tooltip="From Encode Portrait."),
                sockets.Crop.Input("crop", optional=True, tooltip="From Crop Portrait; its landmarks are more exact."),
                io.Boolean.Input("strict", default=False, tooltip="Stop here when there is a problem."),
            ],
            outputs=[
                sockets.Portrait.Output(display_name="portrait", tooltip="The same portrait, to go on with."),
                io.String.Output(display_name="text", tooltip="What was found, one line each."),
            ],
            is_output_node=True,
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls, face_model: Managed, portrait: Portrait, strict: bool, crop: FaceCrop | None = None
    ) -> io.NodeOutput:
        with loaded(face_model) as (face,):
            report = examine_source(face, portrait, crop)
        if strict and report.problems:
            said = "; ".join(finding.sentence.split(";")[0] for finding in report.problems)
            raise UserError(f"Source Doctor found: {said}. Please choose another picture, or switch strict off.")
        show_text(str(report))
        return io.NodeOutput(portrait, str(report), ui={"text": [str(report)]})
