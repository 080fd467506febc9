"""`playmate describe`: what a file is, whatever it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import refused
from PIL import Image

from playmate_core.cli import main as cli
from playmate_core.motion.motion_file import SUFFIX, MotionClip
from playmate_core.motion.motion_tables import MOTION_SUFFIXES, TABLE_SUFFIXES, write_motion_clip
from playmate_core.values import Motion, Pose


def test_describe_says_what_a_file_is(tiny_motion: Path, portrait_picture: Path, capsys) -> None:
    assert cli.main(["describe", str(tiny_motion)]) == 0
    said = capsys.readouterr().out
    assert "motion model" in said and "Apache-2.0" in said


def test_describe_answers_about_media_and_other_files(
    portrait_picture: Path, speech_wave: Path, tmp_path: Path, capsys
) -> None:
    assert cli.main(["describe", str(portrait_picture)]) == 0
    assert "portrait.png: a PNG picture of" in capsys.readouterr().out
    assert cli.main(["describe", str(speech_wave)]) == 0
    said = capsys.readouterr().out
    assert "a sound of " in said and "track 0" in said and "the one that is taken" in said and "silent" not in said
    (tmp_path / "letter.txt").write_text("Dear all, this is a letter.")
    assert "letter.txt is no model, motion" in refused(["describe", str(tmp_path / "letter.txt")], capsys)
    (tmp_path / "cut.wav").write_bytes(speech_wave.read_bytes()[:5000])
    assert "cut short" in refused(["describe", str(tmp_path / "cut.wav")], capsys)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff" + b"0" * 100)
    assert "photo.jpg is not a picture" in refused(["describe", str(tmp_path / "photo.jpg")], capsys)
    (tmp_path / "model.safetensors").write_bytes(b"nothing of the kind")
    assert "not a complete safetensors" in refused(["describe", str(tmp_path / "model.safetensors")], capsys)
    assert "is a folder" in refused(["describe", str(tmp_path)], capsys)
    assert "There is no model or media file" in refused(["describe", str(tmp_path / "nosuch")], capsys)


@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_describe_measures_a_picture_upright_and_of_any_size(
    orientation: int, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow takes pictures of more pixels than a limit for an attack, which would be a traceback."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    exif = Image.Exif()
    exif[0x112] = orientation
    for name in ("a.jpg", "a.png", "a.tif", "a.webp"):
        Image.new("RGB", (96, 64)).save(tmp_path / name, exif=exif)
        assert cli.main(["describe", str(tmp_path / name)]) == 0
        size = "64 x 96" if orientation >= 5 else "96 x 64"
        assert f"picture of {size} pixels" in capsys.readouterr().out
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("suffix", MOTION_SUFFIXES)
def test_describe_knows_every_file_that_holds_a_motion(suffix: str, tmp_path: Path, capsys) -> None:
    """Those we write; LivePortrait's templates are read, and refused where they are something else."""
    file = tmp_path / f"a{suffix}"
    if suffix in (SUFFIX, *TABLE_SUFFIXES):
        pose = Pose(torch.zeros(5, 3), torch.zeros(5, 3), torch.ones(5, 1), 25.0)
        write_motion_clip(MotionClip(Motion(pose, torch.zeros(5, 21, 3)), source="nod.mp4"), file)
        assert cli.main(["describe", str(file)]) == 0
        said = capsys.readouterr().out
        assert "length: 0.20 s, 5 frames" in said and "rate: 25 frames a second" in said
    file.write_text("Dear all, this is a letter.")
    assert f"a{suffix}" in refused(["describe", str(file)], capsys)
