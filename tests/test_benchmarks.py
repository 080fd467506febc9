"""The benchmark takes turns, counts the work of the plain networks, and shows an error beside every ratio."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import render as bench
from benchmarks.clock import Times, alternate
from playmate_core.face import FaceConfig


def test_contenders_take_turns_after_one_call_that_is_not_counted() -> None:
    called: list[str] = []
    times = alternate({name: lambda turn, name=name: called.append(f"{name}{turn}") for name in "ab"}, 2)
    assert called == ["a0", "b0", "a0", "b0", "a1", "b1"] and len(times["a"].wall) == 2
    assert Times((1.0, 9.0, 2.0), (3.0, 3.0, 3.0)).median == 2


def test_the_error_beside_the_ratio() -> None:
    one = torch.full((1, 3, 2, 2), 0.5)
    other = one.clone()
    other[0, 0, 0, 0] += 2.5 / 255
    error, levels, share = bench.compare([one, one], [one, other])
    assert error == pytest.approx(2.5 / 255, abs=1e-6) and levels in (2, 3) and share == pytest.approx(1 / 24)


def test_the_work_of_a_frame_is_the_published_one() -> None:
    assert bench.flop_per_frame(FaceConfig()) == pytest.approx(2 * (171.04 + 445.79) * 1e9, rel=1e-3)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--weights", str(tmp_path)]) == 2
    assert "holds neither appearance_feature_extractor" in capsys.readouterr().err
    assert bench.main(["--reference", str(tmp_path)]) == 2
    assert "no checkout of LivePortrait" in capsys.readouterr().err
