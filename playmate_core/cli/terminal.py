"""What every command needs at a terminal: a parser, flags that know their defaults, progress bars, and a line said."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterable
from typing import NoReturn, TextIO

from tqdm import tqdm

from ..detection.detect import Box, Pick
from ..errors import UserError
from ..rendering.device import AUTO, PRECISIONS


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one sentence, like every other of ours."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message[:1].upper()}{message[1:]}; see `{self.prog} --help`.")


class Bars:
    """One progress bar a stage, on stderr."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._name = ""

    def __call__(self, name: str, done: int, total: int) -> None:
        try:
            self._show(name, done, total)
        except OSError:  # nobody reads them any more; the job goes on
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
        bar, self._bar, self._name = self._bar, None, ""
        if bar is not None:
            try:
                bar.close()
            except OSError:
                _silence(sys.stderr)


def flag(to: argparse._ArgumentGroup, name: str, default: object, what: str) -> None:
    """A flag with the type of its default, which its help shows."""
    to.add_argument(name, type=type(default), default=default, help=f"{what} ({default})")


def choice(to: argparse._ArgumentGroup, name: str, default: str, choices: Iterable[str], what: str) -> None:
    """A flag that takes one of ``choices``, which its help shows."""
    to.add_argument(name, default=default, choices=tuple(choices), help=f"{what} ({default})")


def device_flag(to: argparse._ArgumentGroup, default: str) -> None:
    """Where networks run."""
    flag(to, "--device", default, "where the networks run: cpu, or an accelerator's name")


def precision_flag(to: argparse._ArgumentGroup) -> None:
    """How the renderer computes there."""
    choice(to, "--precision", AUTO, (AUTO, *PRECISIONS), "of the renderer; bf16 on processors that have it")


def mark_flag(to: argparse._ArgumentGroup) -> None:
    """Whether the video says that it is synthetic."""
    to.add_argument("--no-mark", action="store_true", help="do not store in the video that it is synthetic, nor how")


def face_flags(to: argparse._ArgumentGroup, what: str, prefix: str = "") -> None:
    """Where the face of ``what`` is and which of several."""
    where = f"of the {what}: auto, whole, left,top,right,bottom of the face, or who finds it: mediapipe, insightface"
    names = (f"--{prefix}crop", f"--{prefix}detector")
    to.add_argument(*names, type=crop, default="auto", metavar="WHERE", help=where + " (auto)")
    which = f"of the {what}: largest, left, a number counted from the left, or x,y"
    to.add_argument(f"--{prefix}face", type=which_face, metavar="WHICH", help=which + " (largest)")


def which_face(text: str) -> Pick:
    """Which of several faces."""
    try:
        return Pick.read(text)
    except UserError as problem:
        raise argparse.ArgumentTypeError(str(problem).rstrip(".")) from None


def crop(text: str) -> str | Box:
    """A word, or four numbers: the left, top, right and bottom of a face box in pixels."""
    if "," not in text:
        return text
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not left,top,right,bottom") from None
    return left, top, right, bottom


def say(text: str, to: TextIO | None = None) -> None:
    """Write one line of text for the person at the terminal; somebody who left is no reason to fail."""
    stream = to or sys.stdout
    try:
        stream.write(text + "\n")
        stream.flush()
    except OSError:  # `| head -1`, a terminal that was closed, a full disk
        _silence(stream)


def open_streams() -> None:
    """Make standard output and error usable whatever they are: closed ones lead nowhere, and what their encoding
    lacks is written as escapes."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # or the next file that is opened gets this number, and the words of libraries with it
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def close_streams() -> None:
    """Write out what is left, so that the interpreter does not complain at its end of a reader that has gone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _silence(stream)


def _silence(stream: TextIO) -> None:
    """Let a stream lead nowhere from now on."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
