"""Model files in temporary folders."""

from __future__ import annotations

from pathlib import Path


def put(path: Path, content: bytes = b"x") -> Path:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
