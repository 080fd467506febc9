"""The files of a source folder, found by their names."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from playmate_core.errors import UserError

VIDEOS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ts", ".3gp"})
SOUNDS = (".m4a", ".wav", ".mp3", ".flac", ".aac", ".ogg")
#: Characters by which stems are found quickly: as many as a YouTube id has.
_INDEXED = 11


class Videos:
    """Every video below ``root`` by its stem; paths are relative to it, with forward slashes."""

    def __init__(self, root: Path) -> None:
        """Raises UserError for a folder that is none or holds no video."""
        if not root.is_dir():
            raise UserError(f"{root} is no folder; give the folder that holds the videos.")
        self.root = root
        found = sorted(path for path in root.rglob("*") if path.suffix.lower() in VIDEOS and path.is_file())
        self.paths = [path.relative_to(root).as_posix() for path in found if not path.name.startswith(".")]
        self.by_stem: dict[str, str] = {}
        for path in self.paths:
            self.by_stem.setdefault(Path(path).stem, path)
        self._by_start: dict[str, list[str]] = {}
        for stem in self.by_stem:
            self._by_start.setdefault(stem[:_INDEXED], []).append(stem)
        if not self.paths:
            raise UserError(f"{root} holds no video; expected files that end in {', '.join(sorted(VIDEOS))}.")

    def starting(self, start: str) -> Iterator[str]:
        """Stems that begin with ``start``, in order."""
        near = self._by_start.get(start[:_INDEXED], []) if len(start) >= _INDEXED else self.by_stem
        yield from (stem for stem in near if stem.startswith(start))


def one_file(root: Path, *names: str) -> Path:
    """The first file below ``root`` of one of these names. Raises UserError where there is none."""
    for name in names:
        if found := sorted(root.rglob(name)):
            return found[0]
    raise UserError(f"{root} has no {' or '.join(names)}; this layout is read from it, please put it there.")


def text_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises UserError for one that cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{path} cannot be read as text ({problem}); please give a UTF-8 file.") from problem
    return [line for line in text.splitlines() if line.strip()]


def csv_rows(path: Path, *needed: str) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, names stripped. Raises UserError where a ``needed`` column is missing."""
    reader = csv.DictReader(text_lines(path))
    names = [(name or "").strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    if missing := [name for name in needed if name not in names]:
        raise UserError(f"{path} has the columns {', '.join(names)}; expected {missing[0]!r} among them.")
    return [{name: (value or "").strip() for name, value in row.items() if name} for row in reader]
