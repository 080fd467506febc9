"""The two files that a benchmark leaves: its numbers, and the table of them that a person reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_report(stem: Path, values: Any, table: str) -> None:
    """``stem``.json with ``values``, and ``stem``.md with ``table``; folders are made."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".json").write_text(json.dumps(values, indent=1) + "\n")
    stem.with_suffix(".md").write_text(table)
