"""Times as artists write them: seconds, ``m:ss`` or frames; ranges of time with fades; numbers over time."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .errors import UserError, elided
from .ranges import LATEST, check_seconds
from .values import FPS

#: A range that covers the whole motion.
ALL = "all"
_FRAMES = re.compile(r"(\d+)f")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]?\d(?:\.\d*)?)")
_SECONDS = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_HOW = "please write seconds (4.5), minutes and seconds (0:04.5) or frames (112f)"


def read_time(text: str, fps: float = FPS) -> float:
    """Seconds of "4.5", "0:04.5", "1:02:03" or "112f" (frames at ``fps``). Raises UserError for anything else."""
    word = text.strip().lower()
    if found := _FRAMES.fullmatch(word):
        seconds = int(found[1]) / fps
    elif found := _CLOCK.fullmatch(word):
        seconds = 3600.0 * int(found[1] or 0) + 60.0 * int(found[2]) + float(found[3])
    elif _SECONDS.fullmatch(word):
        seconds = float(word)
    else:
        raise UserError(f"The time {elided(repr(text))} is not understood; {_HOW}.")
    if seconds > LATEST:
        raise UserError(f"The time {elided(repr(text))} is later than a day; {_HOW}.")
    return seconds


def read_seconds(value: object, least: float, most: float, fps: float = FPS) -> float:
    """Seconds from ``least`` to ``most``: a number is seconds, text is read as by :func:`read_time`.

    Text may begin with a minus where ``least`` is negative. Raises UserError for anything else.
    """
    seconds = math.nan
    with contextlib.suppress(TypeError, ValueError, OverflowError, RuntimeError, UserError):
        if isinstance(value, str):
            text = value.strip()
            seconds = -read_time(text[1:], fps) if text.startswith("-") else read_time(text, fps)
        elif not isinstance(value, (bytes, bytearray)):
            seconds = float(value)  # type: ignore[arg-type]
    if not least <= seconds <= most:
        got = value if isinstance(value, (bool, int, float, str)) else type(value)
        raise UserError(f"must be a time from {least:g} to {most:g} s, got {elided(repr(got))}; {_HOW}.")
    return seconds


@dataclass(frozen=True)
class TimeRange:
    """From ``start`` to before ``end`` in seconds; an ``end`` of None is the end of the motion."""

    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if not (0.0 <= self.start < math.inf and (self.end is None or self.start < self.end)):
            end = "the end" if self.end is None else f"{self.end:g} s"
            raise UserError(
                f"The range goes from {self.start:g} s to {end}; please end it after it starts, from 0 s on."
            )

    def inside(self, frames: int, fps: float) -> Tensor:
        """Which frames lie in the range, (T,) bool."""
        time = torch.arange(frames, dtype=torch.float64) / fps
        return (time >= self.start) & (time < (math.inf if self.end is None else self.end))

    def envelope(self, frames: int, fps: float, fade_in: float = 0.0, fade_out: float = 0.0) -> Tensor:
        """How far something acts in every frame, (T,) float64 in 0..1, eased at both ends inside the range.

        It grows over ``fade_in`` seconds and has gone at the end of the range. Where the fades are longer than the
        range, each is cut short by the other.
        """
        time = torch.arange(frames, dtype=torch.float64) / fps
        end = frames / fps if self.end is None else self.end
        inside = self.inside(frames, fps).double()
        grown = ((time - self.start) / fade_in).clamp(0.0, 1.0) if fade_in > 0 else inside
        # A range that lasts to the end of the motion has nothing to fade into.
        fades = fade_out > 0 and self.end is not None
        left = ((end - time) / fade_out).clamp(0.0, 1.0) if fades else inside
        share = torch.minimum(grown, left) * inside
        return share * share * (3.0 - 2.0 * share)


WHOLE = TimeRange()


def read_ranges(text: str, fps: float = FPS) -> tuple[TimeRange, ...]:
    """Ranges such as "0:01 - 0:03.5, 100f - 150f, 8 -"; "all" is the whole motion.

    Raises UserError for anything else, and for ranges that do not follow each other.
    """
    if text.strip().lower() == ALL:
        return (WHOLE,)
    ranges = tuple(_range(part, text, fps) for part in text.split(","))
    for one, following in zip(ranges, ranges[1:], strict=False):
        if one.end is None or one.end > following.start:
            raise UserError(
                f"The ranges {elided(repr(text))} overlap at {following.start:g} s; please end each before the next."
            )
    return ranges


def envelope(ranges: Sequence[TimeRange], frames: int, fps: float, fade_in: float, fade_out: float) -> Tensor:
    """How far something acts that lasts over several ranges, (T,) float64 in 0..1."""
    share = torch.zeros(frames, dtype=torch.float64)
    for one in ranges:
        share = torch.maximum(share, one.envelope(frames, fps, fade_in, fade_out))
    return share


@dataclass(frozen=True)
class TimeCurve:
    """A number over time: (second, value) pairs, straight lines between them, held at both ends."""

    keys: tuple[tuple[float, float], ...]

    @staticmethod
    def written(text: str, low: float, high: float, fps: float = FPS) -> TimeCurve:
        """Read "0.5", or "0:0, 2.5:1" with a value for each time; the time may be ``m:ss`` or frames.

        Raises UserError for anything else, times that do not rise, or a value outside ``low``..``high``.
        """
        keys = tuple(_key(part, text, fps) for part in text.split(","))
        if len(keys) > 1 and any(":" not in part for part in text.split(",")):
            raise UserError(f"A value in {elided(repr(text))} has no time; please write 0:0, 2.5:1.")
        check_seconds((at for at, _ in keys), text)
        for _, value in keys:
            if not low <= value <= high:
                raise UserError(
                    f"The curve {elided(repr(text))} holds {value:g}; please give numbers from {low:g} to {high:g}."
                )
        return TimeCurve(keys)

    def values(self, frames: int, fps: float) -> Tensor:
        """One number for each frame, (T,) float64."""
        at, value = zip(*self.keys, strict=True)
        return torch.from_numpy(np.interp(np.arange(frames) / fps, at, value))


def _range(part: str, text: str, fps: float) -> TimeRange:
    start, dash, end = part.partition("-")
    if not dash:
        raise UserError(
            f"The range {elided(repr(text))} is not understood; please write {ALL}, or a start and an end such as"
            " 0:01 - 0:03.5."
        )
    return TimeRange(read_time(start, fps), read_time(end, fps) if end.strip() else None)


def _key(part: str, text: str, fps: float) -> tuple[float, float]:
    time, colon, value = part.rpartition(":")
    try:
        return (read_time(time, fps) if colon else 0.0), float(value)
    except ValueError:
        raise UserError(f"Cannot read {elided(repr(text))}; write a number, or a curve like 0:0, 2.5:1.") from None
