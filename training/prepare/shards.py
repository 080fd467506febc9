"""Kept clips as WebDataset tars: the same clips give the same bytes, in whatever order they were made."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playmate_core.atomic_file import AtomicFile, write_atomically
from playmate_core.errors import UserError
from training.prepared import JSON, MOTION, SOUND, VIDEO

from .corpus import Judged
from .store import Store, key_of

_SPLITS = ("train", "val", "test")
#: Shards that this module may have written earlier; other tars in the folder are left alone.
_SHARD = re.compile(rf"({'|'.join(_SPLITS)})-\d{{5}}\.tar")


@dataclass(frozen=True)
class Placed:
    """Where a clip lies: the ``shard``'s file name, its key there, and the SHA-256 of its members."""

    shard: str
    key: str
    sha256: str


def write_shards(out: Path, clips: Sequence[Judged], store: Store, most: int, megabytes: float) -> dict[str, Placed]:
    """Write the tars of every split, at most ``most`` clips and ``megabytes`` each -> where each clip lies.

    An existing shard with the same content is not rewritten; shards that no clip needs any more are deleted. Raises
    UserError when writing fails.
    """
    placed: dict[str, Placed] = {}
    names: set[str] = set()
    for split in _SPLITS:
        group = [clip for clip in clips if clip.kept and clip.split == split]
        for index, part in enumerate(_parts(group, store, most, megabytes)):
            name = f"{split}-{index:05d}.tar"
            names.add(name)
            placed |= _write_shard(out / name, part, store)
    for left in out.glob("*.tar"):
        if _SHARD.fullmatch(left.name) and left.name not in names:
            left.unlink()
            left.with_suffix(".tar.json").unlink(missing_ok=True)
    return placed


def members_of(clip: Judged, store: Store) -> dict[str, Path]:
    """The files of a clip in the store, by what follows its name."""
    item = clip.item
    found = {MOTION: store.file(item.keys["motion"], "safetensors"), SOUND: store.file(item.keys["encode"], SOUND)}
    video = store.file(item.keys["encode"], VIDEO)
    return {**found, VIDEO: video} if video.is_file() else found


def label(clip: Judged) -> dict[str, Any]:
    """Contents of a clip's JSON: what training reads, without the place of the source video."""
    entry = clip.item.entry
    return {
        "clip_id": clip.item.id,
        "speaker_id": entry.speaker,
        "emotion": clip.emotion,
        "emotion_dist": list(entry.emotion_dist),
        "intensity": clip.intensity,
        "lang": entry.lang,
        "n_frames": clip.item.frames,
        "fps": 25,
        "license_tag": entry.license_tag,
        "sync_by": clip.item.facts["sync_by"],
        "flags": list(clip.flags),
    }


def _parts(clips: Sequence[Judged], store: Store, most: int, megabytes: float) -> Iterator[list[Judged]]:
    part: list[Judged] = []
    size = 0
    for clip in clips:
        own = sum(path.stat().st_size for path in members_of(clip, store).values())
        if part and (len(part) >= most or size + own > megabytes * 1e6):
            yield part
            part, size = [], 0
        part.append(clip)
        size += own
    if part:
        yield part


def _write_shard(path: Path, clips: Sequence[Judged], store: Store) -> dict[str, Placed]:
    """One tar, complete or absent; beside it what it was made of, so that a resumed run need not read it again."""
    told = path.with_suffix(".tar.json")
    made_of = key_of([[label(clip), dict(clip.item.keys)] for clip in clips])
    try:
        before = json.loads(told.read_text())
        if before["made_of"] == made_of and before["size"] == path.stat().st_size:
            return {key: Placed(path.name, key, sha256) for key, sha256 in before["clips"].items()}
    except (OSError, ValueError, KeyError):
        pass
    hashes = {}
    try:
        with AtomicFile(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            for clip in clips:
                hashes[clip.item.id] = _add(tar, clip, store)
    except OSError as problem:
        raise UserError(
            f"Cannot write {path} ({problem.strerror}); free some space or give another --out."
        ) from problem
    content = {"made_of": made_of, "size": path.stat().st_size, "clips": hashes}
    write_atomically(told, json.dumps(content, sort_keys=True).encode())
    return {key: Placed(path.name, key, sha256) for key, sha256 in hashes.items()}


def _add(tar: tarfile.TarFile, clip: Judged, store: Store) -> str:
    """Add a clip's members with no owner and no time -> their SHA-256."""
    digest = hashlib.sha256()
    contents = {JSON: json.dumps(label(clip), sort_keys=True).encode()}
    contents |= {kind: path.read_bytes() for kind, path in members_of(clip, store).items()}
    for kind, content in contents.items():
        entry = tarfile.TarInfo(f"{clip.item.id}.{kind}")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
        digest.update(kind.encode() + content)
    return digest.hexdigest()
