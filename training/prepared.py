"""Reader of what `prepare` writes: WebDataset tars of motion and sound, nothing unpickled, sound left on disk.

A clip's members share a name: ``ID.json``, ``ID.motion.safetensors`` and ``ID.flac`` (docs/method.md 2.3).
"""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS, FPS, Motion, Pose
from training.clip import UNLABELLED, Clip

JSON, MOTION, SOUND, VIDEO = "json", "motion.safetensors", "flac", "mp4"


@dataclass(frozen=True)
class Member:
    """Where one file of a tar lies: first byte and length."""

    offset: int
    size: int

    def read(self, shard: Path) -> bytes:
        with shard.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True)
class PreparedClip(Clip):
    """A clip of a recorded person; its FLAC stays in ``shard`` until the waveform is read."""

    shard: Path
    sound: Member

    @property
    def waveform(self) -> Tensor:
        import soundfile

        samples, _ = soundfile.read(io.BytesIO(self.sound.read(self.shard)), dtype="int16")
        return torch.from_numpy(samples).float() / 32768.0


def prepared_shards(root: Path, split: str) -> list[Path]:
    """The tars of a split in order; none where ``root`` holds no prepared data."""
    return sorted(Path(root).glob(f"{split}-[0-9][0-9][0-9][0-9][0-9].tar"))


def read_shards(shards: Sequence[Path]) -> list[PreparedClip]:
    """Every clip of some tars. Raises UserError for a tar that is damaged or lacks a member."""
    return [read_clip(shard, name, found) for shard in shards for name, found in members(shard).items()]


def members(shard: Path) -> dict[str, dict[str, Member]]:
    """The files of a tar by clip and by what follows its name, in order, read from the tar's headers alone."""
    clips: dict[str, dict[str, Member]] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for entry in tar:
                name, _, kind = entry.name.partition(".")
                clips.setdefault(name, {})[kind] = Member(entry.offset_data, entry.size)
    except (OSError, tarfile.TarError) as problem:
        raise UserError(f"{shard} cannot be read as a tar ({problem}); give its `prepare` command again.") from problem
    return clips


def read_clip(shard: Path, name: str, found: Mapping[str, Member]) -> PreparedClip:
    """One clip of a tar. Raises UserError where it lacks a member or one is damaged."""
    if missing := [kind for kind in (JSON, MOTION, SOUND) if kind not in found]:
        raise UserError(f"{shard} has no {name}.{missing[0]}; delete the file and give its `prepare` command again.")
    try:
        meta = json.loads(found[JSON].read(shard))
        tensors = load(found[MOTION].read(shard))
        return _clip(shard, name, meta, tensors, found[SOUND])
    except (ValueError, KeyError, SafetensorError) as problem:
        raise UserError(
            f"{shard}: the clip {name} is damaged ({problem}); delete the file and give its `prepare` command again."
        ) from problem


def _clip(
    shard: Path, name: str, meta: Mapping[str, Any], tensors: Mapping[str, Tensor], sound: Member
) -> PreparedClip:
    pose = tensors["pose"].float()
    return PreparedClip(
        id=name,
        speaker=str(meta["speaker_id"]),
        emotion=meta["emotion"] if meta["emotion"] in EMOTIONS else UNLABELLED,
        intensity=math.nan if meta["intensity"] is None else float(meta["intensity"]),
        motion=Motion(Pose(pose[:, :3], pose[:, 3:6], pose[:, 6:7], FPS), tensors["expression"].float()),
        keypoints=tensors["keypoints"].float(),
        license_tag=str(meta["license_tag"]),
        shard=shard,
        sound=sound,
    )
