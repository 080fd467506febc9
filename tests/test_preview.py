"""``playmate talk --preview``: some frames in seconds, and no video."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from playmate_core.cli import main as cli


def test_a_preview_is_drawn_instead_of_the_video(
    portrait_picture: Path,
    speech_wave: Path,
    tiny_weights: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["talk", str(portrait_picture), str(speech_wave), "-o", str(tmp_path / "out.mp4"), "--any-picture"]
    words += tiny_weights
    assert cli.main([*words, "--preview", str(tmp_path / "sheet.png")]) == 0, capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.png"]
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None and sheet.shape == (2 * (256 + 24), 4 * 256, 3), "eight frames in two rows"
    said = capsys.readouterr().out
    assert "sheet.png" in said and "draw preview" in said and "render and encode" not in said
    assert cli.main([*words, "--preview", str(tmp_path / "sheet.jpg")]) == cli.MISTAKE
    assert "must end in .png" in capsys.readouterr().err


def test_takes_and_emotions_are_rows_of_the_preview(
    portrait_picture: Path,
    speech_wave: Path,
    tiny_weights: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["talk", str(portrait_picture), str(speech_wave), "-o", str(tmp_path / "out.mp4"), "--any-picture"]
    words += map(str, [*tiny_weights, "--steps", 2])
    for more, rows in ((["--takes", "2"], 2), (["--all-emotions"], 8)):
        sheet = tmp_path / f"{rows}.png"
        assert cli.main([*words, "--preview", str(sheet), *more]) == 0, capsys.readouterr().err
        assert cv2.imread(str(sheet)).shape == (rows * (256 + 24), 8 * 256, 3)
        assert cli.main([*words, *more]) == cli.MISTAKE
        assert "please name a picture" in capsys.readouterr().err
