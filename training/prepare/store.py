"""Results of steps on disk, by the hash of what they were made from: whole or absent, so that any kill can be resumed.

A result lies in ``work/STEP-vVERSION/ab/abcd...json``, its files beside it; the JSON is written last. Several machines
may share one store: who finishes first wins, and both wrote the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from playmate_core.atomic_file import write_atomically


@dataclass(frozen=True)
class Result:
    """Result of a step: seconds (where it cut), ``scores``, ``facts``, ``reason`` and ``detail`` where it rejects, and
    ``files`` by name, which are read back through the store."""

    begin: float | None = None
    end: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def key_of(*parts: Any) -> str:
    """SHA-256 over JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Store:
    """A folder of results."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, where: str) -> list[Result] | None:
        """What lies at ``where``, STEP-vVERSION/KEY; None where nothing does, or the file is not whole."""
        try:
            told = json.loads(self._path(where).with_suffix(".json").read_text())
            return [Result(**one) for one in told]
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, where: str, results: Sequence[Result]) -> None:
        """Write results; their files first. Raises UserError where the disk refuses."""
        for result in results:
            for name, content in result.files.items():
                write_atomically(self.file(where, name), content)
        told = [{name: value for name, value in asdict(one).items() if name != "files"} for one in results]
        write_atomically(self._path(where).with_suffix(".json"), json.dumps(told, sort_keys=True).encode())

    def file(self, where: str, name: str) -> Path:
        """Where a file of a result lies."""
        return self._path(where).with_suffix(f".{name}")

    def _path(self, where: str) -> Path:
        step, _, key = where.partition("/")
        return self.root / step / key[:2] / key
