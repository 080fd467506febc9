"""The audio encoder interface, its table row and weight source, and chunked encoding of long audio."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..progress import Progress
from ..values import AudioFeatures, FeatureRows
from .samples import StoredSamples
from .stored_rows import StoredRows
from .waveform import Speech, Waveform, loudness

#: Frames encoded at once, at most: 30 s.
CHUNK_FRAMES = 750


class AudioEncoder(Protocol):
    """An audio encoder: ``layers`` L and ``width`` D per video frame, as in AudioFeatures."""

    name: str
    layers: int
    width: int

    def listen(self, waveform: Waveform | StoredSamples, rate: int, progress: Progress | None = None) -> AudioFeatures:
        """Encode ``waveform`` (samples,) or (channels, samples) at ``rate`` Hz; ``progress(chunks done, chunks)``."""
        ...


@dataclass(frozen=True)
class Source:
    """Where a pretrained encoder comes from: a local file, folder or hub id, a fixed layer mix (L,), and its device.

    ``module``: the network itself, for encoders stored inside another model's file.
    """

    weights: str | Path | None = None
    mix: Sequence[float] | None = None
    device: str | torch.device = "cpu"
    download: bool = False
    module: nn.Module | None = None


@dataclass(frozen=True)
class Backend:
    """A row of ENCODERS: hidden ``layers``, ``width`` per video frame, its factory ``build``, and its ``hub`` id."""

    layers: int
    width: int
    build: Callable[[str, Backend, Source], AudioEncoder]
    hub: str | None = None


def chunk_plan(frames: int, longest: int, overlap: int) -> list[tuple[int, int]]:
    """Consecutive (first, last) ranges covering ``frames``, of nearly equal length, at most ``longest`` with
    overlaps."""
    count = 1 if frames <= longest else -(-frames // (longest - 2 * overlap))
    edges = [frames * k // count for k in range(count + 1)]
    return list(zip(edges, edges[1:], strict=False))


def kept_rows(parts: Iterable[Tensor], frames: int, shape: tuple[int, ...], stored: bool) -> tuple[FeatureRows, Tensor]:
    """The first ``frames`` rows of ``shape`` that are made in ``parts``, and those after them.

    Where the speech is ``stored``, the first are in a temporary file too.
    """
    rows: StoredRows | Tensor = StoredRows(shape) if stored else torch.empty(frames, *shape)
    done, beyond = 0, torch.empty(0, *shape)
    for part in parts:
        kept, rest = part[: frames - done], part[frames - done :]
        if isinstance(rows, StoredRows):
            rows.append(kept)
        else:
            rows[done : done + len(kept)] = kept
        beyond, done = torch.cat([beyond, rest]), done + len(kept)
    return rows, beyond


class Listener(ABC):
    """Shared by encoders: convert to mono 16 kHz, measure loudness, encode chunk by chunk, drop the overlaps.

    ``margin`` samples surround each chunk; ``overlap`` frames of context on each side are encoded and discarded.
    """

    margin: int
    overlap: int

    def __init__(self, name: str, row: Backend, source: Source) -> None:
        self.name, self.layers, self.width = name, row.layers, row.width
        self.source = source
        self.chunk_frames = CHUNK_FRAMES

    def listen(self, waveform: Waveform | StoredSamples, rate: int, progress: Progress | None = None) -> AudioFeatures:
        """See AudioEncoder. Raises UserError for bad audio or missing weights, before any slow work."""
        self.load()
        speech = Speech.from_waveform(waveform, rate)
        power = speech.power()
        gain, frames = np.float32(self.gain(power)), len(power)
        plan = chunk_plan(frames, self.chunk_frames, self.overlap)

        def chunks() -> Iterator[Tensor]:
            for done, (first, last) in enumerate(plan, start=1):
                begin, end = max(first - self.overlap, 0), min(last + self.overlap, frames)
                encoded = self.encode(speech.cut(begin, end, self.margin) * gain)
                yield encoded[first - begin : last - begin]
                if progress is not None:
                    progress(done, len(plan))

        shape = (self.layers, self.width)
        features, _ = kept_rows(chunks(), frames, shape, isinstance(waveform, StoredSamples))
        return AudioFeatures(features, loudness(power), self.name)

    @abstractmethod
    def load(self) -> None:
        """Load the weights once, if there are any."""

    @abstractmethod
    def gain(self, power: np.ndarray) -> float:
        """The amplitude factor for the whole clip, from its frame powers (T,)."""

    @abstractmethod
    def encode(self, samples: np.ndarray) -> Tensor:
        """(640 n + 2 margin,) samples to (n, L, D)."""
