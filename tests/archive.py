"""Which files `comfy node pack` would publish, as git reads .comfyignore."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _listed(*flags: str) -> set[str]:
    words = ["git", "ls-files", "--cached", "--others", "-z", *flags]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split("\0")) - {""}


def published() -> set[str]:
    """Paths below the repository, with slashes. Raises OSError or CalledProcessError where there is no git clone."""
    left_out = _listed("--ignored", "--exclude-from=.comfyignore")
    return {name for name in _listed("--exclude-standard") - left_out if (ROOT / name).is_file()}
