"""A draw function captured in a CUDA graph: one launch for a whole batch."""

from __future__ import annotations

import torch
from torch import Tensor

from .reference import Draw

#: Calls before the capture, in which libraries choose their kernels and allocate their workspaces.
WARM_UP = 3


class GraphedDraw:
    """``draw`` for inputs of one shape: they are copied to fixed places, and the graph is replayed.

    The result is overwritten by the next call. Raises what capturing raises where ``draw`` cannot be captured.
    """

    def __init__(self, draw: Draw, inputs: tuple[Tensor, Tensor, Tensor]) -> None:
        self._inputs = tuple(value.clone() for value in inputs)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                draw(*self._inputs)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._drawn = draw(*self._inputs)

    def __call__(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        for place, value in zip(self._inputs, (volume, x_s, x_d), strict=True):
            place.copy_(value)
        self._graph.replay()
        return self._drawn
