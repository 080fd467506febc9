"""The emotion of a talking video from a file of subtitles and from the voice's loudness."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from playmate_core.cli import main as cli
from playmate_core.errors import UserError
from playmate_core.motion.motion_file import load_motion_clip
from playmate_core.pipelines.told_emotion import told_emotion, with_loudness
from playmate_core.values import EMOTIONS, AudioFeatures

SRT = "1\n00:00:00,000 --> 00:00:01,000\n[sad] One.\n\n2\n00:00:01,000 --> 00:00:02,000\n[happy@0.5] Two.\n"


@pytest.mark.parametrize("name, text", [("a.srt", SRT), ("a.lrc", "[00:00.00][sad] One.\n[00:01.00][happy@0.5] Two.")])
def test_tags_of_a_file_are_the_timeline(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    told, written = told_emotion("fear", 1.0, tmp_path / name), told_emotion("0:sad,1:happy@0.5", 1.0)
    assert told == written


def test_what_is_no_subtitles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_bytes(b"\xff\xfe\x00[happy]")
    (tmp_path / "b.srt").write_text("no tags")
    for name, said in (("a.srt", "UTF-8"), ("b.srt", "no emotion tag"), ("c.srt", "check the path")):
        with pytest.raises(UserError, match=said):
            told_emotion("happy", 1.0, tmp_path / name)


def test_intensity_follows_the_loudness() -> None:
    energy = (torch.arange(100) >= 50).float()
    audio = AudioFeatures(torch.zeros(100, 1, 4), energy, "logmel")
    happy = told_emotion("happy", 0.8)
    shown = with_loudness(happy, audio, 0.25).curve(100)
    assert shown is not None and float(shown.weights[0, EMOTIONS.index("happy")]) == 1.0
    assert float(shown.intensity[10]) == pytest.approx(0.2, abs=0.01)
    assert float(shown.intensity[90]) == pytest.approx(0.8, abs=0.01)
    assert with_loudness(happy, audio, 1.0) is happy


def test_the_command_line_takes_both(
    portrait_picture: Path,
    speech_wave: Path,
    tiny_weights: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:09,000\n[happy] Hi.\n")
    words = ["talk", str(portrait_picture), str(speech_wave), "-o", str(tmp_path / "out.mp4"), "--any-picture"]
    words += map(str, [*tiny_weights, "--steps", 2, "--preview", tmp_path / "sheet.png"])
    found = {}
    tags = ["--emotion-tags", str(tmp_path / "words.srt")]
    for name, more in {"named": ["--emotion", "happy"], "tags": tags, "quiet": [*tags, "--emotion-quiet", "0"]}.items():
        path = tmp_path / f"{name}.safetensors"
        assert cli.main([*words, *more, "--save-motion", str(path)]) == 0, capsys.readouterr().err
        found[name] = load_motion_clip(path).motion.expression
    assert torch.equal(found["named"], found["tags"])
    assert not torch.equal(found["tags"], found["quiet"])
    assert cli.main([*words, "--emotion-tags", "nosuch.srt"]) == cli.MISTAKE
