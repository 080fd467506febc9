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
