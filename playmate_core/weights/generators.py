"""Any motion generator's file to that generator: what a file is, is read from the file, not from its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..errors import UserError
from .catalogue import DITTO_MODEL, JOYVASA_MODEL, ModelFile
from .companions import missing
from .folders import Places, file_hash
from .generator_file import (
    CONFIG,
    KIND,
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
    """A kind of file: what is in its tensors' names and no other's, and who loads and unmakes it."""

    label: str
    marker: str
    published: ModelFile
    load: Callable[[GeneratorFile, Companions], MotionGenerator]
    to_tensors: Callable[[Any], tuple[dict[str, Tensor], dict[str, Any]]]


def _layouts() -> dict[str, Layout]:
    """The table by kind; Playmate's own files say themselves that they are of kind "motion"."""
    from . import ditto, joyvasa

    return {
        "joyvasa": Layout(joyvasa.WHAT, "denoising_net.", JOYVASA_MODEL, joyvasa.load_joyvasa, joyvasa.to_tensors),
        "ditto": Layout(ditto.WHAT, "seqTransDecoder.", DITTO_MODEL, ditto.load_ditto, ditto.to_tensors),
    }


def generator_kind(path: Path) -> str:
    """ "playmate", "joyvasa" or "ditto", by what the file holds, "" for anything else; its tensors are not read."""
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


def find_generator(named: str | Path) -> Path:
    """The file that a person means: a path, a name below a models folder, or "joyvasa" or "ditto" wherever it lies.

    Raises UserError saying from where a generator known by name is to be had.
    """
    places, layouts = Places.standard(), _layouts()
    if str(named) not in layouts:
        return places.resolve(Path(named))
    published = layouts[str(named)].published
    if found := places.find(published):
        return found
    for folder in places.folders.get(published.folder, ()):
        for path in sorted(folder.glob("**/*.safetensors")):
            if generator_kind(path) == named:
                return path
    raise UserError(f"{layouts[str(named)].label} is not here. {missing(published)}")


def load_generator(path: str | Path, companions: Companions = Companions()) -> MotionGenerator:  # noqa: B008  (frozen)
    """A motion generator on the CPU, ready to be used; see :func:`find_generator` for what ``path`` may be.

    Files it needs besides are found beside it or in the models folders, unless ``companions`` name them. Raises
    UserError for a file that is none, not whole, or whose companions are missing.
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
    """Write a published generator with its statistics as one safetensors file that says what it is; its path.

    Its audio encoder is inside where it came inside; Ditto's stays the ONNX file it is. Raises UserError as
    :func:`load_generator` does, and for a file that is Playmate's own already.
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
        KIND: kind,
        "playmate.version": FORMAT,
        CONFIG: json.dumps(config),
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
