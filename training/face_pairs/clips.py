"""Pairs of frames from the videos of a prepared corpus: unlabelled, decoded when they are drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor

from playmate_core.errors import UserError
from training.pairs import pose_gap_degrees
from training.prepared import MOTION, VIDEO, Member, members, prepared_shards

#: Draws among which the first pair far enough apart is taken.
_TRIES = 8


@dataclass(frozen=True)
class FramePairs:
    """B pairs of frames of one clip each, (B, 3, S, S) in [0, 1]; ``gap`` (B,) degrees between their poses."""

    source: Tensor
    driving: Tensor
    gap: Tensor


class PairSource(Protocol):
    """Where pairs come from."""

    def draw(self, count: int, min_gap: float, generator: torch.Generator) -> FramePairs: ...


@dataclass(frozen=True)
class VideoClip:
    """A clip's video in a shard, and the rotation (T, 3) that M read of its frames."""

    shard: Path
    video: Member
    rotation: Tensor


class VideoPairs:
    """The clips of a split that come with pixels; clips are drawn by their number of frames."""

    def __init__(self, root: Path, split: str = "train") -> None:
        """Raises UserError where there is no prepared corpus or it holds no videos."""
        shards = prepared_shards(root, split)
        if not shards:
            raise UserError(
                f"{root} holds no {split} clips that `python -m training prepare` made; give --pairs such a folder."
            )
        self.clips = [clip for shard in shards for clip in _clips(shard)]
        if not self.clips:
            raise UserError(
                f"The {split} clips of {root} have no pixels; give the `prepare` command again with --pixels 512."
            )
        self.lengths = torch.tensor([len(clip.rotation) for clip in self.clips])

    def draw(self, count: int, min_gap: float, generator: torch.Generator) -> FramePairs:
        """Pairs more than ``min_gap`` degrees apart where eight draws find one: a still pair teaches Eq. 4 nothing."""
        chosen = torch.multinomial(self.lengths.float(), count, replacement=True, generator=generator).tolist()
        picks = [far_pair(self.clips[k].rotation, min_gap, generator) for k in chosen]
        clips = [self.clips[k] for k in chosen]
        pictures = [decode(str(c.shard), c.video, pick[:2]) for c, pick in zip(clips, picks, strict=True)]
        stacked = torch.from_numpy(np.stack([np.stack(pair) for pair in pictures])).permute(1, 0, 4, 2, 3)
        gaps = torch.tensor([gap for _, _, gap in picks])
        return FramePairs(stacked[0].float() / 255.0, stacked[1].float() / 255.0, gaps)


def far_pair(rotation: Tensor, min_gap: float, generator: torch.Generator) -> tuple[int, int, float]:
    """Two frames of a clip with rotations (T, 3), and how many degrees they lie apart."""
    tries = torch.randint(len(rotation), (_TRIES, 2), generator=generator)
    gaps = pose_gap_degrees(rotation[tries[:, 0]], rotation[tries[:, 1]])
    best = int((gaps > min_gap).int().argmax()) if bool((gaps > min_gap).any()) else int(gaps.argmax())
    return int(tries[best, 0]), int(tries[best, 1]), float(gaps[best])


def _clips(shard: Path) -> list[VideoClip]:
    found = []
    for name, files in members(shard).items():
        if VIDEO not in files:
            continue
        try:
            pose = load(files[MOTION].read(shard))["pose"].float()
        except Exception as problem:  # KeyError for a member, SafetensorError, or a short read
            raise UserError(
                f"{shard}: the clip {name} is damaged ({problem}); delete the file and give its `prepare` command"
                " again."
            ) from problem
        found.append(VideoClip(shard, files[VIDEO], pose[:, :3]))
    return found


@lru_cache(maxsize=16)
def _bytes(shard: str, video: Member) -> bytes:
    return video.read(Path(shard))


def decode(shard: str, video: Member, frames: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Some frames of a video, each (S, S, 3); every frame is coded by itself, so that a seek reads no other.

    Raises UserError where the video does not hold them.
    """
    import av

    pictures: list[NDArray[np.uint8]] = []
    try:
        with av.open(io.BytesIO(_bytes(shard, video))) as container:
            stream = container.streams.video[0]
            for wanted in frames:
                pictures.append(_frame(container, stream, wanted))
    except (OSError, ValueError, StopIteration, av.FFmpegError) as problem:
        raise UserError(
            f"{shard}: a video cannot be decoded ({problem or 'it is too short'}); delete the file and give its"
            " `prepare` command again."
        ) from problem
    return pictures


def _frame(container: Any, stream: Any, wanted: int) -> NDArray[np.uint8]:
    moment = wanted / stream.average_rate
    container.seek(int(moment / stream.time_base), stream=stream)
    for frame in container.decode(stream):
        if round(float(frame.pts * stream.time_base * stream.average_rate)) >= wanted:
            return np.asarray(frame.to_ndarray(format="rgb24"))
    raise StopIteration


def sized(image: Tensor, side: int) -> Tensor:
    """Pictures (B, 3, S, S) of another size: averaged when smaller, interpolated when larger."""
    if image.shape[-1] == side:
        return image
    mode = "area" if side < image.shape[-1] else "bilinear"
    return F.interpolate(image, size=(side, side), mode=mode)
