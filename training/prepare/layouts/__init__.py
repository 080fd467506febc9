"""How corpora lie on a disk: each layout reads its own annotations, downloads nothing, and yields entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playmate_core.errors import UserError
from training.prepare.entry import Entry

from .folders import mafw, mead, plain
from .segments import acappella, avspeech, celebvtext, hdtf


@dataclass(frozen=True)
class Layout:
    """How to ``read`` a source folder, whose clips carry ``license_tag`` unless the user says better; ``title``."""

    title: str
    license_tag: str
    read: Callable[[Path, str, Path | None], list[Entry]]


LAYOUTS = {
    "plain": Layout("videos of a folder", "unstated", plain),
    "avspeech": Layout("AVSpeech", "videos: their uploaders' rights (AVSpeech)", avspeech),
    "celebvtext": Layout("CelebV-Text", "non-commercial research (CelebV-Text)", celebvtext),
    "acappella": Layout("Acappella", "unstated, research (Acappella)", acappella),
    "mead": Layout("MEAD", "non-commercial research (MEAD)", mead),
    "mafw": Layout("MAFW", "non-commercial academic research (MAFW)", mafw),
    "hdtf": Layout("HDTF", "CC-BY-4.0 (HDTF)", hdtf),
}


def read_layout(name: str, root: Path, labels: Path | None, license_tag: str = "") -> list[Entry]:
    """The entries of ``root`` in a fixed order, each name once. Raises UserError where it is not laid out like that."""
    if name not in LAYOUTS:
        raise UserError(f"--layout is {name!r}, expected one of {', '.join(LAYOUTS)}.")
    layout = LAYOUTS[name]
    entries: dict[str, Entry] = {}
    for entry in layout.read(root, license_tag or layout.license_tag, labels):
        entries.setdefault(entry.name, entry)
    return [entries[key] for key in sorted(entries)]
