"""The index of a split: one row for every clip, with what is measured of it, so that nothing else stays in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from playmate_core.atomic_file import write_atomically
from playmate_core.diffusion.normalisation import MotionStatistics, moments, statistics_from_moments
from playmate_core.diffusion.normalisation import pose_channels as channels_of
from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS, FPS
from training.clip import UNLABELLED, Clip
from training.data_card import UNSTATED, DataCard
from training.synthetic.clips import SyntheticClip


@dataclass(frozen=True)
class ClipIndex:
    """N clips. Means and sums of squares are over all frames of a clip, in float64; ``emotion`` is an index into
    EMOTIONS or -1, ``intensity`` NaN where nobody said how strong; ``length`` counts frames of motion, ``frames`` those
    that have sound as well; ``speaker`` is a hash of the name, ``license`` an index into ``licenses``."""

    key: Tensor  # (N, 32) uint8
    length: Tensor
    frames: Tensor
    emotion: Tensor
    intensity: Tensor
    keypoints: Tensor  # (N, 63)
    pose_mean: Tensor  # (N, 6)
    pose_square: Tensor  # (N, 6) sums of squared distances from the mean
    expression_mean: Tensor  # (N, 63)
    expression_square: Tensor  # (N, 63)
    speaker: Tensor
    license: Tensor
    licenses: tuple[str, ...]
    synthetic: bool

    def __len__(self) -> int:
        return len(self.length)

    def rows(self, which: Tensor | slice) -> ClipIndex:
        """Some of the clips."""
        columns = {name: getattr(self, name)[which] for name in COLUMNS}
        return replace(self, **columns)

    def with_speakers_keypoints(self) -> ClipIndex:
        """Every clip with the median keypoints of all clips of its speaker.

        M reads a part of the expression into a clip's canonical keypoints. A network that is told them as the identity
        reads the clip's emotion there, and learns none of its own (docs/training.md, "Real videos").
        """
        _, speaker = self.speaker.unique(return_inverse=True)
        order = speaker.argsort(stable=True)
        groups = self.keypoints[order].split(speaker.bincount().tolist())
        medians = torch.stack([group.median(0).values for group in groups])
        return replace(self, keypoints=medians[speaker])

    def statistics(self, silence: Tensor) -> MotionStatistics:
        """What the clips are like, from their sums alone."""
        return statistics_from_moments(
            self.length,
            (self.pose_mean, self.pose_square),
            (self.expression_mean, self.expression_square),
            self.keypoints,
            silence,
        )

    def card(self, description: str) -> DataCard:
        """The card of these clips."""
        tags = sorted({self.licenses[i] for i in self.license.unique().tolist()})
        return DataCard(
            description=description,
            hours=round(int(self.length.sum()) / FPS / 3600, 4),
            speakers=len(self.speaker.unique()),
            license_tags=tuple(tags) or (UNSTATED,),
        )


COLUMNS = tuple(field.name for field in fields(ClipIndex) if field.name not in ("licenses", "synthetic"))


def row_of(key: bytes, clip: Clip, frames: int) -> ClipIndex:
    """The row of one clip."""
    if clip.emotion != UNLABELLED and clip.emotion not in EMOTIONS:
        raise UserError(f"The clip {clip.id} is labelled {clip.emotion!r}, expected one of {', '.join(EMOTIONS)}.")
    pose_mean, pose_square = moments(channels_of(clip.motion.pose))
    expression_mean, expression_square = moments(clip.motion.expression.flatten(1))
    speaker = int.from_bytes(hashlib.sha256(clip.speaker.encode()).digest()[:8], "little", signed=True)
    return ClipIndex(
        key=torch.frombuffer(bytearray(key), dtype=torch.uint8)[None],
        length=torch.tensor([len(clip.motion)]),
        frames=torch.tensor([frames]),
        emotion=torch.tensor([-1 if clip.emotion == UNLABELLED else EMOTIONS.index(clip.emotion)]),
        intensity=torch.tensor([clip.intensity], dtype=torch.float32),
        keypoints=clip.keypoints.flatten()[None].float().clone(),  # a view would keep its file mapped
        pose_mean=pose_mean,
        pose_square=pose_square,
        expression_mean=expression_mean,
        expression_square=expression_square,
        speaker=torch.tensor([speaker]),
        license=torch.tensor([0]),
        licenses=(clip.license_tag,),
        synthetic=isinstance(clip, SyntheticClip),
    )


def joined(parts: Iterable[ClipIndex], every: int = 1024) -> ClipIndex | None:
    """The rows of ``parts``, one each, in order; None for no parts.

    They are copied into blocks of ``every`` rows at once: many small tensors, made between large ones that come and
    go, keep the allocator from using the room of the large ones again.
    """
    blocks: list[dict[str, Tensor]] = []
    names: list[str] = []
    count, synthetic = 0, True
    for part in parts:
        if count % every == 0:
            shapes = {name: getattr(part, name) for name in COLUMNS}
            blocks.append({name: value.new_empty(every, *value.shape[1:]) for name, value in shapes.items()})
        for name, block in blocks[-1].items():
            block[count % every] = getattr(part, name)[0]
        tag = part.licenses[int(part.license[0])]
        names += [tag] if tag not in names else []
        blocks[-1]["license"][count % every] = names.index(tag)
        synthetic = synthetic and part.synthetic
        count += 1
    if not count:
        return None
    columns = {name: torch.cat([block[name] for block in blocks])[:count] for name in COLUMNS}
    return ClipIndex(**columns, licenses=tuple(names), synthetic=synthetic)


def interleaved(parts: list[ClipIndex]) -> ClipIndex:
    """The rows of processes that took every ``len(parts)``-th clip each, in the order of the clips."""
    together = _concatenated(parts)
    place = torch.cat([torch.arange(len(part)) * len(parts) + rank for rank, part in enumerate(parts)])
    return together.rows(place.argsort())


def _concatenated(parts: list[ClipIndex]) -> ClipIndex:
    names = tuple(sorted({name for part in parts for name in part.licenses}))
    renumbered = [torch.tensor([names.index(n) for n in part.licenses])[part.license] for part in parts]
    columns = {name: torch.cat([getattr(part, name) for part in parts]) for name in COLUMNS if name != "license"}
    synthetic = all(part.synthetic for part in parts)
    return ClipIndex(**columns, license=torch.cat(renumbered), licenses=names, synthetic=synthetic)


def write_index(path: Path, index: ClipIndex) -> None:
    """One safetensors file, whole or not at all."""
    told = json.dumps({"licenses": index.licenses, "synthetic": index.synthetic})
    write_atomically(path, save({name: getattr(index, name).contiguous() for name in COLUMNS}, {"index": told}))


def read_index(path: Path) -> ClipIndex | None:
    """An index that was written; None where there is none that is whole."""
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads(file.metadata()["index"])
            columns = {name: file.get_tensor(name).clone() for name in COLUMNS}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return ClipIndex(**columns, licenses=tuple(told["licenses"]), synthetic=bool(told["synthetic"]))
