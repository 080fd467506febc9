"""Read motion generator files, published or converted: tensors under their published names, and metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import UserError
from .tensor_file import content_seems_to_be, differences, open_tensors, refuse_nonfinite, restored
from .torch_file import PICKLES, names_in, read_torch_file, stripped, tensors_of

KIND_KEY, CONFIG_KEY = "playmate.kind", "playmate.config"


@dataclass(frozen=True)
class Companions:
    """Paths given by the user that override the search: JoyVASA's template, Ditto's configuration and audio encoder,
    Playmate's emotion model."""

    template: Path | None = None
    configuration: Path | None = None
    encoder: Path | None = None
    emotion: Path | None = None


@dataclass(frozen=True)
class GeneratorFile:
    """``tensors`` by name; ``config``: metadata of a converted file, empty for a published one; ``options``: training
    options, if the file has any."""

    path: Path
    tensors: dict[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def converted(self) -> bool:
        """Whether this program converted the file, rather than its authors published it."""
        return bool(self.config)

    def group(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with ``prefix``, without it."""
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}


def read_generator_file(path: Path) -> GeneratorFile:
    """Read a .safetensors or torch file. Raises UserError for other files."""
    if path.suffix.lower() in PICKLES:
        content = read_torch_file(path, extras=True)
        options = content.get("args") if isinstance(content, Mapping) else None
        return GeneratorFile(path, tensors_of(content), options=dict(getattr(options, "__dict__", {})))
    with open_tensors(path) as file:
        metadata = file.metadata() or {}
        tensors = {stripped(key): restored(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118
    try:
        config = json.loads(metadata.get(CONFIG_KEY, "{}"))
    except json.JSONDecodeError:
        config = None
    if not isinstance(config, dict):
        raise UserError(f"{path.name}: its {CONFIG_KEY} is not a JSON object; convert the published file again.")
    return GeneratorFile(path, tensors, config)


def kind_and_names(path: Path) -> tuple[str, Callable[[str], bool]]:
    """The kind in a file's metadata, "" without one, and a test whether a substring occurs in its tensor names. Does
    not load tensors."""
    if path.suffix.lower() in PICKLES:
        inside = names_in(path)
        return "", lambda piece: piece.encode() in inside
    with open_tensors(path) as file:
        keys = list(file.keys())
        return (file.metadata() or {}).get(KIND_KEY, ""), lambda piece: any(piece in key for key in keys)


def filled(file: GeneratorFile, what: str, module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
    """Load ``tensors`` into a module on the meta device. Raises UserError naming the keys that do not fit."""
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    wrong = differences({k: tuple(v.shape) for k, v in tensors.items()}, wanted, prefix)
    if wrong:
        raise UserError(f"{file.path.name} is not {what} as published: {wrong}; please download it again.")
    refuse_nonfinite(file.path, tensors)
    module.load_state_dict(dict(tensors), strict=True, assign=True)
    module.train(False).requires_grad_(False)


def without(tensors: Mapping[str, Tensor], droppable: Mapping[str, tuple[int | None, ...]]) -> dict[str, Tensor]:
    """``tensors`` without those in ``droppable`` whose shapes match (None: any length)."""
    kept = {}
    for key, value in tensors.items():
        shape = droppable.get(key)
        fits = shape is not None and len(shape) == value.ndim
        if not fits or any(want not in (None, got) for want, got in zip(shape or (), value.shape, strict=True)):
            kept[key] = value
    return kept


def unknown_layout(path: Path, known: Iterable[str]) -> UserError:
    """The error for an unknown file: what was found in it, and the ``known`` layouts."""
    keys = sorted(_names_of(path))
    found = f"tensors such as {', '.join(keys[:3])}" if keys else f"no tensors{content_seems_to_be(path)}"
    return UserError(
        f"{path.name} is no motion generator that this program knows: found {found}; known are {', '.join(known)}."
    )


def _names_of(path: Path) -> Iterable[str]:
    """The names of the tensors in a file, none where it cannot be read."""
    try:
        return read_generator_file(path).tensors
    except UserError:
        return ()
