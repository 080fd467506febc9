"""The clips of a split to draw windows from, on disk: as much memory for ten times the clips (docs/method.md 1.5, 2.3).

On the first run every process encodes its share of the clips, on the device it trains on, into files that the stages,
processes and later runs share; what a killed run has done is kept. Later runs read the index alone.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from playmate_core.diffusion.normalisation import (
    POSE_FLOOR,
    MotionStatistics,
    standardised_identity,
    to_model_space,
)
from playmate_core.errors import UserError
from playmate_core.speech import AudioEncoder, make_encoder
from training.clip_index import ClipIndex, interleaved, joined, read_index, row_of, write_index
from training.clip_windows import Labels, silence
from training.data import MANIFEST, split_clips, split_files
from training.data_card import DataCard, description
from training.feature_files import VERSION, clip_key, content_hash, encoder_key, keep, read, tidy
from training.processes import Processes, processes

logger = logging.getLogger(__name__)
#: The folder of the features beside a corpus, unless another one is given.
FOLDER = "features"


@dataclass(frozen=True)
class ClipStore:
    """Some clips of a split: their rows, the folder of their files, and the features of a silent frame (L, D)."""

    corpus: Path
    folder: Path
    index: ClipIndex
    silence: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def first(self, count: int) -> ClipStore:
        """The first ``count`` clips; all where it is 0."""
        return self._with(self.index.rows(slice(count or None)))

    def labelled(self) -> ClipStore:
        """The clips that have an emotion's name."""
        return self._with(self.index.rows(self.index.emotion >= 0))

    @property
    def statistics(self) -> MotionStatistics:
        """What the clips are like."""
        return self.index.statistics(self.silence)

    @property
    def card(self) -> DataCard:
        """Where they come from, how much they are, of whom, under which licences."""
        return self.index.card(description(self.corpus, self.index.synthetic))

    def frames(self, statistics: MotionStatistics, pose_normalisation: str) -> StoredFrames:
        """The clips in the model space of ``statistics``."""
        return StoredFrames(self.index, self.folder, statistics, pose_normalisation)

    def _with(self, index: ClipIndex) -> ClipStore:
        return ClipStore(self.corpus, self.folder, index, self.silence)


class StoredFrames:
    """Windows of clips read from their files (:class:`training.clip_windows.Frames`); holds numbers a clip alone."""

    def __init__(self, index: ClipIndex, folder: Path, statistics: MotionStatistics, pose_normalisation: str) -> None:
        # a copy: the model's own goes to its device, where loader workers must not touch it
        self.statistics = copy.deepcopy(statistics).cpu().requires_grad_(False)
        self.folder, self.key = folder, index.key
        std = (index.pose_square / index.length[:, None]).sqrt()
        floor = POSE_FLOOR * self.statistics.pose_typical_std.to(std)
        self.pose_mean, self.pose_std = index.pose_mean, torch.maximum(std, floor)
        if pose_normalisation == "global":
            self.pose_mean = self.statistics.pose_global_mean.to(std).expand_as(std)
            self.pose_std = self.statistics.pose_global_std.to(std).expand_as(std)
        self.labels = Labels(
            length=index.frames,
            identity=torch.stack([standardised_identity(face, self.statistics) for face in index.keypoints]),
            pose_static=(std[:, :3] < floor[:3]).all(1),
            emotion=index.emotion,
            intensity=index.intensity,
        )

    def read(self, clip: int, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """See Frames."""
        frames = read(self.folder, self.key[clip].numpy().tobytes(), begin, end)
        motion = to_model_space(frames.motion, self.statistics, self.pose_mean[clip], self.pose_std[clip])
        return motion, frames.audio.float()


def open_clips(corpus: str | Path, split: str, encoder: str, source: str = "", folder: str = "") -> ClipStore:
    """The clips of a split as ``encoder`` (with the weights ``source``) makes them, in ``folder``, encoded where they
    were not. For all processes together. Raises UserError where there are no clips."""
    corpus, group = Path(corpus), processes()
    files = split_files(corpus, split)
    what = encoder_key(encoder, source)
    where = (Path(folder) if folder else corpus / FOLDER) / f"{encoder}-{what[:12]}"
    path = where / f"index-{split}-{_corpus_key(corpus, files)[:24]}.safetensors"
    index = read_index(path)
    if group.any(index is None):  # another process may see a file a moment later on shared storage
        index = _encoded(corpus, split, make_encoder(encoder, source or None, device=group.device), what, path, group)
    assert index is not None
    index = index.with_speakers_keypoints()
    still = where / "silence.safetensors"
    if not group.any(not still.exists()):
        return ClipStore(corpus, where, index, _silence(still, None))
    if group.is_main:
        _silence(still, make_encoder(encoder, source or None, device=group.device))
    group.wait()
    return ClipStore(corpus, where, index, _silence(still, None))


def _encoded(
    corpus: Path, split: str, encoder: AudioEncoder, what: str, path: Path, group: Processes
) -> ClipIndex | None:
    """Every process keeps the features of its share; the main one puts their rows together."""
    mine = path.with_name(f"{path.stem}.rows-{group.rank}-of-{group.count}.safetensors")
    tidy(path.parent, range(group.rank, 256, group.count))
    if group.is_main:
        logger.info("Reading the %s clips of %s with %s into %s.", split, corpus, encoder.name, path.parent)
    rows = joined(_rows(corpus, split, encoder, what, path.parent, group))
    if rows is not None:
        write_index(mine, rows)
    group.wait()
    parts = [path.with_name(f"{path.stem}.rows-{r}-of-{group.count}.safetensors") for r in range(group.count)]
    if group.is_main:
        write_index(path, interleaved([rows for part in parts if (rows := read_index(part)) is not None]))
    group.wait()
    mine.unlink(missing_ok=True)
    return read_index(path)


def _rows(
    corpus: Path, split: str, encoder: AudioEncoder, what: str, folder: Path, group: Processes
) -> Iterator[ClipIndex]:
    from tqdm.auto import tqdm

    clips = split_clips(corpus, split, group.rank, group.count)
    for clip in tqdm(clips, desc=f"features ({split})", mininterval=5.0, disable=not group.is_main, unit="clip"):
        waveform = clip.waveform
        key = clip_key(clip, waveform, what)
        yield row_of(key, clip, keep(folder, key, clip, waveform, encoder))


def _corpus_key(corpus: Path, files: list[Path]) -> str:
    """A hash of what the clips are: the corpus's own where it is finished, else that of every file."""
    try:
        told = str(json.loads((corpus / MANIFEST).read_text())["hash"])
    except (OSError, ValueError, KeyError):
        told = "".join(content_hash(path).hex() for path in files)
    sizes = "".join(f"{path.name} {path.stat().st_size} " for path in files)
    return hashlib.sha256(f"{VERSION} {told} {sizes}".encode()).hexdigest()


def _silence(path: Path, encoder: AudioEncoder | None) -> Tensor:
    """The features of a silent frame, from their file, or of ``encoder`` into it."""
    from safetensors.torch import load_file, save

    from playmate_core.atomic_file import write_atomically

    if encoder is None:
        try:
            return load_file(path)["silence"]
        except (OSError, ValueError, KeyError) as problem:
            raise UserError(f"{path} cannot be read ({problem}); delete it and give the command again.") from problem
    features = silence(encoder)
    write_atomically(path, save({"silence": features.contiguous()}))
    return features
