"""Configs as JSON files: read back into their dataclasses with every field and type checked.

A file holds the fields of one config, as a run's own ``config.json`` does, or one such object for each verb
(``{"stage1": {...}, "stage2": {...}}``), as the shipped files in ``training/configs`` do.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from playmate_core.errors import UserError, with_article

Config = TypeVar("Config", bound=Any)

SHIPPED = Path(__file__).parent / "configs"
#: Verbs that may have a section in a shared file.
SECTIONS = ("stage1", "stage2", "pairs")


def from_file(defaults: Config, path: str | Path, section: str = "") -> Config:
    """``defaults`` changed by a JSON file, or by its ``section`` where the file has sections.

    A name without a folder that is no file here is looked up among the shipped configs. Raises UserError for a file
    that cannot be read, has no such section, or holds an unknown key or a value of another type.
    """
    file = find_config(path)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        shipped = ", ".join(sorted(one.name for one in SHIPPED.glob("*.json")))
        raise UserError(
            f"Cannot read {path} as JSON ({error}); give --config a run's config.json or one of {shipped}."
        ) from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds {with_article(type(values).__name__)}, expected a JSON object of fields.")
    if section and any(name in SECTIONS for name in values):
        if unknown := sorted(set(values) - set(SECTIONS)):
            raise UserError(f"{path} has the unknown section {unknown[0]!r}; the known ones are {', '.join(SECTIONS)}.")
        if section not in values:
            raise UserError(f"{path} has no section {section!r}, only {', '.join(values)}; give another --config.")
        return from_mapping(defaults, values[section], f"{path}: {section}")
    return from_mapping(defaults, values, str(path))


def find_config(path: str | Path) -> Path:
    """The file itself, or the shipped config of that name (with or without ``.json``)."""
    path = Path(path)
    if path.exists() or path.parent != Path("."):
        return path
    return next((one for one in (SHIPPED / path, SHIPPED / f"{path}.json") if one.is_file()), path)


def from_mapping(defaults: Config, values: Mapping[str, Any], where: str) -> Config:
    """``defaults`` with ``values`` (JSON's types) put in; the inverse of ``dataclasses.asdict`` through JSON.

    Raises UserError, naming ``where``, for an unknown key or a value that the field does not take.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where} is {values!r}, expected an object of fields.")
    known = {field.name for field in dataclasses.fields(defaults)}
    if unknown := sorted(set(values) - known):
        raise UserError(f"{where} has the unknown key {unknown[0]!r}; the known ones are {', '.join(sorted(known))}.")
    changed: dict[str, Any] = {}
    for name, value in values.items():
        default = getattr(defaults, name)
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            changed[name] = from_mapping(default, value, f"{where}: {name}")
        else:
            changed[name] = _taken(default, value, f"{where}: {name}")
    return replaced(defaults, changed, where)


def replaced(config: Config, changed: Mapping[str, Any], where: str) -> Config:
    """``dataclasses.replace`` whose objections are a UserError that names ``where``."""
    try:
        return dataclasses.replace(config, **changed)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def _taken(default: Any, value: Any, where: str) -> Any:
    """``value`` as the field's type; a whole number is a number, and a list is a tuple of the default's elements."""
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)):
            raise UserError(f"{where} is {value!r}, expected a list.")
        return tuple(_taken(default[0], one, where) for one in value) if default else tuple(value)
    kinds: dict[type, tuple[tuple[type, ...], str]] = {
        bool: ((bool,), "true or false"),
        int: ((int,), "a whole number"),
        float: ((int, float), "a number"),
        str: ((str,), "text"),
    }
    allowed, expected = kinds.get(type(default), ((object,), ""))
    wrong_bool = isinstance(value, bool) and not isinstance(default, bool)
    if wrong_bool or not isinstance(value, allowed):
        raise UserError(f"{where} is {value!r}, expected {expected}.")
    return value + 0.0 if isinstance(value, int) and isinstance(default, float) else value
