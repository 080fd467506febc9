"""The corpus on disk: one safetensors file a shard, written whole or not at all, read without loading pictures.

Names are ``train-clips-00003.safetensors`` and ``test-sessions-00000.safetensors``; what is not a number lies as JSON
in the file's metadata. ``corpus.json`` lists every shard with its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from playmate_core.atomic_file import write_atomically
from playmate_core.errors import UserError
from playmate_core.values import Motion, Pose
from training.clip import Clip
from training.prepared import members, prepared_shards, read_clip, read_shards
from training.synthetic.clips import LICENSE, SyntheticClip
from training.synthetic.sessions import Session
from training.synthetic.speech import Phone

__all__ = [
    "Session",
    "Sessions",
    "SyntheticClip",
    "corpus_config",
    "corpus_hash",
    "load_clips",
    "load_synthetic_clips",
    "shards",
    "split_clips",
    "split_files",
    "write_clips",
    "write_sessions",
]

_LABELS = ("id", "identity_seed", "voice", "text", "emotion", "intensity", "prosody", "style")
_TRUTH = ("rotation", "translation", "scale", "expression", "keypoints", "rig", "emotion", "intensity")
MANIFEST = "corpus.json"


def shard_path(root: Path, split: str, kind: str, index: int) -> Path:
    """Where shard ``index`` of ``kind`` ("clips" or "sessions") lies."""
    return root / f"{split}-{kind}-{index:05d}.safetensors"


def shards(root: Path, split: str, kind: str) -> list[Path]:
    """The shards of a split in order. Raises UserError where there are none."""
    found = sorted(Path(root).glob(f"{split}-{kind}-*.safetensors"))
    if not found:
        raise UserError(
            f"There are no {split} {kind} in {root}; make them with "
            f"`python -m training corpus --out {root} --{kind} N`, or point --corpus at a corpus that has them "
            "(real videos: `python -m training prepare`)."
        )
    return found


def corpus_hash(root: Path) -> str:
    """SHA-256 over the names and hashes of all shards, as the corpus verb wrote it. Raises UserError without it."""
    try:
        return str(json.loads((Path(root) / MANIFEST).read_text())["hash"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{root} is no finished corpus (no readable {MANIFEST}); "
            "give its `python -m training corpus` command again."
        ) from error


def corpus_config(root: Path) -> dict[str, Any]:
    """The resolved config a corpus was made with. Raises UserError without it."""
    path = Path(root) / "config.json"
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{root} is no corpus (no readable {path.name}); make it with `python -m training corpus`."
        ) from error


def write_clips(path: Path, clips: Sequence[SyntheticClip]) -> None:
    """Write a shard of clips: frames of all clips laid end to end, labels in the metadata."""
    motion = [clip.motion for clip in clips]
    tensors = {
        "samples": torch.cat([clip.samples for clip in clips]),
        "rotation": torch.cat([m.pose.rotation for m in motion]),
        "translation": torch.cat([m.pose.translation for m in motion]),
        "scale": torch.cat([m.pose.scale for m in motion]),
        "expression": torch.cat([m.expression for m in motion]),
        "keypoints": torch.stack([clip.keypoints for clip in clips]),
        "rig": torch.cat([clip.rig for clip in clips]),
        "bilabial": torch.cat([clip.bilabial for clip in clips]),
        "stressed": torch.cat([clip.stressed for clip in clips]),
    }
    labels = [
        {name: getattr(clip, name) for name in _LABELS}
        | {"frames": len(clip), "phones": [[p.label, p.start, p.end] for p in clip.phones]}
        for clip in clips
    ]
    _write(path, tensors, labels)


def write_sessions(path: Path, sessions: Sequence[Session]) -> None:
    """Write a shard of sessions, all of one length and size."""
    tensors = {name: torch.stack([getattr(session, name) for session in sessions]) for name in _TRUTH}
    tensors["frames"] = torch.from_numpy(np.stack([session.frames for session in sessions]))
    _write(path, tensors, [{"identity_seed": session.identity_seed} for session in sessions])


def _write(path: Path, tensors: dict[str, Tensor], labels: list[dict[str, Any]]) -> None:
    """One file, complete or absent. A single metadata key: safetensors keeps no order among several."""
    blob = save({name: value.contiguous() for name, value in tensors.items()}, {"items": json.dumps(labels)})
    write_atomically(path, blob)


def load_clips(root: Path, split: str) -> Sequence[Clip]:
    """All clips of a split, in order, of what `prepare` or `corpus` made; sound stays on disk until asked for.

    Raises UserError where there are none.
    """
    tars = prepared_shards(root, split)
    return read_shards(tars) if tars else load_synthetic_clips(root, split)


def split_files(root: Path, split: str) -> list[Path]:
    """The files that hold the clips of a split, in order. Raises UserError where there are none."""
    return prepared_shards(root, split) or shards(root, split, "clips")


def split_clips(root: Path, split: str, share: int = 0, of: int = 1) -> Iterator[Clip]:
    """Every ``of``-th clip of a split from number ``share`` on, one after the other: a file of the corpus at most is
    in memory at once."""
    first = 0
    for path in split_files(root, split):
        if path.suffix == ".tar":
            found = list(members(path).items())
            number = len(found)
            yield from (read_clip(path, *found[i]) for i in range((share - first) % of, number, of))
        else:
            clips = _read_clips(path)
            number = len(clips)
            yield from clips[(share - first) % of :: of]
        first += number


def load_synthetic_clips(root: Path, split: str) -> list[SyntheticClip]:
    """The clips of a split with all that their renderer knows. Raises UserError where there are none."""
    return [clip for path in shards(root, split, "clips") for clip in _read_clips(path)]


def _read_clips(path: Path) -> list[SyntheticClip]:
    labels, offsets = _header(path)
    sound = torch.from_numpy(_mapped(path, offsets["samples"], np.int16))
    with safe_open(path, framework="pt") as file:
        t = {name: file.get_tensor(name) for name in offsets if name != "samples"}
    clips, begin = [], 0
    per_frame = len(sound) // len(t["rig"])
    for index, label in enumerate(labels):
        end = begin + label["frames"]
        pose = Pose(t["rotation"][begin:end], t["translation"][begin:end], t["scale"][begin:end])
        clips.append(
            SyntheticClip(
                **{name: label[name] for name in _LABELS},
                speaker=str(label["identity_seed"]),
                license_tag=LICENSE,
                phones=tuple(Phone(*phone) for phone in label["phones"]),
                samples=sound[begin * per_frame : end * per_frame],
                motion=Motion(pose, t["expression"][begin:end]),
                keypoints=t["keypoints"][index],
                rig=t["rig"][begin:end],
                bilabial=t["bilabial"][begin:end],
                stressed=t["stressed"][begin:end],
            )
        )
        begin = end
    return clips


@dataclass(frozen=True)
class _Place:
    """A tensor's place in a file: first byte and shape."""

    offset: int
    shape: tuple[int, ...]


def _header(path: Path) -> tuple[list[dict[str, Any]], dict[str, _Place]]:
    """Labels and the place of every tensor (safetensors: 8 bytes of header length, JSON header, data)."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    labels = json.loads(header.pop("__metadata__")["items"])
    return labels, {n: _Place(8 + size + e["data_offsets"][0], tuple(e["shape"])) for n, e in header.items()}


def _mapped(path: Path, place: _Place, dtype: type[np.generic]) -> NDArray[Any]:
    """A tensor left on disk. Copy on write: no one can change the corpus through it."""
    return np.memmap(path, dtype, "c", place.offset, place.shape)


class Sessions(Sequence[Session]):
    """The sessions of a split: ground truth in memory, pictures on disk until they are indexed."""

    def __init__(self, root: Path, split: str) -> None:
        """Raises UserError where the corpus has no sessions of that split."""
        self._sessions: list[Session] = []
        for path in shards(root, split, "sessions"):
            labels, places = _header(path)
            frames = _mapped(path, places["frames"], np.uint8)
            with safe_open(path, framework="pt") as file:
                truth = {name: file.get_tensor(name) for name in _TRUTH}
            for index, label in enumerate(labels):
                rows = {name: values[index] for name, values in truth.items()}
                self._sessions.append(Session(identity_seed=label["identity_seed"], frames=frames[index], **rows))

    def __len__(self) -> int:
        return len(self._sessions)

    def __getitem__(self, index: Any) -> Any:
        return self._sessions[index]


def write_manifest(root: Path) -> str:
    """Hash every shard into ``corpus.json`` and return the corpus hash."""
    found = sorted(Path(root).glob("*.safetensors"))
    hashes = {path.name: _file_hash(path) for path in found}
    digest = hashlib.sha256("".join(f"{name} {value}\n" for name, value in hashes.items()).encode()).hexdigest()
    write_atomically(Path(root) / MANIFEST, json.dumps({"hash": digest, "shards": hashes}, indent=1).encode())
    return digest


def _file_hash(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
