"""Flags of what a video is written as, and of how a face is put back into its picture."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..detection.paste_options import PASTE_SHAPES, PasteOptions
from ..media.transparency import read_colour
from ..media.video_formats import CODECS
from ..media.video_options import ALPHAS, VideoOptions
from ..pipelines.talk import TalkRequest
from .arguments import choice, choice_or_none, number, parse_argument, path


@dataclass(frozen=True)
class OutputName:
    """A path, and whether it was written as that of a folder."""

    path: Path
    is_folder: bool


class StoreOutput(argparse.Action):
    """Stores the path as ``output`` and whether it is a folder as ``output_is_folder``."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        namespace.output, namespace.output_is_folder = values.path, values.is_folder


def output_name(text: str) -> OutputName:
    """A path; one that ends in a slash is a folder."""
    return OutputName(path(text), text.endswith(("/", os.sep)))


def output_flag(to: argparse.ArgumentParser, **more: Any) -> None:
    """Add ``-o``, the name of a video."""
    what = "the video to write: .mp4, .mov, .webm, .gif, or a folder/ for PNG pictures; for a batch, its folder"
    shown = f"{what} ({more['default']})" if "default" in more else what
    to.add_argument("-o", "--output", metavar="OUT.mp4", type=output_name, action=StoreOutput, help=shown, **more)
    to.set_defaults(output_is_folder=False)


def encoding_flags(to: argparse.ArgumentParser) -> None:
    """Add the flags that :func:`encoding` reads."""
    group, options = to.add_argument_group("how it is written"), VideoOptions()
    what = "of the video; by the name of the output unless given: .mov is prores (4444), .webm vp9, a folder png"
    choice_or_none(group, "--codec", CODECS, what)
    number(group, "--crf", VideoOptions, "crf", "quality of h264, hevc and vp9: lower is better and larger")
    what = "play the frames there and back; the sound plays once"
    group.add_argument("--ping-pong", action="store_true", help=what)
    what = "transparency of the portrait: kept where the codec holds it, kept or refused, or not kept"
    choice(group, "--alpha", options.alpha, ALPHAS, what)
    colour = TalkRequest.background
    what = f"behind a transparent portrait: a name, or #rrggbb ({colour})"
    group.add_argument("--background", type=named_colour, default=colour, metavar="COLOUR", help=what)


def paste_flags(to: argparse._ActionsContainer) -> None:
    """Add the flags that :func:`paste` reads, and the mask."""
    what = "a picture as large as the portrait, white where the face may be put back"
    to.add_argument("--paste-mask", "--mask", dest="mask", type=path, metavar="PICTURE", help=what)
    what = "how wide the face and the mask fade at their edge"
    number(to, "--paste-feather", PasteOptions, "feather", what)
    what = "as whose program pastes back; ditto also limits the picture to 1920 pixels"
    choice(to, "--paste-shape", PasteOptions().shape, PASTE_SHAPES, what)


def encoding(options: argparse.Namespace) -> VideoOptions:
    """How the video is encoded."""
    codec = options.codec or ("png" if options.output_is_folder else None)
    chosen = VideoOptions(crf=options.crf, codec=codec)
    return replace(chosen, ping_pong=options.ping_pong, alpha=options.alpha)


def paste(options: argparse.Namespace) -> PasteOptions:
    """How the face is put back."""
    return PasteOptions(options.paste_shape, options.paste_feather)


def named_colour(text: str) -> str:
    """A colour that can be read."""
    parse_argument(read_colour, text)
    return text
