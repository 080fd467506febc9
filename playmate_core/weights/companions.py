"""Files a model cannot do without: beside it, where a person says, or in the models folders; or what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import UserError
from .catalogue import ModelFile
from .folders import Places, by_hand


def companion(file: ModelFile, model: Path, beside: Iterable[str], named: Path | None = None) -> Path | None:
    """Where a catalogued ``file`` lies for a ``model``: where it is ``named``, at one of the places ``beside`` it, or
    in the models folders; None where it is nowhere. Raises UserError for a named file that is not there."""
    if named is not None:
        found = Places.standard().resolve(named)
        if not found.is_file():
            raise UserError(f"There is no file {named}; please check the path. {missing(file)}")
        return found
    near = ((model.parent / place) for place in beside)
    return next((path for path in near if path.is_file()), None) or Places.standard().find(file)


def require(file: ModelFile, model: Path, beside: Iterable[str], named: Path | None = None) -> Path:
    """The same. Raises UserError saying what the missing file is, how large, under which licence and from where."""
    found = companion(file, model, beside, named)
    if found is None:
        raise UserError(f"{model.name} needs another file that is not there. {missing(file)}")
    return found


def missing(file: ModelFile) -> str:
    """What to put where, as a sentence."""
    places = Places.standard()
    folders = places.folders.get(file.folder, ())
    target = folders[0] / file.name if folders else Path(file.below_models)
    return f"Put it there, or beside the model: {by_hand(file, target)}."
