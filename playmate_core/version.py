"""Which version of Playmate this is, as ``pyproject.toml`` says."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "playmate-portrait"
PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def version() -> str:
    """The version, of a clone or a ComfyUI pack from the file beside the package, of an installed package from what
    was recorded when it was installed; "unknown" for a copy of the package alone."""
    if PYPROJECT.is_file():
        # tomllib is not in Python 3.10; both lines stand in [project] and nowhere else.
        text = PYPROJECT.read_text(encoding="utf-8")
        found = re.search(rf'^name = "{DISTRIBUTION}"\nversion = "([^"]+)"$', text, re.MULTILINE)
        if found:
            return found[1]
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
