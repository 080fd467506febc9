#!/usr/bin/env python3
"""Two commands for a machine with git and Python 3.10 or newer and nothing else of ours.

    python3 run.py demo     make a talking video from the bundled portrait and speech
    python3 run.py check    run the tests, the linter and the type check
    python3 run.py check --floors    run the main tests with the oldest and the newest packages that are promised

Each makes its own virtual environment in .venv the first time. Any further words go to the command that runs.
PLAYMATE_TORCH_INDEX in the environment says, that first time, where PyTorch comes from: cpu (the CPU build of PyTorch's
own index), default (whatever index pip uses), or the address of an index.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
#: Named exactly, so that every environment computes with one version.
TORCH = "torch==2.13.0"
#: Builds without GPU libraries, about 200 MB. The Linux build of the ordinary index brings several GB of them.
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
#: Chooses the index instead of us.
INDEX_VARIABLE = "PLAYMATE_TORCH_INDEX"
#: Let glibc keep what it was given: on virtual machines whose fresh pages are slow, networks run several times faster.
ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def python() -> Path:
    """The interpreter of our environment."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def call(*words: str) -> int:
    """Run our interpreter in the repository's root and hand on its exit code."""
    return subprocess.call([str(python()), *words], cwd=ROOT, env={**ENVIRONMENT, **os.environ})


def has_nvidia() -> bool:
    """Whether a driver for an NVIDIA card is installed."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def answers(index: str, seconds: float = 5.0) -> bool:
    """Whether an index lists PyTorch: asked once, as pip would keep trying for minutes."""
    try:
        with urllib.request.urlopen(f"{index}/torch/", timeout=seconds):
            return True
    except (OSError, http.client.HTTPException):
        return False


def torch_index(chosen: str, needs_cpu_index: bool, reachable: Callable[[str], bool]) -> str:
    """The index to take PyTorch from, "" for the one that pip uses anyway.

    ``chosen`` is the variable's value, "" where it is not set; then the CPU build is taken where it is not what pip
    would choose, no card is there to use the other, and its index is ``reachable``.
    """
    if chosen == "default":
        return ""
    if chosen == "cpu":
        return CPU_INDEX
    if chosen:
        if not chosen.startswith(("https://", "http://", "file://")):
            raise SystemExit(f"{INDEX_VARIABLE} is {chosen!r}; set it to cpu, default or the address of an index.")
        return chosen
    return CPU_INDEX if needs_cpu_index and reachable(CPU_INDEX) else ""


def torch_packages() -> list[str]:
    """What pip is told to install first, said to the person who waits for it."""
    large = sys.platform == "linux" and not has_nvidia()
    index = torch_index(os.environ.get(INDEX_VARIABLE, ""), large, answers)
    if index:
        print(f"PyTorch comes from {index if index == CPU_INDEX else INDEX_VARIABLE}.", flush=True)
        return ["--index-url", index, TORCH]
    if large:
        print("PyTorch comes from pip's own index, whose Linux build has several GB of GPU libraries.", flush=True)
    return [TORCH]


def set_up(extras: str) -> None:
    """Make the environment, once for every change of pyproject.toml and set of extras."""
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + (TORCH + extras).encode()).hexdigest()
    stamp = VENV / f"ready-{extras or 'base'}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"Setting up {VENV} (a few minutes the first time) ...", flush=True)
    if not python().exists():
        venv.create(VENV, with_pip=True)
    target = f".[{extras}]" if extras else "."
    for packages in (torch_packages(), ["-e", target]):
        if call("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages) != 0:
            raise SystemExit(
                f"Installing {packages[-1]} failed; see pip's message above and try again. PyTorch's own index is left "
                f"out with {INDEX_VARIABLE}=default in the environment."
            )
    if call("-c", "import cv2") != 0:
        raise SystemExit("OpenCV cannot be loaded; on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0")
    stamp.write_text(wanted)


def in_parallel(words: list[str]) -> list[str]:
    """Words for pytest that run whole test files beside each other, unless ``words`` say how."""
    if any(word.startswith(("-n", "--numprocesses", "--dist", "--pdb")) for word in words):
        return []
    return ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile", "--no-loadscope-reorder"]


def check(words: list[str]) -> int:
    """Linter, formatter, type check, tests; all run, the first failure is the exit code."""
    codes = [
        call("-m", "ruff", "check", "."),
        call("-m", "ruff", "format", "--check", "."),
        call("-m", "mypy"),
        call(".ci/check_nodes.py"),
        call("-m", "pytest", *in_parallel(words), *words),
    ]
    return next((code for code in codes if code), 0)


def main(words: list[str]) -> int:
    if words[:1] == ["demo"]:
        set_up("")
        return call("-m", "playmate_core", "demo", *words[1:])
    if words[:2] == ["check", "--floors"]:
        set_up("train,dev")
        return call(".ci/floors.py", *words[2:])
    if words[:1] == ["check"]:
        set_up("train,dev")
        return check(words[1:])
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
