"""The version of Playmate, as written in ``pyproject.toml``."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "playmate-portrait"
PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def version() -> str:
    """The version: for a clone or a ComfyUI pack from ``pyproject.toml`` beside the package, for an installed package
    from its metadata; "unknown" for a copy of the package alone."""
    if PYPROJECT.is_file():
        # tomllib is not in Python 3.10; both lines occur only in [project].
        text = PYPROJECT.read_text(encoding="utf-8")
        found = re.search(rf'^name = "{DISTRIBUTION}"\nversion = "([^"]+)"$', text, re.MULTILINE)
        if found:
            return found[1]
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
