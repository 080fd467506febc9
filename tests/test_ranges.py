"""Ranged fields of the dataclasses that people fill in: each refuses what lies outside, NaN included."""

from __future__ import annotations

import importlib
import math
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import playmate_core
from playmate_core.errors import LONGEST_SENTENCE, UserError, elided, suggestion, with_article
from playmate_core.media.audio_files import Recording
from playmate_core.motion.driving import DrivingOptions
from playmate_core.pipelines.animate import AnimateRequest
from playmate_core.pipelines.talk import TalkRequest
from playmate_core.ranges import Range, ranged

ROOT = Path(playmate_core.__file__).parent
NEEDED = {AnimateRequest: (Path("p"), Path("d"), Path("o")), TalkRequest: (Path("p"), Path("s"), Path("o"))}


def ranged_fields() -> list[tuple[type, str, Range]]:
    """Every ranged field of every dataclass in the core."""
    found = []
    for file in sorted(ROOT.rglob("*.py")):
        if "ranged(" in file.read_text(encoding="utf-8") and file.stem != "ranges":
            module = importlib.import_module("playmate_core." + ".".join(file.relative_to(ROOT).with_suffix("").parts))
            own = (one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__)
            for owner in filter(is_dataclass, own):
                found += [(owner, f.name, f.metadata["range"]) for f in fields(owner) if "range" in f.metadata]
    return found


FIELDS = ranged_fields()


@pytest.mark.parametrize(("owner", "name", "kind"), FIELDS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_ranged_field_refuses_what_lies_outside(owner: type, name: str, kind: Range) -> None:
    made: Any = owner(*NEEDED.get(owner, ()))
    pair = (lambda value: (value, value)) if name == "point" else lambda value: value
    for value in (math.nan, math.inf, -math.inf, kind.least - 1, kind.most * 2 + 2, "1", 10**400):
        with pytest.raises(UserError, match=f"{name} must be {kind}, got "):
            replace(made, **{name: pair(value)})
    for value in (kind.least, kind.most):
        assert getattr(replace(made, **{name: pair(value)}), name) == pair(value)


def test_the_ranges_are_found() -> None:
    assert len(FIELDS) > 25
    assert {"crf", "steps", "lips", "multiplier", "share", "longest", "point"} <= {name for _, name, _ in FIELDS}
    assert any(owner is DrivingOptions for owner, _, _ in FIELDS)


def test_a_range_says_what_it_is() -> None:
    assert str(Range(1, 1000, "frames", whole=True)) == "a whole number from 1 to 1000 frames"
    assert str(Range(0.0, 0.5)) == "a number from 0 to 0.5"
    assert ranged(3, 0, 9).metadata["range"].whole and not ranged(3.0, 0, 9).metadata["range"].whole  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("start", "duration"), [(math.nan, 0.0), (-1.0, 0.0), (0.0, -1.0), (0.0, math.inf), (1e9, 0.0)]
)
def test_a_part_of_a_recording_needs_finite_seconds(start: float, duration: float) -> None:
    with pytest.raises(UserError, match="from 0 to 86400"):
        Recording(np.ones((1, 100), np.float32), 10).part(start, duration)


@pytest.mark.parametrize("offset", [math.nan, math.inf, 10.0, -10.0])
def test_an_offset_beyond_the_recording_is_refused(offset: float) -> None:
    with pytest.raises(UserError, match="longer than the 10.00 s"):
        Recording(np.ones((1, 100), np.float32), 10).delayed(offset)


def test_an_offset_keeps_the_length_and_shows_where_the_sound_went() -> None:
    sound = Recording(np.arange(1, 7, dtype=np.float32)[None], 10)
    assert sound.delayed(0.2).samples.tolist() == [[0, 0, 1, 2, 3, 4]]
    assert sound.delayed(-0.2).samples.tolist() == [[3, 4, 5, 6, 0, 0]]
    assert sound.delayed(0.0).samples.tolist() == sound.samples.tolist()


def test_sentences_are_one_line_of_bounded_length() -> None:
    said = str(UserError("There is no " + "x" * 10_000 + "\nhere; please go\0."))
    assert len(said) <= LONGEST_SENTENCE and "\n" not in said and "\0" not in said and said.endswith("go\\0.")
    assert elided("abc", 5) == "abc" and len(elided("x" * 99, 21)) == 21
    assert (with_article("emotion model"), with_article("face")) == ("an emotion model", "a face")
    assert suggestion("hapy", ("happy", "sad")) == " (did you mean 'happy'?)" and suggestion("xyz", ("happy",)) == ""
