"""Features of speech in a temporary file, for speech of any length."""

from __future__ import annotations

import torch
from torch import Tensor

from .samples import StoredSamples


class StoredRows:
    """:class:`values.FeatureRows` of ``shape`` in an unnamed temporary file, read by ``rows[begin:end]`` or a tensor of
    row numbers: memory does not grow with their number. Errors as of :class:`StoredSamples`."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._values, self._shape = StoredSamples(), torch.Size(shape)

    @property
    def shape(self) -> torch.Size:
        """(T, ...), as of a tensor."""
        return torch.Size((len(self), *self._shape))

    @property
    def ndim(self) -> int:
        """The length of :attr:`shape`."""
        return 1 + len(self._shape)

    def __len__(self) -> int:
        return len(self._values) // self._shape.numel()

    def __getitem__(self, rows: slice | Tensor, /) -> Tensor:
        if isinstance(rows, Tensor):
            first = int(rows.min())
            return self[first : int(rows.max()) + 1][rows - first]
        begin, end, _ = rows.indices(len(self))
        width = self._shape.numel()
        return torch.from_numpy(self._values[begin * width : end * width]).unflatten(0, (-1, *self._shape))

    def append(self, rows: Tensor) -> None:
        """Add rows (n, ...) behind the last."""
        self._values.append(rows.float().cpu().flatten().numpy())
