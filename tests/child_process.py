"""Programs in a process of their own: how much memory one took at most, and killing one where it says it has come to.

Nothing here waits for seconds: how long a program takes says how busy the machine is. A program that is to be killed
says when it is where it is to die, and then waits for an input that never comes: it cannot be finished before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
#: Ends a script: the most memory, in kB, that the kernel has seen the process hold. (What getrusage tells begins with
#: the peak of the process that started it.)
PRINT_PEAK = """
from pathlib import Path
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""
#: Begins a script: helpers of this folder can be imported, and ``wait_to_be_killed()`` does.
PREAMBLE = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
def wait_to_be_killed():
    print("waiting to be killed", flush=True)
    sys.stdin.read()
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc to read memory from")
needs_sigkill = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")


def run_script(script: str, words: Iterable[object], without: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script to its end; ``without`` is how variables begin that it shall not see."""
    kept = {name: value for name, value in os.environ.items() if not (without and name.startswith(without))}
    return subprocess.run(_command(script, words), cwd=TESTS.parent, env=kept, capture_output=True, text=True)


def peak_memory(script: str, words: Iterable[object]) -> int:
    """The most memory, in kB, that a script takes."""
    # An allocator told to keep what is freed would count what was there one after another as if at once.
    done = run_script(script + PRINT_PEAK, words, without="MALLOC_")
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def kill_where_it_waits(script: str, words: Iterable[object]) -> None:
    """Run a script until it calls ``wait_to_be_killed()``, then send it SIGKILL, after which nothing cleans up."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(_command(script, words), cwd=TESTS.parent, env=environment, text=True, **pipes) as process:
        assert process.stdout is not None
        waits = any(line.strip() == "waiting to be killed" for line in process.stdout)
        process.kill()
    assert waits, f"the program ended by itself with {process.returncode}"


def _command(script: str, words: Iterable[object]) -> list[str]:
    return [sys.executable, "-c", PREAMBLE + script, *map(str, words)]
