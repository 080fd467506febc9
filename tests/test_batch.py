"""Folders of inputs: every pair once, a bad file costs its own videos only, a stranger's file is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
from command_line import refused
from driven_videos import motion_clip, pictures, video  # noqa: F401

from playmate_core.cli import main as cli
from playmate_core.cli.batch import INCOMPLETE
from playmate_core.pipelines import batch as room
from playmate_core.pipelines.input_kinds import is_portrait, is_speech


@pytest.fixture
def folders(tmp_path: Path, portrait_picture: Path, speech_wave: Path) -> tuple[Path, Path, Path]:
    """Two portraits and a note, two speeches, and where the videos go."""
    faces, voices = tmp_path / "faces", tmp_path / "voices"
    for folder in (faces, voices):
        folder.mkdir()
    for name in ("anna.png", "ben.png"):
        cv2.imwrite(str(faces / name), cv2.imread(str(portrait_picture)))
    (faces / "notes.txt").write_text("who is who")
    (faces / ".hidden.png").write_bytes(b"no picture")
    for name in ("hello.wav", "bye.wav"):
        (voices / name).write_bytes(speech_wave.read_bytes())
    return faces, voices, tmp_path / "videos"


@pytest.fixture
def words(tiny_weights: list[str]) -> list[str]:
    return [*tiny_weights, "--steps", "2", "--any-picture"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_portrait_speaks_every_speech(folders: tuple[Path, Path, Path], words: list[str], capsys: Any) -> None:
    faces, voices, out = folders
    assert cli.main(["talk", str(faces), str(voices), "-o", str(out), *words]) == 0, capsys.readouterr().err
    assert names(out) == ["anna_bye.mp4", "anna_hello.mp4", "ben_bye.mp4", "ben_hello.mp4"]
    said = capsys.readouterr()
    assert "[4/4] ben_hello.mp4: 1.32 s, 33 frames" in said.out and "4 of 4 videos made" in said.out
    assert all(len(pictures(path)) == 33 for path in out.iterdir())


def test_a_bad_file_costs_itself_only(folders: tuple[Path, Path, Path], words: list[str], capsys: Any) -> None:
    faces, voices, out = folders
    (faces / "bad.png").write_bytes(b"no picture at all")
    (faces / "cut.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    assert cli.main(["talk", str(faces), str(voices / "bye.wav"), "-o", str(out), *words]) == INCOMPLETE == 1
    assert names(out) == ["anna.mp4", "ben.mp4"]
    said = capsys.readouterr()
    assert "2 of 4 videos made" in said.out and "2 failed" in said.out and "Traceback" not in said.err
    assert said.err.count("playmate: bad.png with bye.wav: ") == said.err.count("playmate: cut.mp4 with bye.wav: ") == 1


def test_an_unforeseen_failure_costs_itself_only(
    folders: tuple[Path, Path, Path], words: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces, voices, out = folders
    whole = room._run

    def run(job: room.BatchJob, make: Any, skip: bool) -> room.BatchResult:
        def broken(one: room.BatchJob) -> Any:
            if one.first.name == "anna.png":
                raise RuntimeError("nobody thought of this")
            return make(one)

        return whole(job, broken, skip)

    monkeypatch.setattr(room, "_run", run)
    assert cli.main(["talk", str(faces), str(voices / "bye.wav"), "-o", str(out), *words]) == 1
    assert names(out) == ["ben.mp4"] and "nobody thought of this" in capsys.readouterr().err


def test_files_of_others_are_left_alone_and_own_ones_replaced(
    folders: tuple[Path, Path, Path], words: list[str], capsys: Any
) -> None:
    faces, voices, out = folders
    out.mkdir()
    (out / "bye.mp4").write_bytes(b"precious")
    one = ["talk", str(faces / "anna.png"), str(voices), "-o", str(out), *words]
    assert cli.main(one) == 1
    assert (out / "bye.mp4").read_bytes() == b"precious" and "was not made of these inputs" in capsys.readouterr().err
    (out / "bye.mp4").unlink()
    assert cli.main(one) == 0
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert cli.main([*one, "--resume"]) == 0
    assert "2 kept as they were" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert cli.main([*one, "--resume", "--batch", "2"]) == 0
    assert "2 kept as they were" in capsys.readouterr().out, "the batch is no setting of the video"
    assert cli.main([*one, "--resume", "--crf", "40"]) == 0
    said = capsys.readouterr().out
    assert "2 of 2 videos made" in said and said.count("made again, for a setting changed: encoding.crf 18 -> 40") == 2
    assert cli.main([*one, "--resume", "--crf", "40", "--seed", "5"]) == 0
    assert capsys.readouterr().out.count("changed: sampling.seed 0 -> 5") == 2
    assert cli.main(one) == 0
    assert all(path.stat().st_mtime_ns != before[path.name] for path in out.iterdir()), "made again"
    other = ["talk", str(faces / "ben.png"), str(voices), "-o", str(out), *words]
    assert cli.main(other) == 1, "a video of another portrait is not replaced either"


def test_names_that_would_meet_keep_their_suffix(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    for name in ("a.png", "A.jpg", "b.webp"):
        (faces / name).write_bytes(b"")
    (tmp_path / "x.wav").write_bytes(b"")
    jobs = room.batch_jobs(faces, tmp_path / "x.wav", tmp_path / "out", (is_portrait, is_speech))
    assert [job.output.name for job in jobs] == ["A_jpg.mp4", "a_png.mp4", "b.mp4"]


def test_one_motion_moves_many_portraits(
    folders: tuple[Path, Path, Path],
    tiny_face: Path,
    motion_clip: Path,
    capsys: Any,  # noqa: F811
) -> None:
    faces, _, out = folders
    words = ["--face-weights", str(tiny_face), "--any-picture", "--crop", "whole", "-o", str(out)]
    assert cli.main(["render", str(faces), str(motion_clip), *words]) == 0, capsys.readouterr().err
    assert names(out) == ["anna.mp4", "ben.mp4"] and len(pictures(out / "ben.mp4")) == 10


def test_renders_of_a_motion_are_made_again_where_settings_changed(
    folders: tuple[Path, Path, Path],
    tiny_face: Path,
    motion_clip: Path,
    capsys: Any,  # noqa: F811
) -> None:
    faces, _, out = folders
    words = ["--face-weights", str(tiny_face), "--any-picture", "--crop", "whole", "-o", str(out), "--resume"]
    for more, told in ([], "2 of 2"), ([], "2 kept"), (["--lips", "0.5"], "changed: how.regions.lips 1.0 -> 0.5"):
        assert cli.main(["render", str(faces), str(motion_clip), *words, *more]) == 0
        assert told in capsys.readouterr().out


def test_what_a_batch_cannot_do_is_refused(folders: tuple[Path, Path, Path], words: list[str], capsys: Any) -> None:
    faces, voices, out = folders
    both = ["talk", str(faces), str(voices), "-o", str(out), *words]
    assert "--plot names one file" in refused([*both, "--plot", str(out / "a.png")], capsys)
    empty = faces / "empty"
    empty.mkdir()
    assert "holds no file that can be used" in refused(
        ["talk", str(empty), str(voices), "-o", str(out), *words], capsys
    )
    where = str(out / "deep" / "er")
    assert "does not exist" in refused(["talk", str(faces), str(voices), "-o", where, *words], capsys)
    assert "is no motion" in refused(
        ["render", str(faces / "anna.png"), str(voices / "bye.wav"), "-o", "a.mp4"], capsys
    )
