"""Facts of a source file: content hash, its rate and size, whether it has sound, and where the sound begins."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playmate_core.errors import UserError
from playmate_core.media.video_reader import has_sound, video_facts

from .entry import Item
from .source_video import first_time
from .store import Result, Store


@dataclass(frozen=True)
class ProbeFile:
    """Known again by path, size and time of change: hashing terabytes anew would make every resume long."""

    root: Path
    name: str = "probe"
    version: int = 1
    gpu: bool = False

    def inputs(self, item: Item) -> list[Any]:
        return [_state(self.root / path) for path in (item.entry.video, item.entry.audio) if path]

    def run(self, item: Item, store: Store) -> list[Result]:
        video = self.root / item.entry.video
        facts = video_facts(video)
        sound = item.entry.video if has_sound(video) else item.entry.audio
        told = {
            "digest": content_hash(*([video, self.root / item.entry.audio] if item.entry.audio else [video])),
            "fps": facts.fps,
            "width": facts.width,
            "height": facts.height,
            "sound": sound,
            "zero": first_time(video) if sound == item.entry.video else 0.0,
        }
        return [Result(facts=told, reason="" if sound else "no_sound")]


def _state(path: Path) -> list[Any]:
    try:
        stat = path.stat()
    except OSError as problem:
        raise UserError(f"There is no file at {path} ({problem.strerror}).") from problem
    return [str(path), stat.st_size, stat.st_mtime_ns]


def content_hash(*paths: Path) -> str:
    """SHA-256 over the content of files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
