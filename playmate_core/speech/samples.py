"""Samples of speech that are read piece by piece: an array, or a temporary file for speech of any length."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

#: Samples read at once. A multiple of the 8192 that numpy converts at once, so that a sum over the blocks, each begun
#: with that of the ones before, has the bits of one over all samples.
BLOCK = 1 << 18
_BYTES = np.dtype(np.float32).itemsize


class Samples(Protocol):
    """Mono float32 samples (N,) that can be sliced; numpy arrays are."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]: ...


class StoredSamples:
    """:class:`Samples` in an unnamed temporary file, appended in order and read by slice.

    Memory does not grow with their number: an hour at 16 kHz takes 230 MB on the disk. The file goes with the object.
    Raises UserError where the disk is full. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._file, self._count = tempfile.TemporaryFile(), 0  # noqa: SIM115  (closed with the object)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]:
        begin, end, step = part.indices(self._count)
        if step != 1:
            raise ValueError(f"Stored samples are read one after another, got a step of {step}.")
        read = np.empty(max(end - begin, 0), np.float32)
        self._file.seek(begin * _BYTES)
        if self._file.readinto(read.data) != read.nbytes:
            raise OSError(errno.EIO, "a temporary file of samples has become shorter")
        return read

    def append(self, samples: NDArray[np.float32]) -> None:
        """Add samples (n,) behind the last."""
        try:
            self._file.seek(self._count * _BYTES)
            self._file.write(np.ascontiguousarray(samples, np.float32).data)
            self._file.flush()
        except OSError as problem:
            raise UserError(
                f"The speech could not be kept in {tempfile.gettempdir()}: {problem.strerror}; please make room there,"
                " or name another folder in TMPDIR."
            ) from problem
        self._count += len(samples)

    def resize(self, count: int) -> None:
        """Drop the samples from ``count`` on, or add silence up to it."""
        self._count = min(self._count, count)
        while self._count < count:
            self.append(np.zeros(min(count - self._count, BLOCK), np.float32))


class Padded:
    """:class:`Samples` with ``before`` samples of silence before them and ``behind`` after them, made when read."""

    def __init__(self, samples: Samples, before: int, behind: int) -> None:
        self._samples, self._before, self._count = samples, before, before + len(samples) + behind

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice, /) -> NDArray[np.float32]:
        begin, end, _ = part.indices(self._count)
        return cut_samples(self._samples, begin - self._before, max(begin, end) - self._before)


def cut_samples(samples: Samples, begin: int, end: int, mean: np.float32 | float = 0.0) -> NDArray[np.float32]:
    """The samples from ``begin`` up to ``end`` less ``mean``, with silence where there are none."""
    inside = samples[min(max(begin, 0), len(samples)) : max(end, 0)]
    before = min(max(-begin, 0), end - begin)
    return np.pad(inside - np.float32(mean), (before, end - begin - before - len(inside)))


def blocks(samples: Samples) -> Iterator[NDArray[np.float32]]:
    """All samples, at most BLOCK at once."""
    for begin in range(0, len(samples), BLOCK):
        yield samples[begin : begin + BLOCK]


def mean_of(samples: Samples) -> np.float32:
    """The mean, summed in float64."""
    total = np.float64(0.0)
    for block in blocks(samples):
        total = np.add.reduce(block, dtype=np.float64, initial=total)
    return np.float32(total / max(len(samples), 1))
