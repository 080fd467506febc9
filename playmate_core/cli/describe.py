"""``playmate describe``: what a model, motion, video, sound or picture file is."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import UserError
from ..media.account import read_account
from ..media.description import describe_picture, describe_sound, is_picture_file, is_sound_file
from ..media.input_files import check_file
from ..motion.liveportrait_template import TEMPLATE_SUFFIXES
from ..motion.motion_file import KIND, describe_clip, describe_motion
from ..motion.motion_tables import TABLE_SUFFIXES, read_motion_clip
from ..pipelines.input_kinds import is_video
from ..weights.files import describe
from .arguments import path
from .terminal import command, say

#: Suffixes of model files, for which the reader's own sentence says what is wrong.
_MODELS = (".safetensors", ".sft", ".pth", ".pt", ".bin", ".ckpt", ".onnx")


def register_describe(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``describe`` to the commands."""
    what = "say what a model, motion, video, sound or picture file is, how it was made and its licence"
    about = command(commands, "describe", what, "playmate describe my_motion.safetensors", "playmate describe out.mp4")
    about.add_argument("file", metavar="FILE", type=path, help="a model, motion, video, sound or picture file")
    about.set_defaults(run=run_describe)


def run_describe(options: argparse.Namespace) -> None:
    """Print the description. Raises UserError for a file of another type, or one that is damaged."""
    file = options.file
    check_file(file, "model or media")
    suffix = file.suffix.lower()
    with file.open("rb") as opened:
        is_model = suffix in _MODELS or opened.read(9)[8:] == b"{"  # a safetensors header
    if is_picture_file(file):
        say(describe_picture(file))
        account = read_account(file) if file.suffix.lower() in (".gif", ".png") else None
        if account and account.kind:
            say(str(account))
    elif is_sound_file(file):
        say(describe_sound(file))
    elif is_video(file):
        say(str(read_account(file)))
    elif suffix in TABLE_SUFFIXES:
        say(describe_clip(file, read_motion_clip(file)))
    elif suffix in TEMPLATE_SUFFIXES:
        say(describe_motion(file))
    elif not is_model:
        raise UserError(f"{file} is no model, motion, video, sound or picture that can be read; please check the file.")
    else:
        facts = describe(file)
        say(describe_motion(file) if facts.kind == KIND else str(facts))
