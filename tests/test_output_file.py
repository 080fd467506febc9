"""Outputs: tried before the slow part, claimed by one job, kept when they cannot be replaced, and nothing left over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from child_process import PREAMBLE, TESTS, kill_where_it_waits, needs_sigkill

from playmate_core import atomic_file
from playmate_core.atomic_file import AtomicFile, NotReplaced, beside, remove_stale, temporary_name
from playmate_core.errors import UserError
from playmate_core.media.output_file import OutputLock, check_output
from playmate_core.rendering import segments

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX's")


@pytest.mark.parametrize("length", [200, 240, 250, 255])
@pytest.mark.parametrize("letter", ["a", "é", "漢"])
def test_long_names_are_written(tmp_path: Path, length: int, letter: str) -> None:
    size = len(letter.encode())
    path = tmp_path / (letter * ((length - 4) // size) + "x" * ((length - 4) % size) + ".mp4")
    assert len(path.name.encode()) == length
    check_output(path)
    assert all(len(one.name.encode()) <= 255 for one in (beside(path, "parts"), temporary_name(path)))
    with OutputLock(path), AtomicFile(path) as temporary:
        temporary.write_bytes(b"1")
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_too_long_names_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / ("a" * 252 + ".mp4"), tmp_path / ("b" * 300) / "out.mp4"):
        with pytest.raises(UserError, match="cannot be written .*too long"):
            check_output(path)


def test_names_that_begin_alike_do_not_share_a_folder(tmp_path: Path) -> None:
    one, other = (beside(tmp_path / ("a" * 200 + end), "parts") for end in ("1.mp4", "2.mp4"))
    assert one != other


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file/out.mp4", tmp_path / "file/more/out.mp4"):
        with pytest.raises(UserError, match="file is a file"):
            check_output(path)


@posix
def test_a_pipe_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.mp4")
    with pytest.raises(UserError, match="a device or a pipe"):
        check_output(tmp_path / "out.mp4")


def test_a_target_in_use_is_refused_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows answers for a video that a player shows, and Linux for one that is immutable."""
    path = tmp_path / "out.mp4"
    path.write_bytes(b"the old one")
    real = Path.open

    def refuse(self: Path, mode: str = "r", *more: object) -> object:
        if self == path and "+" in mode:
            raise PermissionError(1, "Operation not permitted")
        return real(self, mode, *more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match="cannot be replaced .*not permitted"):
        check_output(path)
    assert path.read_bytes() == b"the old one"


def test_what_cannot_be_moved_into_place_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = AtomicFile(tmp_path / "out.mp4")
    file.temporary.write_bytes(b"an hour of work")
    monkeypatch.setattr(atomic_file.os, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(1, "in use")))
    with pytest.raises(NotReplaced, match="in use.*kept as .*out.kept-1.mp4"):
        file.commit_or_keep()
    remove_stale(tmp_path)
    assert (tmp_path / "out.kept-1.mp4").read_bytes() == b"an hour of work" and len(list(tmp_path.iterdir())) == 1


# Two jobs, one output

LOCKED = """
from pathlib import Path
from playmate_core.media.output_file import OutputLock
with OutputLock(Path(sys.argv[1])):
    wait_to_be_killed()
"""


@needs_sigkill
def test_a_second_job_is_told_and_a_killed_one_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    words = [sys.executable, "-c", PREAMBLE + LOCKED, str(path)]
    with subprocess.Popen(words, cwd=TESTS.parent, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None and "waiting" in other.stdout.readline()
        with pytest.raises(UserError, match=rf"\(process {other.pid}\) is writing"), OutputLock(path):
            pass
        with OutputLock(tmp_path / "another.mp4"):
            pass
        other.kill()
    with OutputLock(path):  # what the killed one left is no obstacle
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


# What killed processes left

LEAVE = """
from pathlib import Path
from playmate_core.atomic_file import temporary_name
temporary_name(Path(sys.argv[1])).write_bytes(b"half")
folder = temporary_name(Path(sys.argv[1]), "parts")
folder.mkdir()
(folder / "00000000.mp4").write_bytes(b"a segment")
wait_to_be_killed()
"""


@needs_sigkill
def test_only_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    kill_where_it_waits(LEAVE, [tmp_path / "out.mp4"])
    assert len(list(tmp_path.iterdir())) == 2
    strange = [".out.mp4.part", ".x.parts", ".out.mp4.playmate-1-1.part", ".out.mp4.playmate-parts", "a.part"]
    for name in strange:
        (tmp_path / name).write_text("somebody's")
    own = temporary_name(tmp_path / "out.mp4")
    own.write_text("being written")
    check_output(tmp_path / "out.mp4")
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*strange, own.name])


def test_what_another_machine_left_goes_after_a_day(tmp_path: Path) -> None:
    fresh, old = (tmp_path / f".a.mp4.playmate-00000000-{number}-0.part" for number in (1, 2))
    for path in (fresh, old):
        path.write_text("")
    long_ago = time.time() - 25 * 3600
    os.utime(old, (long_ago, long_ago))
    remove_stale(tmp_path)
    assert fresh.exists() and not old.exists()


# Folders of segments


def test_a_folder_of_segments_is_entered_and_left(tmp_path: Path) -> None:
    folder = beside(tmp_path / "a.mp4", "parts")
    assert segments._enter(folder, "job", "plain") == "plain"
    (folder / "00000000.mp4").write_bytes(b"1")
    half = temporary_name(folder / "00000250.mp4")
    half.write_bytes(b"2")
    assert segments._enter(folder, "job", "fast") == "plain"
    assert (folder / "00000000.mp4").exists() and not half.exists()
    assert segments._enter(folder, "another job", "fast") == "fast"
    assert [one.name for one in folder.iterdir()] == ["film.json"]
    segments._leave(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "files",
    [
        {"00000000.mp4": b"mine"},
        {"film.json": b"{}", "00000000.mp4": b"mine"},
        {"film.json": b"not json"},
        {"film.json": b"[]"},
        {"film.json": json.dumps({"film": "job", "profile": "plain"}).encode()},
        {"film.json": json.dumps({"program": "playmate", "film": "x", "profile": "plain"}).encode(), "a.txt": b"mine"},
        {".other.part": b"mine"},
    ],
)
def test_a_strangers_folder_is_left_alone(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = beside(tmp_path / "a.mp4", "parts")
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match="did not write"):
        segments._enter(folder, "job", "plain")
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == files


@posix
def test_a_link_or_a_file_in_place_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    folder, other = beside(tmp_path / "a.mp4", "parts"), tmp_path / "other"
    other.mkdir()
    folder.symlink_to(other)
    with pytest.raises(UserError, match="did not write"):
        segments._enter(folder, "job", "plain")
    folder.unlink()
    folder.write_text("mine")
    with pytest.raises(UserError, match="did not write"):
        segments._enter(folder, "job", "plain")
    assert folder.read_text() == "mine"
