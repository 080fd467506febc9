"""ComfyUI's folders, all below the current one."""

from __future__ import annotations

import os
from pathlib import Path

models_dir = os.path.abspath("models")
folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {
    "audio_encoders": ([os.path.join(models_dir, "audio_encoders")], {".safetensors"})
}


def add_model_folder_path(name: str, path: str) -> None:
    paths, _ = folder_names_and_paths.setdefault(name, ([], set()))
    if path not in paths:
        paths.append(path)


def get_folder_paths(name: str) -> list[str]:
    return folder_names_and_paths[name][0]


def get_filename_list(name: str) -> list[str]:
    paths, suffixes = folder_names_and_paths[name]
    found = (p for root in paths for p in sorted(Path(root).rglob("*")) if p.suffix in suffixes)
    return [p.relative_to(next(r for r in paths if p.is_relative_to(r))).as_posix() for p in found]


def get_full_path(name: str, file: str) -> str | None:
    found = (os.path.join(root, file) for root in get_folder_paths(name))
    return next((path for path in found if os.path.isfile(path)), None)


def get_output_directory() -> str:
    return os.path.abspath("output")


def get_temp_directory() -> str:
    return os.path.abspath("temp")


def get_input_directory() -> str:
    return os.path.abspath("input")


def get_save_image_path(prefix: str, folder: str, width: int = 0, height: int = 0) -> tuple[str, str, int, str, str]:
    target = os.path.join(folder, os.path.dirname(prefix))
    os.makedirs(target, exist_ok=True)
    return target, os.path.basename(prefix), 1 + len(os.listdir(target)), os.path.dirname(prefix), prefix
