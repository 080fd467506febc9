"""The benchmark of long speech runs the program itself, counts its frames and tells a slope from a start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import long_talk
from benchmarks.long_talk import LongTalk, marginal


def test_the_program_is_run_and_its_frames_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stem = tmp_path / "table"
    words = ["--seconds", "0.4", "--out", str(stem), "--", "--steps", "1", "--crf", "40"]
    assert long_talk.main(words) == 0
    told = json.loads(stem.with_suffix(".json").read_text())
    (run,) = told["runs"]
    assert run["frames"] == 10 and run["processor"] > 0.1 and run["peak"] > 100e6
    assert told["command"] == "python -m benchmarks.long_talk --seconds 0.4 --out table -- --steps 1 --crf 40"
    assert stem.with_suffix(".md").read_text() == capsys.readouterr().out


def test_a_run_that_fails_tells_why() -> None:
    with pytest.raises(RuntimeError, match="--steps"):
        long_talk.measure(0.4, 1, ["--steps", "0"])


def test_the_start_is_no_part_of_a_further_frame() -> None:
    runs = [LongTalk(30, 750, 5 + 7.5, 10**9), LongTalk(120, 3000, 5 + 30.0, 10**9)]
    assert marginal(runs) == [None, pytest.approx(10.0)]
    text = long_talk.markdown(runs, 1.0, 1, "command")
    assert "| 120 | 3000 | 35.0 | 11.67 | 10.00 | 1000 | 1.000 |" in text
