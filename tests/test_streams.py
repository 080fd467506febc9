"""The command line where nobody listens: closed or ascii-only output, a reader that has gone, a closed terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from child_process import PREAMBLE, TESTS

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX's")
#: The command line, with some of its streams closed as the shell's `>&-` does.
CLOSED = """
import os, sys
for number in map(int, sys.argv[1].split()):
    os.close(number)
os.execv(sys.executable, [sys.executable, "-m", "playmate_core", *sys.argv[2:]])
"""


@pytest.fixture
def words(
    portrait_picture: Path, speech_wave: Path, tiny_face: Path, tiny_motion: Path, tiny_emotion: Path, tmp_path: Path
) -> list[str]:
    """A talk command that works, writing to a name that ascii lacks."""
    weights = ["--face-weights", tiny_face, "--motion-weights", tiny_motion, "--emotion-weights", tiny_emotion]
    files = [portrait_picture, speech_wave, "-o", tmp_path / "köln 漢.mp4", *weights]
    return ["talk", *map(str, files), "--steps", "2", "--any-picture"]


def playmate(words: list[str], **how: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **how.pop("env", {})}  # type: ignore[dict-item]
    command = [sys.executable, "-m", "playmate_core", *words]
    return subprocess.run(command, cwd=TESTS.parent, text=True, env=environment, **how)  # type: ignore[call-overload]


def broken_pipe() -> int:
    """The writing end of a pipe whose reader has gone, as `| head -1` leaves it."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@posix
@pytest.mark.parametrize("streams", [("stdout", "stderr")])
def test_a_reader_that_has_gone_does_not_stop_the_video(
    words: list[str], tmp_path: Path, streams: tuple[str, ...]
) -> None:
    pipe = broken_pipe()
    where = {"stdout": pipe, "stderr": subprocess.PIPE, **dict.fromkeys(streams, pipe)}
    done = playmate(words, **where)
    os.close(pipe)
    assert done.returncode == 0 and not any(sign in (done.stderr or "") for sign in ("Traceback", "BrokenPipe"))
    assert [path.name for path in tmp_path.iterdir()] == ["köln 漢.mp4"]


@posix
@pytest.mark.parametrize("numbers", ["1", "0 1 2"])
def test_closed_streams_do_not_stop_the_video(words: list[str], tmp_path: Path, numbers: str) -> None:
    command = [sys.executable, "-c", CLOSED, numbers, *words]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["köln 漢.mp4"]


@posix
def test_the_exit_code_tells_where_no_word_can(words: list[str], tmp_path: Path) -> None:
    pipe = broken_pipe()
    done = playmate([*words, "--emotion", "joyful"], stdout=pipe, stderr=pipe)
    os.close(pipe)
    assert done.returncode == 2 and list(tmp_path.iterdir()) == []


def test_ascii_only(words: list[str], tmp_path: Path) -> None:
    plain = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = playmate(words, env=plain, capture_output=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr and "video    " in done.stdout
    env = {"PYTHONIOENCODING": "ascii"}
    done = playmate(["describe", str(tmp_path / "nichts ö.bin")], env=env, capture_output=True)
    assert done.returncode == 2 and r"nichts \xf6.bin" in done.stderr and "Traceback" not in done.stderr


@posix
@pytest.mark.parametrize("words", [["talk", "--help"]])
def test_help_into_a_pipe_that_is_closed(words: list[str]) -> None:
    pipe = broken_pipe()
    done = playmate(words, stdout=pipe, stderr=subprocess.PIPE)
    os.close(pipe)
    assert done.returncode == 0 and done.stderr == ""


STOPPED = """
import os, signal
from playmate_core.cli import main as cli, talk
def told(bars, name, done, total):
    if name == "render and encode" and done > 8:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        os.kill(os.getpid(), signal.SIGTERM)
talk.Bars.__call__ = told
sys.exit(cli.main(sys.argv[2:]))
"""


@posix
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_being_told_to_end_leaves_nothing(words: list[str], tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", PREAMBLE + STOPPED, name, *words]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 130 and "Traceback" not in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


@posix
def test_nohup_is_believed(words: list[str], tmp_path: Path) -> None:
    """A closed terminal does not matter to a job that was begun with `nohup`."""
    alone = STOPPED.replace("        os.kill(os.getpid(), signal.SIGTERM)\n", "")
    command = [sys.executable, "-c", PREAMBLE + alone, "SIGHUP", *words]
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, preexec_fn=ignore, check=False)
    assert done.returncode == 0 and len(list(tmp_path.iterdir())) == 1
