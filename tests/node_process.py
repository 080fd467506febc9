"""Runs a script in a process that has the fakes of ComfyUI, as no process of the tests may import them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: No byte code beside the sources, and no timed trial, whose answer would differ from that of the test's own process.
QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "PLAYMATE_TRIALS": "0"}


def in_subprocess(script: str, folder: Path) -> str:
    """Run a script with the fakes of ComfyUI on its path and ``folder`` as its current one; returns what it says."""
    paths = (ROOT / "tests" / "fakes", ROOT / "tests")
    head = "import sys\n" + "".join(f"sys.path.insert(0, {str(path)!r})\n" for path in paths)
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", head + script],
        cwd=folder,
        env={**kept, "HOME": str(folder), "OMP_NUM_THREADS": "1", **QUIET},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def install_models(folder: Path, *models: Path) -> None:
    """Put models where the fakes of ComfyUI look for them."""
    target = folder / "models" / "playmate"
    target.mkdir(parents=True)
    for model in models:
        shutil.copy(model, target)
