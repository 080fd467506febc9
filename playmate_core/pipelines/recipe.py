"""The recipe of a video, to be stored in it: the job and the versions of what computed it, as JSON."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from enum import Enum
from pathlib import Path
from typing import Any

from ..errors import elided
from ..media.provenance import NAME, VERSION, Mark

#: Packages whose version can change the output.
PACKAGES = ("torch", "numpy", "av", "transformers", "opencv-python", "opencv-python-headless", "soxr")
#: Fields that do not affect the picture, are private, or are contained in another field.
_LEFT_OUT = {"output", "mark", "sign", "signing", "resume", "keep_parts", "plot", "preview", "save_motion"}
_LEFT_OUT |= {"sampling_changes", "takes", "all_emotions"}
#: Fields that change how fast a video is made and, but for rounding, not the video.
_ONLY_SPEED = {"batch", "device"}


def recipe_mark(command: str, request: Any, kind: str) -> Mark | None:
    """The provenance mark of a job, from a frozen request; None if ``request.mark`` is off. Paths are reduced to file
    names, as folders reveal more about the user than about the video."""
    return Mark(kind, recipe_text(command, request)) if request.mark else None


def recipe_text(command: str, request: Any) -> str:
    """JSON of a command, its request (plain values, paths, and dataclasses and containers of them), and the versions
    of the packages that compute it."""
    recipe = {
        "program": f"{NAME} {VERSION}",
        "command": command,
        "request": _serialisable(request),
        "versions": _versions(),
    }
    return json.dumps(recipe, ensure_ascii=False)


def changed_setting(stored: dict[str, Any], request: Any) -> str:
    """The first setting in which ``request`` differs from the one ``stored`` in a recipe, as "encoding.crf 18 -> 30";
    "" where a video of it would be the same."""
    return _difference("", stored, json.loads(json.dumps(_serialisable(request))))


def _difference(name: str, old: Any, new: Any) -> str:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return "" if old == new else f"{name} {elided(json.dumps(old))} -> {elided(json.dumps(new))}"
    for key in (*new, *(key for key in old if key not in new)):
        if key in _ONLY_SPEED:
            continue
        if found := _difference(f"{name}.{key}".lstrip("."), old.get(key), new.get(key)):
            return found
    return ""


def _serialisable(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value) if field.name not in _LEFT_OUT)
        return {name: _serialisable(getattr(value, name)) for name in fields}
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): _serialisable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_serialisable(one) for one in value]
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
