"""Ranges of user-set numbers, each defined once, in the metadata of the dataclass field that holds the number.

Dataclasses check themselves with :func:`check_ranges`; command-line flags read, check and describe their numbers with
the same :class:`Range`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from .errors import UserError, elided

_KEY = "range"
#: The latest time that is read, in seconds: a day.
LATEST = 86_400.0
N = TypeVar("N")


@dataclass(frozen=True)
class Range:
    """Numbers from ``least`` to ``most``, both included, in ``unit``; only integers if ``whole``."""

    least: float
    most: float
    unit: str = ""
    whole: bool = False

    def __str__(self) -> str:
        kind, unit = "a whole number" if self.whole else "a number", f" {self.unit}" if self.unit else ""
        return f"{kind} from {_formatted(self.least)} to {_formatted(self.most)}{unit}"

    def check(self, name: str, value: Any) -> None:
        """Raise UserError, naming ``name``, unless ``value`` lies in the range; NaN does not."""
        if not self.holds(value):
            raise UserError(f"{name} must be {self}, got {_formatted(value)}; please change it.")

    def holds(self, value: Any) -> bool:
        """Whether ``value`` lies in the range."""
        if not isinstance(value, (int, float)) or (isinstance(value, float) and math.isnan(value)):
            return False
        return self.least <= value <= self.most and not (self.whole and value != int(value))

    def read(self, text: str) -> float:
        """Parse a number of the range. Raises UserError for anything else."""
        try:
            number: float = int(text) if self.whole else float(text)
        except ValueError:
            number = math.nan
        if not self.holds(number):
            raise UserError(f"must be {self}, got {elided(repr(text))}")
        return number


def ranged(default: N, least: float, most: float, unit: str = "", whole: bool = False) -> N:
    """A dataclass field for a number of this range (an integer if ``default`` is one), or for several such numbers."""
    made: N = field(default=default, metadata={_KEY: Range(least, most, unit, whole or isinstance(default, int))})
    return made


def range_of(owner: type, name: str) -> Range:
    """The range of a field."""
    found = next(one for one in fields(owner) if one.name == name)
    chosen: Range = found.metadata[_KEY]
    return chosen


def default_of(owner: type, name: str) -> Any:
    """The default of a field."""
    return next(one for one in fields(owner) if one.name == name).default


def check_ranges(holder: Any) -> None:
    """Raise UserError unless every ranged field of a dataclass is within its range; None is not checked."""
    for one in fields(holder):
        if _KEY in one.metadata:
            for value in _each(getattr(holder, one.name)):
                one.metadata[_KEY].check(one.name, value)


def check_seconds(seconds: Iterable[float], text: str) -> None:
    """Raise UserError unless the seconds of the timeline ``text`` are strictly increasing, from 0 to a day."""
    last = -math.inf
    for at in seconds:
        if not 0 <= at < math.inf:
            raise UserError(f"The timeline {elided(repr(text))} names {at:g} s; please start at 0 or later.")
        if at > LATEST:
            raise UserError(f"The timeline {elided(repr(text))} names {at:g} s; please end within a day.")
        if not at > last:
            raise UserError(
                f"The timeline {elided(repr(text))} goes from {last:g} s to {at:g} s; please let its seconds rise."
            )
        last = at


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        yield from value
    elif hasattr(value, "keys"):  # (second, value) pairs of a timeline
        yield from (number for _, number in value.keys)
    elif value is not None:
        yield value


def _formatted(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else elided(repr(value))
