"""Load any motion generator; its kind is detected from the file's content, not its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..errors import UserError
from .catalogue import DITTO_CONFIG, DITTO_ENCODER, DITTO_MODEL, JOYVASA_MODEL, JOYVASA_TEMPLATE, ModelFile
from .companions import companion, source_and_place
from .folders import SearchPaths, file_hash
from .generator_file import (
    CONFIG_KEY,
    KIND_KEY,
    Companions,
    GeneratorFile,
    kind_and_names,
    read_generator_file,
    unknown_layout,
)
from .tensor_file import write_tensors

if TYPE_CHECKING:
    from ..diffusion.request import MotionGenerator

FORMAT = "1"


@dataclass(frozen=True)
class Layout:
    """A file layout: ``marker`` occurs in its tensor names only; functions to load and to convert it; ``companions``:
    further files, with the paths beside the model that :func:`companion` looks at."""

    label: str
    marker: str
    published: ModelFile
    load: Callable[[GeneratorFile, Companions], MotionGenerator]
    to_tensors: Callable[[Any], tuple[dict[str, Tensor], dict[str, Any]]]
    companions: tuple[tuple[ModelFile, tuple[str, ...]], ...]


def _layouts() -> dict[str, Layout]:
    """Layouts by kind; Playmate's own files have the kind "motion" in their metadata."""
    from . import ditto, joyvasa

    beside_joyvasa = ((JOYVASA_TEMPLATE, joyvasa.BESIDE),)
    beside_ditto = ((DITTO_CONFIG, ditto.CONFIGS), (DITTO_ENCODER, ditto.ENCODER_FILES))
    return {
        "joyvasa": Layout(
            joyvasa.WHAT, "denoising_net.", JOYVASA_MODEL, joyvasa.load_joyvasa, joyvasa.to_tensors, beside_joyvasa
        ),
        "ditto": Layout(ditto.WHAT, "seqTransDecoder.", DITTO_MODEL, ditto.load_ditto, ditto.to_tensors, beside_ditto),
    }


def generator_kind(path: Path) -> str:
    """ "playmate", "joyvasa" or "ditto", by the file's content, "" for anything else; tensors are not loaded."""
    try:
        kind, holds = kind_and_names(path)
    except UserError:
        return ""
    if kind == "motion":
        return "playmate"
    layouts = _layouts()
    if kind:
        return kind if kind in layouts else ""
    return next((name for name, layout in layouts.items() if holds(layout.marker)), "")


def files_of_generator(path: Path) -> list[Path]:
    """``path`` and, for a published or converted generator, the further files there are for it."""
    layout = _layouts().get(generator_kind(path))
    beside = () if layout is None else layout.companions
    found = (companion(file, path, places) for file, places in beside)
    return [path, *(one for one in found if one is not None)]


def find_generator(named: str | Path) -> Path:
    """Resolve a path, a name below a models folder, or "joyvasa" or "ditto" in any models folder.

    Raises UserError, with the download source, for a generator that is not found by name.
    """
    places, layouts = SearchPaths.standard(), _layouts()
    if str(named) not in layouts:
        return places.resolve(Path(named))
    published = layouts[str(named)].published
    if found := places.find(published):
        return found
    for folder in places.folders.get(published.folder, ()):
        for path in sorted(folder.glob("**/*.safetensors")):
            if generator_kind(path) == named:
                return path
    raise UserError(f"{layouts[str(named)].label} is not here. Put it there: {source_and_place(published)}.")


def load_generator(path: str | Path, companions: Companions = Companions()) -> MotionGenerator:  # noqa: B008  (frozen)
    """A motion generator on the CPU; see :func:`find_generator` for ``path``.

    Further files it needs are searched beside it and in the models folders, unless ``companions`` name them. Raises
    UserError for unknown or damaged files, and for missing companions.
    """
    found = find_generator(path)
    kind = generator_kind(found) if found.is_file() else ""
    if kind == "playmate":
        return _playmate(found, companions.emotion)
    layouts = _layouts()
    if not found.is_file():
        raise UserError(f"There is no motion generator {found}; please check the path, or name {' or '.join(layouts)}.")
    if not kind and (own := kind_and_names(found)[0]):
        raise UserError(
            f"{found.name} is a model of kind {own}, but a motion model belongs here; please choose another."
        )
    if not kind:
        known = ("Playmate's own (kind motion)", *(f"{one.label} ({one.marker}...)" for one in layouts.values()))
        raise unknown_layout(found, known)
    return layouts[kind].load(read_generator_file(found), companions)


def convert_generator(source: str | Path, target: Path, companions: Companions = Companions()) -> Path:  # noqa: B008  (frozen)
    """Convert a published generator, with its statistics, to one self-describing safetensors file; returns its path.

    JoyVASA's audio encoder is included; Ditto's stays a separate ONNX file. Raises UserError as :func:`load_generator`
    does, and for Playmate's own files.
    """
    found = find_generator(source)
    kind = generator_kind(found) if found.is_file() else ""
    if kind == "playmate":
        raise UserError(f"{found.name} is Playmate's own already; it needs no conversion.")
    if target.suffix != ".safetensors":
        raise UserError(f"The target {target} must be a .safetensors file; please rename it.")
    if target.exists() and target.samefile(found):
        raise UserError(f"The target {target} is the file to be converted; please choose another name.")
    generator = load_generator(found, companions)
    layout = _layouts()[kind]
    tensors, config = layout.to_tensors(generator)
    origin = {"file": found.name, "bytes": found.stat().st_size, "sha256": file_hash(found)}
    metadata = {
        KIND_KEY: kind,
        "playmate.version": FORMAT,
        CONFIG_KEY: json.dumps(config),
        "playmate.source": json.dumps(origin),
        "license": f"{layout.published.license} (weights of {layout.published.repository})",
        "data": f"converted from {found.name} of {layout.published.repository}",
    }
    write_tensors(target, tensors, metadata)
    return target


def _playmate(path: Path, emotion: Path | None) -> MotionGenerator:
    from ..diffusion.generate import PlaymateGenerator
    from .files import load_emotion, load_motion

    motion = load_motion(path)
    return PlaymateGenerator(motion, None if emotion is None else load_emotion(emotion, motion))
