"""Where models lie: the bundled ones, and ComfyUI's model folders with whatever extra_model_paths.yaml adds."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import folder_paths

from ..playmate_core.errors import UserError
from ..playmate_core.talk import bundled
from ..playmate_core.weights import describe

FOLDER = "playmate"
#: The choice that needs no download.
BUNDLED = "Playmate demo (bundled)"
NONE = "none"


def register() -> None:
    """Tell ComfyUI about models/playmate, keeping what extra_model_paths.yaml said; the folder itself is not made."""
    folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))
    paths, _ = folder_paths.folder_names_and_paths[FOLDER]
    folder_paths.folder_names_and_paths[FOLDER] = (paths, {".safetensors"})


def choices(kind: str) -> list[str]:
    """The bundled model and every file that is, or may be, a model of ``kind``."""
    return [BUNDLED, *(name for name in folder_paths.get_filename_list(FOLDER) if _kind(name) in (kind, ""))]


def model_path(kind: str, choice: str) -> Path:
    """The file behind a choice. Raises UserError with the name and the folder when it is not there."""
    if choice == BUNDLED:
        return bundled(f"{kind}.safetensors")
    found = folder_paths.get_full_path(FOLDER, choice)
    if found is None:
        folders = " or ".join(folder_paths.get_folder_paths(FOLDER))
        raise UserError(
            f"There is no {kind} model {choice!r}; please put the file into {folders}, or choose {BUNDLED!r}."
        )
    return Path(found)


def problem(kind: str, choice: str) -> str | bool:
    """True, or why ``choice`` cannot be a model of ``kind``: what ``validate_inputs`` wants."""
    try:
        found = describe(model_path(kind, choice)).kind
    except UserError as refusal:
        return str(refusal)
    if found != kind:
        return f"{choice} is a model of kind {found}, but a {kind} model belongs here; please choose another."
    return True


def state(kind: str, choice: str) -> str:
    """Changes when the file behind a choice does, so that ComfyUI loads it again."""
    try:
        facts = model_path(kind, choice).stat()
    except (UserError, OSError):
        return "missing"
    return f"{facts.st_mtime_ns} {facts.st_size}"


def _kind(name: str) -> str:
    """The kind a file says it is, "" where it says nothing we understand."""
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        return ""
    facts = os.stat(path)
    return _kind_of(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=256)
def _kind_of(path: str, changed: int, size: int) -> str:
    try:
        return describe(path).kind
    except UserError:
        return ""
