"""The script for a machine with a card, as far as a processor can run it: every section, on small networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import device
from benchmarks.device_sections import run_section
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.fast import build_fast_face

ROOT = Path(__file__).resolve().parent.parent
DRY = ["--device", "cpu", "--tiny", "--batches", "1", "2", "--turns", "1"]


@pytest.mark.parametrize("name", tuple(device.SECTIONS))
def test_every_section_measures(name: str, tmp_path: Path) -> None:
    found = run_section(device.arguments([*DRY, "--section", name]))
    assert "skipped" not in found and json.loads(json.dumps(found)) == found
    rows = found.get("rows", [])
    if name == "networks":
        assert [(row["batch"], row["contender"]) for row in rows] == [
            (batch, title) for batch in (1, 2) for title in ("ours, plain modules fp32", "ours, structure")
        ]
        assert all(row["worst error"] < 1e-3 and row["PSNR, dB"] > 70 for row in rows)
    if name == "compiled":
        assert [row["contender"] for row in rows] == ["ours, compiled"] and rows[0]["worst error"] < 1e-3
    if name == "talk":
        assert found["frames"] == 25 and found["real-time factor, models loaded"] > 0
        assert found["first frame, warm models, s"] > 0
    if name == "outside":
        assert [row["step"] for row in rows][:2] == ["paste-back", "encoding, x264"]
        assert isinstance(rows[1]["ms a frame"], float)


def test_the_command_writes_its_tables_and_survives_a_section(tmp_path: Path) -> None:
    """Sections that fail or take too long are named with the reason, and the others stand."""
    stem = tmp_path / "table"
    words = [*DRY, "--out", str(stem), "--sections", "machine", "networks", "--reference", str(tmp_path)]
    assert device.main(words) == 0
    told = json.loads(stem.with_suffix(".json").read_text())
    assert told["sections"]["machine"]["a frame of W and G, GFLOP"] > 0
    assert "no checkout of LivePortrait" in told["sections"]["networks"]["skipped"]
    text = stem.with_suffix(".md").read_text()
    assert "Not measured: " in text and "no measurement" in text and str(tmp_path) not in told["command"]
    assert device.in_own_process("machine", device.arguments(DRY), 1.0) == {"skipped": "no time was left"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_the_script_says_so(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    for python, reason in ((sys.executable, "sees no NVIDIA card"), (str(bare), "has no torch")):
        words, place = ["bash", str(ROOT / "benchmarks/device.sh")], {**os.environ, "PYTHON": python}
        done = subprocess.run(words, capture_output=True, text=True, env=place)
        assert done.returncode == 2 and reason in done.stderr


def test_the_budget_is_six_minutes() -> None:
    assert device.arguments([]).budget <= 360


@pytest.mark.parametrize("profile", ["structure", "half"])
def test_published_sizes_have_the_shapes_that_the_script_expects(profile: str) -> None:
    """On the meta device, which computes shapes alone: plain and fast networks agree at every batch."""
    with torch.device("meta"):
        face = FaceModel(FaceConfig()).train(False)
        for batch in device.BATCHES:
            volume, x_s, x_d = torch.zeros(1, 32, 16, 64, 64), torch.zeros(1, 21, 3), torch.zeros(batch, 21, 3)
            assert face.draw(volume, x_s, x_d).shape == (batch, 3, 512, 512)
    assert build_fast_face(face, profile) is not face
