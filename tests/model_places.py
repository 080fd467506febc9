"""Model files in temporary folders."""

from __future__ import annotations

from pathlib import Path

from playmate_core.weights.catalogue import ModelFile


def below_models(file: ModelFile) -> str:
    """Where a file belongs below a folder laid out like ComfyUI's ``models``."""
    return f"{file.folder}/{file.name}"


def put(path: Path, content: bytes = b"x") -> Path:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
