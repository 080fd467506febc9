"""Shared parts of the commands: the parser, common flags, progress bars and output."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

from tqdm import tqdm

from ..detection.detectors import DETECTORS
from ..errors import UserError, elided, suggestion, with_article
from ..media.credentials import Signing
from ..rendering.device import AUTO, PRECISIONS
from ..rendering.source_video import FaceVideoOptions
from .arguments import choice, crop, not_blank, number, path, unknown_choice, which_face


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are UserErrors with suggestions.

    ``examples`` are whole command lines, shown below the help.
    """

    def __init__(self, examples: Sequence[str] = (), **more: Any) -> None:
        shown = "examples:\n" + "\n".join(f"  {one}" for one in examples) if examples else None
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(**{"epilog": shown, "formatter_class": formatter, "description": more.get("help"), **more})

    def error(self, message: str) -> NoReturn:
        """Raise UserError with argparse's message, in place of printing the usage and exiting."""
        raise UserError(f"{message[:1].upper()}{message[1:]}; see `{self.prog} --help`.")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but reports unknown arguments here, where the command's flags are known for suggestions."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flags = re.findall(r"--?[a-z][\w-]*", self.format_usage())
            alike = suggestion(unknown[0].partition("=")[0], flags) if unknown[0].startswith("-") else ""
            self.error(f"unrecognized arguments: {elided(' '.join(unknown))}{alike}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, unknown_choice(str(value), map(str, action.choices)))


def command(commands: Any, name: str, what: str, *examples: str) -> Parser:
    """A command that does ``what``; ``examples`` are whole command lines."""
    made: Parser = commands.add_parser(name, help=what, description=f"{what[:1].upper()}{what[1:]}.", examples=examples)
    return made


def resume_flag(to: argparse._ActionsContainer) -> None:
    """Add ``--resume`` and ``--keep-parts``."""
    what = "keep what is drawn when stopped; the same command goes on from it"
    to.add_argument("--resume", action="store_true", help=what)
    what = "keep what is drawn beside the video: the next run draws only the ten-second parts that changed"
    to.add_argument("--keep-parts", action="store_true", help=what)


def weights_flag(to: argparse._ActionsContainer, kind: str) -> None:
    """Add a flag for another model file than the bundled one."""
    what = f"{with_article(kind)} model instead of the bundled one: a file or folder, or its name below a models folder"
    if kind == "motion":
        what += "; or joyvasa or ditto, which learned mostly Chinese and English"
    to.add_argument(f"--{kind}-weights", metavar="FILE", type=path, help=what)


def join_negative_values(words: Sequence[str]) -> list[str]:
    """Command-line arguments with values that begin with a minus joined to their flag, as argparse would take -1:happy
    for a flag. Raises UserError for a null byte, which no file name can contain."""
    if any("\0" in word for word in words):
        raise UserError("A word of the command line holds a null byte; please write it again.")
    ready: list[str] = []
    for word in words:
        joins = ready and re.match(r"--[a-z][\w-]*$", ready[-1]) and re.match(r"-(\d|\.\d|inf|nan)", word)
        if joins:
            ready[-1] += f"={word}"
        else:
            ready.append(word)
    return ready


class Bars:
    """Progress callback that shows one bar per stage on stderr."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._name = ""

    def __call__(self, name: str, done: int, total: int) -> None:
        try:
            self._show(name, done, total)
        except OSError:  # stderr was closed; the job continues
            _silence(sys.stderr)

    def _show(self, name: str, done: int, total: int) -> None:
        if name != self._name or self._bar is None:
            self.close()
            self._name, self._bar = name, tqdm(total=total, desc=name, leave=False, dynamic_ncols=True)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the current bar, if any; a closed terminal is ignored."""
        bar, self._bar, self._name = self._bar, None, ""
        if bar is not None:
            try:
                bar.close()
            except OSError:
                _silence(sys.stderr)


def device_flag(to: argparse._ActionsContainer, default: str) -> None:
    """Add ``--device``."""
    what = f"where the networks run: cpu, or an accelerator's name as PyTorch has it, such as cuda or mps ({default})"
    to.add_argument("--device", type=not_blank, default=default, metavar="NAME", help=what)


def precision_flag(to: argparse._ActionsContainer) -> None:
    """Add ``--precision``."""
    choice(to, "--precision", AUTO, (AUTO, *PRECISIONS), "of the renderer; bf16 on processors that have it")


def audio_track_flag(to: argparse._ActionsContainer, owner: type, what: str) -> None:
    """Add ``--audio-track``."""
    which = f"of {what}, counted from 0 (the one marked as default, or the first that is not silent)"
    number(to, "--audio-track", owner, "audio_track", which)


def mark_flags(to: argparse._ActionsContainer) -> None:
    """Add ``--no-mark``, ``--sign`` and ``--key``."""
    to.add_argument("--no-mark", action="store_true", help="do not store in the video that it is synthetic, nor how")
    what = "sign that with your certificate, as Content Credentials (needs c2pa-python)"
    to.add_argument("--sign", metavar="CERT.pem", type=path, help=what)
    to.add_argument("--key", metavar="KEY.pem", type=path, help="the private key of that certificate")


def signing(options: argparse.Namespace) -> Signing | None:
    """Who signs the video. Raises UserError for a certificate without a key, or a key without one."""
    if (options.sign is None) != (options.key is None):
        given, missing = ("--sign", "--key KEY.pem") if options.sign else ("--key", "--sign CERT.pem")
        raise UserError(f"{given} needs {missing} too; please give the certificate and its private key.")
    return None if options.sign is None else Signing(options.sign, options.key)


def face_flags(to: argparse._ActionsContainer, what: str, prefix: str = "") -> None:
    """Add the flags that locate and select the face of ``what``."""
    where = f"where the face of the {what} is: auto, whole, left,top,right,bottom of it in pixels, or who finds it: "
    where += ", ".join(DETECTORS)
    names = (f"--{prefix}crop", f"--{prefix}detector")
    to.add_argument(*names, type=crop, default="auto", metavar="WHERE", help=where + " (auto)")
    which = f"which face of the {what}: largest, left, a number from 0 counted from the left, or x,y in pixels"
    to.add_argument(f"--{prefix}face", type=which_face, metavar="WHICH", help=which + " (largest)")
    score = "least score of a detected face; insightface's default is 0.15, mediapipe's 0.5"
    number(to, f"--{prefix}threshold", FaceVideoOptions, "threshold", score)


def say(text: str, to: TextIO | None = None) -> None:
    """Write a line to ``to`` (stdout); a closed stream is ignored from then on."""
    stream = to or sys.stdout
    try:
        stream.write(text + "\n")
        stream.flush()
    except OSError:  # `| head -1`, a terminal that was closed, a full disk
        _silence(stream)


def open_streams() -> None:
    """Make standard streams usable: closed ones are redirected to the null device, and characters that their encoding
    lacks are escaped."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next opened file would get this descriptor, and the output of libraries
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def close_streams() -> None:
    """Flush the standard streams, so that the interpreter does not report a closed pipe at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _silence(stream)


def _silence(stream: TextIO) -> None:
    """Redirect a stream to the null device."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
