"""Argument types: numbers of a range, names of a list, faces, crops and files.

Every flag has one of these types, so that mistakes are found during parsing, before anything else happens. Numbers take
their default and their range from the dataclass field they set.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..detection.crop import LEAST_BOX
from ..detection.detect import Box, Pick, check_source
from ..diffusion.emotion_schedule import EmotionSchedule
from ..diffusion.options import GuidanceKeys, numbers
from ..errors import UserError, elided, suggestion
from ..ranges import Range, default_of, range_of
from ..times import read_seconds

#: Namespace attribute with the names of the flags that were set explicitly.
EXPLICIT = "explicit"
T = TypeVar("T")
#: Longest file name in bytes that file systems accept.
LONGEST_NAME = 255


def parse_argument(read: Callable[[str], T], text: str) -> T:
    """Parse ``text`` with ``read``; its UserError becomes an ArgumentTypeError."""
    try:
        return read(text)
    except UserError as problem:
        raise argparse.ArgumentTypeError(str(problem).rstrip(".")) from None


@dataclass(frozen=True)
class Number:
    """A number of a range."""

    range: Range

    def __call__(self, text: str) -> Any:
        return parse_argument(self.range.read, text)


class TimelineArgument(Number):
    """A number, or a timeline of numbers, all of a range."""

    def __call__(self, text: str) -> Any:
        written = parse_argument(GuidanceKeys.written, text)
        for value in numbers(written):
            parse_argument(lambda name, value=value: self.range.check(name, value), "each number")  # type: ignore[misc]
        return written


class TimeArgument(Number):
    """A time of a range of seconds, written as seconds, ``m:ss`` or frames (25 a second)."""

    def __call__(self, text: str) -> Any:
        return parse_argument(lambda written: read_seconds(written, self.range.least, self.range.most), text)


class NumbersArgument(Number):
    """One number, or several with commas between, all of a range."""

    def __call__(self, text: str) -> Any:
        try:
            read = tuple(float(part) for part in text.split(","))
        except ValueError:
            what = f"{elided(repr(text))} is not a number, or six of them with commas"
            raise argparse.ArgumentTypeError(what) from None
        if wrong := [value for value in read if not self.range.holds(value)]:
            raise argparse.ArgumentTypeError(f"must be {self.range}, got {wrong[0]:g}")
        return read if len(read) > 1 else read[0]


@dataclass(frozen=True)
class OneOf:
    """A name of a list."""

    names: tuple[str, ...]

    def __call__(self, text: str) -> str:
        if text not in self.names:
            raise argparse.ArgumentTypeError(unknown_choice(text, self.names))
        return text


def unknown_choice(text: str, names: Iterable[str]) -> str:
    """The error message for a name that is not in ``names``."""
    names = tuple(names)
    return f"invalid choice: {elided(repr(text))}{suggestion(text, names)}; choose from {', '.join(names)}"


class StoreExplicit(argparse._StoreAction):
    """Stores a value and, under EXPLICIT, that it was set explicitly: an explicit default can differ from no value."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        super().__call__(parser, namespace, values, option_string)
        setattr(namespace, EXPLICIT, getattr(namespace, EXPLICIT, frozenset()) | {self.dest})


def number(
    to: argparse._ActionsContainer, name: str, owner: type, field: str, what: str, default: float | None = None
) -> None:
    """A flag for a ranged number of a dataclass; its help shows the range and the default, the field's unless given."""
    _add(to, name, Number(range_of(owner, field)), default_of(owner, field) if default is None else default, what)


def numbers_over_time(to: argparse._ActionsContainer, name: str, owner: type, field: str, what: str) -> None:
    """A flag for a ranged number that may change over time."""
    _add(to, name, TimelineArgument(range_of(owner, field)), default_of(owner, field), what, "SCALE")


def time(to: argparse._ActionsContainer, name: str, owner: type, field: str, what: str) -> None:
    """A flag for a ranged number of seconds."""
    _add(to, name, TimeArgument(range_of(owner, field)), default_of(owner, field), f"{what}; or m:ss, or frames (5f)")


def amplitudes(to: argparse._ActionsContainer, name: str, owner: type, field: str, what: str) -> None:
    """A flag for one or several ranged numbers."""
    _add(to, name, NumbersArgument(range_of(owner, field)), default_of(owner, field), what)


def _add(
    to: argparse._ActionsContainer, name: str, kind: Number, default: Any, what: str, metavar: str = "NUMBER"
) -> None:
    shown = "" if default is None else f" ({default})"
    to.add_argument(name, type=kind, default=default, metavar=metavar, help=f"{what}; {kind.range}{shown}")


def choice(to: argparse._ActionsContainer, name: str, default: str, choices: Iterable[str], what: str) -> None:
    """A flag that takes one of ``choices``, which its help shows."""
    names = tuple(choices)
    to.add_argument(name, type=OneOf(names), default=default, metavar="|".join(names), help=f"{what} ({default})")


def choice_or_none(to: argparse._ActionsContainer, name: str, choices: Iterable[str], what: str) -> None:
    """A flag that takes one of ``choices`` and decides nothing where it is left out."""
    names = tuple(choices)
    to.add_argument(name, type=OneOf(names), default=None, metavar="|".join(names), help=what)


def path(text: str) -> Path:
    """A file or folder."""
    named = Path(not_blank(text))
    longest = max((len(os.fsencode(part)) for part in named.parts), default=0)
    if longest > LONGEST_NAME:
        what = f"{elided(repr(text))} holds a name of {longest} bytes, file systems take {LONGEST_NAME}"
        raise argparse.ArgumentTypeError(f"{what}; please shorten it")
    return named


def not_blank(text: str) -> str:
    """Any text but an empty one."""
    if not text.strip():
        raise argparse.ArgumentTypeError("nothing was given; please name a file, or leave the flag out")
    return text


def models_folder(text: str) -> Path:
    """An existing folder of models, or an existing .yaml file of extra paths."""
    folder = path(text)
    if not (folder.is_dir() or (folder.suffix in (".yaml", ".yml") and folder.is_file())):
        raise argparse.ArgumentTypeError(f"there is no folder {folder}, nor a .yaml file of paths; please check it")
    return folder


def emotion(text: str) -> str:
    """An emotion name, or a timeline."""
    parse_argument(lambda written: EmotionSchedule.written(written, 1.0), text)
    return text


def which_face(text: str) -> Pick:
    """Which of several faces."""
    return parse_argument(Pick.read, text)


def crop(text: str) -> str | Box:
    """A name, or four numbers: the left, top, right and bottom of a face box in pixels."""
    if "," not in text:
        parse_argument(check_source, text)
        return text
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{elided(repr(text))} is not left,top,right,bottom") from None
    box = (left, top, right, bottom)
    if not all(0 <= side < math.inf for side in box):
        raise argparse.ArgumentTypeError(f"{elided(repr(text))} is not left,top,right,bottom in pixels from 0")
    if 0 < right - left < LEAST_BOX or 0 < bottom - top < LEAST_BOX:
        what = f"{right - left:g} x {bottom - top:g} pixels, a face has at least {LEAST_BOX} each way"
        raise argparse.ArgumentTypeError(f"the box {text} is {what}; please give pixels")
    return box
