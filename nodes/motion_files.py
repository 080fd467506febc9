"""Motions on disk: saved into ComfyUI's output folder, read from there, from the input folder or from a template."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..playmate_core.errors import UserError, elided
from ..playmate_core.motion.arkit_import import on_face
from ..playmate_core.motion.liveportrait_template import TEMPLATE_SUFFIXES
from ..playmate_core.motion.motion_file import SUFFIX, MotionClip, save_motion_clip
from ..playmate_core.motion.motion_tables import TABLE_SUFFIXES, holds_shapes, load_motion_table, read_motion_clip
from ..playmate_core.values import Motion, Portrait
from ..playmate_core.weights.folders import bundled
from . import sockets
from .inputs import prefix_input
from .runtime import explain_missing_package, show_text
from .saving import SAVED, SavingNode, output_file
from .widgets import verdict

#: Save Motion's default, below the output folder.
FOLDER = "motion"
#: The motion of the bundled video.
BUNDLED = "Playmate demo (bundled)"


class SaveMotion(SavingNode):
    """A motion into a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "SaveMotion",
            "Save Motion",
            "motion",
            ["export motion", "store motion"],
            description="Saves a motion into ComfyUI's output folder: 280 bytes a frame, no picture of anybody.",
            inputs=[
                sockets.Motion.Input("motion", tooltip="Any motion."),
                prefix_input(f"{FOLDER}/Playmate"),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="The same motion, to go on with.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion: Motion, filename_prefix: str) -> io.NodeOutput:
        with output_file(filename_prefix, SUFFIX) as (path, saved):
            save_motion_clip(MotionClip(motion), path)
        SAVED.add(path)
        name = os.path.join(saved["subfolder"], saved["filename"])
        show_text(name)
        return io.NodeOutput(motion, ui={"text": [name]})


class LoadMotion(io.ComfyNode):
    """A motion from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "LoadMotion",
            "Load Motion",
            "load",
            ["import motion", "motion template", "liveportrait pkl", "arkit", "live link face", "csv"],
            description="Reads a motion that Save Motion wrote, a table of numbers or of ARKit's blend shapes (.csv,"
            " .json; Live Link Face, Audio2Face), or a LivePortrait template (.pkl), from ComfyUI's output and input"
            " folders.",
            inputs=[
                sockets.Choice(
                    "file",
                    options=choices(),
                    default=BUNDLED,
                    tooltip="A motion file. Those in the output folder were saved by Save Motion.",
                ),
                sockets.Portrait.Input(
                    "portrait",
                    optional=True,
                    tooltip="Whose face makes the blend shapes of an ARKit table; other files do not need it.",
                ),
            ],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="The motion in the file.")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> str | bool:
        return verdict(motion_path, file)

    @classmethod
    def fingerprint_inputs(cls, file: str | None) -> str:
        if file is None:
            return "linked"
        try:
            facts = motion_path(file).stat()
        except (UserError, OSError):
            return "missing"
        return f"{facts.st_mtime_ns} {facts.st_size}"

    @classmethod
    @explain_missing_package
    def execute(cls, file: str, portrait: Portrait | None = None) -> io.NodeOutput:
        path = motion_path(file)
        if not holds_shapes(path):
            return io.NodeOutput(read_motion_clip(path).motion)
        if portrait is None:
            raise UserError(
                "This table holds ARKit's blend shapes; please connect the portrait whose face is to make them."
            )
        return io.NodeOutput(on_face(load_motion_table(path, portrait.keypoint_space), portrait.rest))


def choices() -> list[str]:
    """Motion files as ComfyUI writes places: "name [output]", "name [input]"."""
    found = [
        f"{path.relative_to(root).as_posix()} [{place}]"
        for place, root in _roots().items()
        for path in sorted(root.glob("*") if place == "input" else root.glob(f"{FOLDER}/**/*"))
        if path.suffix.lower() in (SUFFIX, *TEMPLATE_SUFFIXES, *TABLE_SUFFIXES)
    ]
    return [BUNDLED, *found]


def motion_path(choice: str) -> Path:
    """The file behind a choice. Raises UserError when it is not there, or lies outside the two folders."""
    if choice == BUNDLED:
        return bundled("motion_demo.safetensors")
    name, _, place = choice.rpartition(" [")
    root = _roots().get(place.removesuffix("]"))
    path = None if root is None else _inside(root, name)
    if path is None:
        raise UserError(
            f"There is no motion file {elided(repr(choice))}; please save one with Save Motion, or put one into the"
            " input folder."
        )
    return path


def _inside(root: Path, name: str) -> Path | None:
    """The file of a ``name`` below ``root``, None where there is none."""
    try:
        path = (root / name).resolve()
        return path if path.is_relative_to(root.resolve()) and path.is_file() else None
    except (OSError, ValueError):  # too long a name, or a null byte in it
        return None


def _roots() -> dict[str, Path]:
    return {
        "output": Path(folder_paths.get_output_directory()),
        "input": Path(folder_paths.get_input_directory()),
    }
