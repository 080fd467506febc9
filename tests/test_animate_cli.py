"""animate, motion and render as a person runs them: files appear, mistakes are one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from playmate_core.cli.main import INTERRUPTED, MISTAKE, main
from playmate_core.cli.terminal import Bars
from playmate_core.detection import detectors
from playmate_core.host import HOST
from playmate_core.media.video_reader import has_sound, read_frames
from playmate_core.media.video_writer import VideoWriter


@pytest.fixture(scope="module")
def video(workshop: Path, speech_wave: Path) -> Path:
    path = workshop / "cli_driving.mp4"
    random = torch.Generator().manual_seed(0)
    with VideoWriter(path, 25.0, speech_wave) as writer:
        writer.write(torch.rand(6, 64, 64, 3, generator=random))
    return path


def test_the_three_commands(
    tmp_path: Path, video: Path, portrait_picture: Path, tiny_face: Path, capsys: pytest.CaptureFixture
) -> None:
    weights = ["--face-weights", str(tiny_face)]
    motion, one, two = tmp_path / "m.safetensors", tmp_path / "one.mp4", tmp_path / "two.mp4"
    assert main(["motion", str(video), "-o", str(motion), "--crop", "whole", *weights]) == 0
    assert "6 frames at 25 fps" in capsys.readouterr().out
    assert main(["describe", str(motion)]) == 0
    said = capsys.readouterr().out
    for fact in (
        "m.safetensors: motion,",
        "0.24 s, 6 frames",
        "rate: 25 frames",
        f"source: {video.name}",
        "keypoint space",
    ):
        assert fact in said
    look = [*weights, "--any-picture", "--batch", "4"]
    animate = ["animate", str(portrait_picture), str(video), "-o", str(one), "--driving-crop", "whole", *look]
    assert main([*animate, "--lips", "0.5", "--mode", "absolute", "--fps", "29.97"]) == 0
    said = capsys.readouterr()
    assert str(one) in said.out and "7 frames at 29.97 fps" in said.out and has_sound(one)
    render = ["render", str(portrait_picture), str(motion), "-o", str(two), *look]
    assert main([*render, "--only-crop", "--sound", str(video)]) == 0
    frames = [frame.picture for frame in read_frames(two)]
    assert len(frames) == 6 and frames[0].shape == (64, 64, 3) and has_sound(two)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors", "one.mp4", "two.mp4"]


def test_models_folders_hold_weights_and_detectors(
    tmp_path: Path, video: Path, portrait_picture: Path, tiny_face: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one flag, for every command: the weights by their name there, and who finds faces."""
    seen = list[Path | None]()

    def mine() -> detectors.Detector:
        seen.append(detectors.model_file("detection/mine.task"))
        return lambda image: (detectors.Face((16.0, 16.0, 48.0, 48.0)),)

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
    monkeypatch.setattr(HOST, "_model_folders", lambda category: ())
    monkeypatch.setitem(detectors.DETECTORS, "mine", mine)
    models = tmp_path / "models"
    for name in ("playmate/small.safetensors", "detection/mine.task"):
        (models / name).parent.mkdir(parents=True)
        (models / name).write_bytes(tiny_face.read_bytes())
    (tmp_path / "extra.yaml").write_text("mine:\n  base_path: models\n  playmate: playmate\n  detection: detection\n")
    motion, out = tmp_path / "m.safetensors", tmp_path / "o.mp4"
    for named in (models, tmp_path / "extra.yaml"):
        told = ["--models", str(named), "--face-weights", "small.safetensors"]
        assert main(["motion", str(video), "-o", str(motion), "--crop", "mine", *told]) == 0
        for words in (["render", str(portrait_picture), str(motion)], ["animate", str(portrait_picture), str(video)]):
            assert main([*words, "-o", str(out), "--crop", "mine", "--any-picture", *told]) == 0
    assert set(seen) == {models / "detection/mine.task"}
    assert (
        main(["render", str(portrait_picture), str(motion), "-o", str(out), "--face-weights", "small.safetensors"]) == 2
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["animate", "PORTRAIT", "nowhere.mp4", "-o", "o.mp4"], "There is no driving video file at nowhere.mp4"),
        (["animate", "PORTRAIT", "FILM", "-o", "o.mp4", "--face", "third"], "counted from the left"),
        (["animate", "PORTRAIT", "FILM", "-o", "o.mp4", "--crop-scale", "0"], "a number from 0.1 to 20"),
        (["animate", "PORTRAIT", "FILM", "-o", "o.mp4", "--smoothing", "-1"], "smoothing"),
        (["animate", "PORTRAIT", "FILM", "-o", "o.mp4", "--batch", "0"], "a whole number from 1 to 1024"),
        (["animate", "PORTRAIT", "FILM", "-o", "o.mp4", "--reference", "last"], "invalid choice"),
        (["render", "PORTRAIT", "FILM", "-o", "o.mp4"], "no motion file"),
        (["render", "PORTRAIT", "gone.safetensors", "-o", "o.mp4"], "There is no motion file at gone.safetensors"),
        (["animate", "PORTRAIT", "gone.pkl", "-o", "o.mp4"], "There is no motion file at gone.pkl"),
        (["render", "PORTRAIT", "FACE", "-o", "o.mp4"], "a face model"),
        (["motion", "FILM", "-o", "m.pkl"], "must end in .safetensors"),
        (["motion", "PORTRAIT", "-o", "m.safetensors"], "still picture"),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str],
    says: str,
    tmp_path: Path,
    video: Path,
    portrait_picture: Path,
    tiny_face: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"PORTRAIT": str(portrait_picture), "FILM": str(video), "FACE": str(tiny_face)}
    assert main([given.get(word, word) for word in words]) == MISTAKE
    said = capsys.readouterr().err
    assert says in said and said.startswith("playmate: ") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(
    tmp_path: Path,
    video: Path,
    portrait_picture: Path,
    tiny_face: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    def press(bars: Bars, name: str, done: int, total: int) -> None:
        if name == "render and encode":
            raise KeyboardInterrupt

    monkeypatch.setattr(Bars, "__call__", press)
    words = ["animate", str(portrait_picture), str(video), "-o", str(tmp_path / "o.mp4"), "--driving-crop", "whole"]
    assert main([*words, "--any-picture", "--face-weights", str(tiny_face)]) == INTERRUPTED
    assert "nothing was left behind" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
