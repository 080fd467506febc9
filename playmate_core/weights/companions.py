"""Find the files that a model needs besides its own: named by the user, beside the model, or in a models folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import UserError
from .catalogue import ModelFile
from .folders import SearchPaths, by_hand


def companion(file: ModelFile, model: Path, beside: Iterable[str], named: Path | None = None) -> Path | None:
    """The path of a catalogued ``file`` for a ``model``: ``named``, at one of the paths ``beside`` the model, or in a
    models folder; None if it is nowhere. Raises UserError for a named file that does not exist."""
    if named is not None:
        found = SearchPaths.standard().resolve(named)
        if not found.is_file():
            raise UserError(f"There is no file {named}; please check the path. {missing(file)}")
        return found
    near = ((model.parent / place) for place in beside)
    return next((path for path in near if path.is_file()), None) or SearchPaths.standard().find(file)


def require(file: ModelFile, model: Path, beside: Iterable[str], named: Path | None = None) -> Path:
    """As :func:`companion`. Raises UserError, with size, licence and source, for a missing file."""
    found = companion(file, model, beside, named)
    if found is None:
        raise UserError(f"{model.name} needs another file that is not there. {missing(file)}")
    return found


def missing(file: ModelFile) -> str:
    """A sentence saying which file to put where."""
    return f"Put it there, or beside the model: {source_and_place(file)}."


def source_and_place(file: ModelFile) -> str:
    """Address, place below the models folder, size, licence and checksum of a file."""
    folders = SearchPaths.standard().folders.get(file.folder, ())
    return by_hand(file, folders[0] / file.name if folders else Path(file.below_models))
