#!/usr/bin/env python3
"""Two commands for a machine with git and Python 3.10 or newer and nothing else of ours.

    python3 run.py demo     make a talking video from the bundled portrait and speech
    python3 run.py check    run the tests, the linter and the type check

Each makes its own virtual environment in .venv the first time. Any further words go to the command that runs.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
#: Named exactly: with a range pip may choose a build with several GB of GPU libraries.
TORCH = "torch==2.13.0"
#: Let glibc keep what it was given: on virtual machines whose fresh pages are slow, networks run several times faster.
ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}


def python() -> Path:
    """The interpreter of our environment."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def call(*words: str) -> int:
    """Run our interpreter in the repository's root and hand on its exit code."""
    return subprocess.call([str(python()), *words], cwd=ROOT, env={**ENVIRONMENT, **os.environ})


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
    for packages in ([TORCH], ["-e", target]):
        if call("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages) != 0:
            raise SystemExit(f"Installing {' '.join(packages)} failed; see pip's message above and try again.")
    if call("-c", "import cv2") != 0:
        raise SystemExit("OpenCV cannot be loaded; on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0")
    stamp.write_text(wanted)


def check(words: list[str]) -> int:
    """Linter, formatter, type check, tests; all run, the first failure is the exit code."""
    codes = [
        call("-m", "ruff", "check", "."),
        call("-m", "ruff", "format", "--check", "."),
        call("-m", "mypy"),
        call(".ci/check_nodes.py"),
        call("-m", "pytest", *words),
    ]
    return next((code for code in codes if code), 0)


def main(words: list[str]) -> int:
    if words[:1] == ["demo"]:
        set_up("")
        return call("-m", "playmate_core", "demo", *words[1:])
    if words[:1] == ["check"]:
        set_up("train,dev")
        return check(words[1:])
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
