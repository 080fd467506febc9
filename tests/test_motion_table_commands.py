"""Motion tables on the command line: written by ``playmate motion``, and drawn as the motion file is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from driven_videos import motion_clip, pictures, video  # noqa: F401

from playmate_core.cli import main as cli
from playmate_core.motion.motion_tables import read_motion_clip


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_table_holds_the_motion_exactly_and_is_drawn_like_it(
    video: Path,  # noqa: F811
    motion_clip: Path,  # noqa: F811
    portrait_picture: Path,
    tiny_face: Path,
    tmp_path: Path,
    suffix: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, weights = tmp_path / f"m.{suffix}", ["--face-weights", str(tiny_face)]
    words = ["motion", str(video), "-o", str(table), "--crop", "whole", *weights]
    assert cli.main(words) == 0, capsys.readouterr().err
    kept, written = read_motion_clip(motion_clip).motion, read_motion_clip(table).motion
    assert torch.equal(kept.expression, written.expression) and torch.equal(kept.pose.rotation, written.pose.rotation)
    shown = []
    for motion in (motion_clip, table):
        out = tmp_path / f"{motion.stem}_{motion.suffix[1:]}.mp4"
        words = ["render", str(portrait_picture), str(motion), "-o", str(out), "--any-picture", *weights]
        assert cli.main(words) == 0, capsys.readouterr().err
        shown.append(pictures(out))
    assert all(np.array_equal(one, other) for one, other in zip(*shown, strict=True))
    table.write_text("no table")
    assert cli.main(words) == cli.MISTAKE
    assert "please" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_blend_shapes_go_out_and_come_in(
    motion_clip: Path,  # noqa: F811
    portrait_picture: Path,
    tiny_face: Path,
    tmp_path: Path,
    suffix: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, back, weights = tmp_path / f"m.{suffix}", tmp_path / "b.safetensors", ["--face-weights", str(tiny_face)]
    assert cli.main(["motion", str(motion_clip), "-o", str(table), "--arkit"]) == 0, capsys.readouterr().err
    assert "jawopen" in table.read_text().lower()
    assert cli.main(["motion", str(table), "-o", str(back), *weights]) == 0, capsys.readouterr().err
    kept, read = read_motion_clip(motion_clip).motion, read_motion_clip(back).motion
    assert (len(read), read.fps, read.keypoint_space) == (len(kept), kept.fps, kept.keypoint_space)
    assert torch.allclose(read.pose.rotation, kept.pose.rotation, atol=1e-3)
    out = tmp_path / "out.mp4"
    words = ["render", str(portrait_picture), str(table), "-o", str(out), "--any-picture", *weights]
    assert cli.main(words) == 0, capsys.readouterr().err
    assert len(pictures(out)) == len(kept)
    assert cli.main(["motion", str(motion_clip), "-o", str(back), "--arkit"]) == cli.MISTAKE
    assert "please name the output .csv or .json" in capsys.readouterr().err
