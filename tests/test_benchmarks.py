"""The benchmark takes turns, counts the work of the plain networks, and shows an error beside every ratio."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from benchmarks import render as bench
from benchmarks.clock import Times, alternate
from benchmarks.emulated import bfloat16_products
from benchmarks.ideal_steps import SCHEDULES, distances, fewest, infinitely_many
from benchmarks.machine import command_of
from playmate_core.face import FaceConfig
from playmate_core.rendering.device import multiplies_bf16


def test_contenders_take_turns_after_one_call_that_is_not_counted() -> None:
    called: list[str] = []
    times = alternate({name: lambda turn, name=name: called.append(f"{name}{turn}") for name in "ab"}, 2)
    assert called == ["a0", "b0", "a0", "b0", "a1", "b1"] and len(times["a"].wall) == 2
    assert Times((1.0, 9.0, 2.0), (3.0, 3.0, 3.0)).median == 2


def test_the_error_beside_the_ratio() -> None:
    one = torch.full((1, 3, 2, 2), 0.5)
    other = one.clone()
    other[0, 0, 0, 0] += 2.5 / 255
    error, psnr, levels, share = bench.compare([one, one], [one, other])
    assert error == pytest.approx(2.5 / 255, abs=1e-6) and levels in (2, 3) and share == pytest.approx(1 / 24)
    assert psnr == pytest.approx(-10 * math.log10((2.5 / 255) ** 2 / 24), abs=1e-3)


def test_imitated_products_are_those_of_pytorchs_own_imitation() -> None:
    random = torch.Generator().manual_seed(0)
    maps, kernel = torch.randn(1, 8, 9, 9, generator=random), torch.randn(4, 8, 3, 3, generator=random)
    bias = torch.randn(4, generator=random)
    exact, own = F.conv2d(maps, kernel, bias), F.conv2d(maps.bfloat16(), kernel.bfloat16(), bias.bfloat16())
    with bfloat16_products():
        got = F.conv2d(maps.bfloat16(), kernel.bfloat16(), bias.bfloat16())
        assert torch.equal(F.conv2d(maps, kernel, bias), exact)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(F.conv2d(maps, kernel, bias), got)
    assert got.dtype == torch.bfloat16 and torch.equal(F.conv2d(maps, kernel, bias), exact)
    torch.testing.assert_close(got, own, atol=2**-4, rtol=2**-7)  # a last bit, where sums are ordered otherwise


def test_a_run_without_a_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bundled model, in no time; half precision without the instructions has errors and no times."""
    words = ["--weights", "bundled", "--profiles", "plain", "half", "--turns", "1", "--batch", "2", "--film", "2"]
    assert bench.main([*words, "--out", str(tmp_path / "table")]) == 0
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["ours, plain modules", "ours, half precision"]
    assert rows[0]["pace"]["ratio"] == 1.0 and (rows[1]["pace"] is None) == (not multiplies_bf16())
    assert (tmp_path / "table.md").read_text() == capsys.readouterr().out


def test_the_work_of_a_frame_is_the_published_one() -> None:
    assert bench.flop_per_frame(FaceConfig()) == pytest.approx(2 * (171.04 + 445.79) * 1e9, rel=1e-3)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--weights", str(tmp_path)]) == 2
    assert "holds neither appearance_feature_extractor" in capsys.readouterr().err
    assert bench.main(["--reference", str(tmp_path)]) == 2
    assert "no checkout of LivePortrait" in capsys.readouterr().err


def test_steps_are_compared_with_the_many_step_result() -> None:
    from benchmarks import generator_steps as steps
    from playmate_core.diffusion.joyvasa.config import JoyVasaConfig
    from playmate_core.diffusion.joyvasa.network import JoyVasaNetwork

    small = steps.randomised(JoyVasaNetwork(JoyVasaConfig(width=16, layers=1, feed_forward=16, steps=25)))
    lines = steps.rows_of("small", *steps.joyvasa(small))
    assert len(lines) == 1 + len(steps.CHOICES) and all("nan" not in line for line in lines)
    shares = [float(line.split("|")[4].strip(" %")) for line in lines[1:]]
    assert min(shares) > 0 and shares[4] < shares[0]  # twenty steps are nearer than five


def test_the_fewest_steps_are_those_from_which_on_the_distance_stays_small() -> None:
    assert fewest({5: 0.5, 10: 0.009, 15: 0.02, 20: 0.008, 30: 0.001}) == 20
    assert fewest({5: 0.5, 50: 0.02}) == 0


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_more_steps_come_nearer_to_the_exact_result(name: str) -> None:
    found = distances(name, "ddim", "uniform", infinitely_many(SCHEDULES[name]))
    assert found[5] > found[20] > found[50] > 0.01


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_the_many_step_result_of_a_model_is_that_of_its_whole_schedule(name: str) -> None:
    found = distances(name, "dpm++2m", "logsnr")
    assert found[len(SCHEDULES[name])] == 0 and found[10] > found[20] > found[40] > 0


def test_the_node_names_the_fewest_steps_of_every_model() -> None:
    """What the tooltip of Sample Motion says is what the benchmark finds."""
    nodes = json.loads((Path(__file__).parent / "data" / "nodes.json").read_text(encoding="utf-8"))
    said = nodes["PlaymateSampleMotion"]["input"]["required"]["steps"][1]["tooltip"].lower()
    few = {name: fewest(distances(name, "dpm++2m", "logsnr")) for name in SCHEDULES}
    assert all(f"{count} ({name})" in said for name, count in few.items())


def test_a_told_command_holds_no_absolute_path(tmp_path: Path) -> None:
    told = command_of("render", ["--reference", str(tmp_path / "LivePortrait"), "--out", "benchmarks/results/a b"])
    assert told == "python -m benchmarks.render --reference LivePortrait --out 'benchmarks/results/a b'"
    assert command_of("render", []) == "python -m benchmarks.render"
