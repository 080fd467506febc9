"""Taking turns: contenders are timed alternately, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Times:
    """Of each turn, seconds of this process's processor time and of the wall clock."""

    processor: tuple[float, ...]
    wall: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the processor time: what a shared machine leaves comparable."""
        return statistics.median(self.processor)

    @property
    def wall_median(self) -> float:
        return statistics.median(self.wall)


def alternate(contenders: Mapping[str, Callable[[int], None]], turns: int) -> dict[str, Times]:
    """Call every contender with 0, 1, ... ``turns`` times in turn, after one call each that is not counted."""
    for contender in contenders.values():
        contender(0)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for turn in range(turns):
        for name, contender in contenders.items():
            processor, wall = time.process_time(), time.perf_counter()
            contender(turn)
            taken[name].append((time.process_time() - processor, time.perf_counter() - wall))
    return {name: Times(*(tuple(column) for column in zip(*rows, strict=True))) for name, rows in taken.items()}


def measured_peak(turns: int = 5) -> float:
    """The most FLOP a second that a matrix product or a convolution reaches here, in fp32, by processor time."""
    square, maps, kernel = torch.randn(2048, 2048), torch.randn(1, 512, 64, 64), torch.randn(512, 512, 3, 3)
    jobs: Sequence[tuple[float, Callable[[int], None]]] = (
        (2 * 2048**3, lambda _turn: _drop(square @ square)),
        (2 * 64 * 64 * 9 * 512 * 512, lambda _turn: _drop(F.conv2d(maps, kernel, padding=1))),
    )
    times = alternate({str(i): job for i, (_, job) in enumerate(jobs)}, turns)
    return max(flop / min(times[str(i)].processor) for i, (flop, _) in enumerate(jobs))


def load_average() -> float:
    """Jobs that wanted a processor in the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _drop(_value: torch.Tensor) -> None:
    return None
