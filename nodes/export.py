"""Motions for other programs."""

from __future__ import annotations

import os

from comfy_api.latest import io

from ..playmate_core.motion.motion_tables import FORMATS, save_motion_table, suffix_of
from ..playmate_core.values import Motion
from . import sockets
from .inputs import prefix_input
from .runtime import explain_missing_package, show_text
from .saving import SAVED, SavingNode, output_file


class ExportMotion(SavingNode):
    """A motion as a table."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "ExportMotion",
            "Export Motion",
            "motion",
            ["csv", "json", "arkit", "blendshapes", "live link face", "blender", "unreal"],
            description="Writes a motion as a table into ComfyUI's output folder: CSV or JSON with every number, or"
            " ARKit's 52 blend shapes for Blender and Unreal. Load Motion reads them all back.",
            inputs=[
                sockets.Motion.Input("motion", tooltip="Any motion."),
                sockets.Choice(
                    "format",
                    options=list(FORMATS),
                    default="csv",
                    tooltip="csv, json: every number, exactly. arkit: 52 blend shapes and the head in radians, in the"
                    " columns of Live Link Face, as near as the sliders come; arkit-json: the same in Audio2Face's"
                    " keys.",
                ),
                prefix_input("motion/Playmate"),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="The same motion, to go on with.")],
            is_output_node=True,
        )

    @classmethod
    @explain_missing_package
    def execute(cls, motion: Motion, format: str, filename_prefix: str) -> io.NodeOutput:
        with output_file(filename_prefix, suffix_of(format)) as (path, saved):
            save_motion_table(motion, path, format)
        SAVED.add(path)
        name = os.path.join(saved["subfolder"], saved["filename"])
        show_text(name)
        return io.NodeOutput(motion, ui={"text": [name]})
