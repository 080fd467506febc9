"""The recipe of a video, to be stored in it: the job and the versions of what computed it, as JSON."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from enum import Enum
from pathlib import Path
from typing import Any

from ..media.provenance import NAME, VERSION, Mark

#: Packages whose version can change a pixel or a sample.
PACKAGES = ("torch", "numpy", "av", "transformers", "opencv-python", "opencv-python-headless", "soxr")
#: Fields that change nothing that is seen, that are private, or that another field says in full.
_LEFT_OUT = {"output", "mark", "resume", "plot", "sampling_changes"}


def recipe_mark(command: str, request: Any, kind: str) -> Mark | None:
    """The mark of a job: a frozen request with ``mark``; None where that is off. Files appear by name, without the
    folders they lie in, which tell more of a person than of the video."""
    if not request.mark:
        return None
    recipe = {"program": f"{NAME} {VERSION}", "command": command, "request": _told(request), "versions": _versions()}
    return Mark(kind, json.dumps(recipe, ensure_ascii=False))


def _told(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value) if field.name not in _LEFT_OUT)
        return {name: _told(getattr(value, name)) for name in fields}
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): _told(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_told(one) for one in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return Path(str(value)).name if Path(str(value)).is_absolute() else str(value)


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
