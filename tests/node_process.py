"""Runs a script in a process that has the fakes of ComfyUI, as no process of the tests may import them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def in_subprocess(script: str, folder: Path) -> str:
    """Run a script with the fakes of ComfyUI on its path and ``folder`` as its current one; returns what it says."""
    paths = (ROOT / "tests" / "fakes", ROOT / "tests")
    head = "import sys\n" + "".join(f"sys.path.insert(0, {str(path)!r})\n" for path in paths)
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", head + script],
        cwd=folder,
        env={**kept, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
