"""Where models lie: the bundled ones, and ComfyUI's model folders with whatever extra_model_paths.yaml adds."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import folder_paths

from ..playmate_core.errors import UserError, elided, with_article
from ..playmate_core.host import HOST
from ..playmate_core.weights.catalogue import LIVEPORTRAIT_HUMAN, SETS, ModelFile
from ..playmate_core.weights.files import describe
from ..playmate_core.weights.folders import bundled, megabytes
from ..playmate_core.weights.generators import files_of_generator, generator_kind
from ..playmate_core.weights.liveportrait import PARTS, SUFFIXES, find_parts, is_published

FOLDER, LIVEPORTRAIT = "playmate", "liveportrait"
#: Folders of other makers' motion generators.
GENERATORS = ("joyvasa", "ditto")
FIRST_PART = next(iter(PARTS))
#: The choice that needs no download.
BUNDLED = "Playmate demo (bundled)"
NONE = "none"


def register() -> None:
    """Register models/playmate with ComfyUI, keeping extra_model_paths.yaml, and ComfyUI's folders with the core;
    no folder is made."""
    folder_paths.add_model_folder_path(FOLDER, os.path.join(folder_paths.models_dir, FOLDER))
    folder_paths.add_model_folder_path(LIVEPORTRAIT, os.path.join(folder_paths.models_dir, LIVEPORTRAIT))
    for folder in GENERATORS:
        folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))
    known_suffixes = [(FOLDER, {".safetensors"}), (LIVEPORTRAIT, set(SUFFIXES))]
    for folder, suffixes in (*known_suffixes, *((name, {".safetensors", ".pt", ".pth"}) for name in GENERATORS)):
        paths, known = folder_paths.folder_names_and_paths[folder]
        folder_paths.folder_names_and_paths[folder] = (paths, set(known) | suffixes)
    HOST.set_model_folders(category_folders)


def category_folders(category: str) -> list[str]:
    """ComfyUI's folders of a category, for the detectors; models/insightface and others also by default."""
    paths, _ = folder_paths.folder_names_and_paths.get(category, ([], set()))
    usual = os.path.join(folder_paths.models_dir, category)
    return [*paths, *([] if usual in paths else [usual])]


def choices(kind: str) -> list[str]:
    """The bundled model, every file that is, or may be, a model of ``kind``, and for faces LivePortrait's sets.

    A LivePortrait set of five files is chosen by its first, the appearance feature extractor.
    """
    own = [name for name in folder_paths.get_filename_list(FOLDER) if _kind(name) in (kind, "")]
    sets = folder_paths.get_filename_list(LIVEPORTRAIT) if kind == "face" else []
    theirs = [name for folder in GENERATORS for name in _generators_in(folder)] if kind == "motion" else []
    return [BUNDLED, *own, *(name for name in sets if Path(name).stem == FIRST_PART), *theirs]


def _generators_in(folder: str) -> list[str]:
    """The files of a folder that are motion generators by what they hold."""
    paths = ((name, folder_paths.get_full_path(folder, name)) for name in folder_paths.get_filename_list(folder))
    return [name for name, path in paths if path is not None and _generator_kind(path, os.stat(path).st_mtime_ns)]


@lru_cache(maxsize=256)
def _generator_kind(path: str, changed: int) -> str:
    return generator_kind(Path(path))


def model_path(kind: str, choice: str) -> Path:
    """The file behind a choice. Raises UserError with the name and the folder when it is not there."""
    if choice == BUNDLED:
        return bundled(f"{kind}.safetensors")
    found = folder_paths.get_full_path(FOLDER, choice)
    if found is None and kind == "face":
        found = folder_paths.get_full_path(LIVEPORTRAIT, choice)
    if found is None and kind == "motion":
        paths = (folder_paths.get_full_path(folder, choice) for folder in GENERATORS)
        found = next((path for path in paths if path is not None), None)
    if found is None:
        below = {"face": (FOLDER, LIVEPORTRAIT), "motion": (FOLDER, *GENERATORS)}.get(kind, (FOLDER,))
        raise UserError(absent(f"{kind} model", choice, BUNDLED, *below))
    return Path(found)


def absent(what: str, choice: str, instead: str, *below: str) -> str:
    """The sentence on a missing file: its name and folder and, where the catalogue knows it, address, size, licence.

    ``below``: the ``models`` folders it may be in, the usual one first.
    """
    files = (file for one in SETS.values() for file in one.files if file.repository)
    file = next((file for file in files if file.name == choice and file.folder in below), None)
    folders = " or ".join(folder_paths.get_folder_paths(below[0] if file is None else file.folder))
    facts = "" if file is None else f" ({_facts(file)}; from {file.url})"
    named = f"{what} {elided(repr(choice), 200)}"
    return f"There is no {named}; please put the file{facts} into {folders}, or choose {instead!r}."


def _facts(file: ModelFile) -> str:
    known = f"SHA-256 {file.sha256}" if file.sha256 else "SHA-256 unknown"
    return f"{megabytes(file.size)}, licence: {file.license}, {known}"


def _incomplete(path: Path) -> str:
    """The sentence on LivePortrait's files that lie not beside ``path``; "" where the catalogue knows of none."""
    lacking = [file for file in LIVEPORTRAIT_HUMAN.files if not (path.parent / file.name).is_file()]
    ours = str(path.parent) in folder_paths.get_folder_paths(LIVEPORTRAIT)
    if path.name != LIVEPORTRAIT_HUMAN.files[0].name or not ours or not lacking:
        return ""
    names = ", ".join(f"{file.name} ({megabytes(file.size)}, SHA-256 {file.sha256[:12]}...)" for file in lacking)
    page, licence = f"https://huggingface.co/{lacking[0].repository}", lacking[0].license
    return f"LivePortrait's files are not complete; please put {names} from {page} ({licence}) into {path.parent}."


def check(kind: str, choice: str) -> None:
    """Raise UserError where ``choice`` cannot be a model of ``kind``."""
    path = model_path(kind, choice)
    if kind == "face" and is_published(path):
        _check_whole(path)
    elif kind == "motion" and generator_kind(path):
        return
    elif (found := describe(path).kind) != kind:
        wanted = with_article(f"{kind} model")
        raise UserError(f"{choice} is a model of kind {found}, but {wanted} belongs here; please choose another.")


def _check_whole(path: Path) -> None:
    try:
        find_parts(path)
    except UserError:
        if lacking := _incomplete(path):
            raise UserError(lacking) from None
        raise


def state(kind: str, choice: str | None) -> str:
    """Changes when the files behind a choice do, so that ComfyUI loads them again; not for a linked one (None)."""
    if choice is None:
        return "linked"
    try:
        path = model_path(kind, choice)
        parts = list(find_parts(path).values()) if kind == "face" and is_published(path) else files_of_generator(path)
        return " ".join(f"{part.stat().st_mtime_ns} {part.stat().st_size}" for part in parts)
    except (UserError, OSError):
        return "missing"


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
