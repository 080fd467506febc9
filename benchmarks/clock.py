"""Taking turns: contenders are timed alternately, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


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
    """Call every contender with 0, 1, ... ``turns`` times in turn, after one call each that is not counted.

    A contender has ended when it returns: on a card it must have brought its result to the host.
    """
    for contender in contenders.values():
        contender(0)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for turn in range(turns):
        for name, contender in contenders.items():
            processor, wall = time.process_time(), time.perf_counter()
            contender(turn)
            taken[name].append((time.process_time() - processor, time.perf_counter() - wall))
    return {name: Times(*(tuple(column) for column in zip(*rows, strict=True))) for name, rows in taken.items()}


def measured_peak(device: torch.device, turns: int = 5, dtype: torch.dtype | None = None) -> float:
    """The most FLOP a second that a matrix product or a convolution reaches here: on a processor by processor time, in
    fp32 unless ``dtype`` says otherwise, on a card by the wall clock, in fp16."""
    if device.type == "cpu":
        return _peak(torch.zeros((), device=device, dtype=dtype or torch.float32), 2048, 1, turns)
    return _peak(torch.zeros((), device=device, dtype=dtype or torch.float16), 8192, 8, turns)


def _peak(like: Tensor, side: int, batch: int, turns: int) -> float:
    # Random numbers: of equal ones a card multiplies more a second than of any picture, as its clock falls less.
    square, maps, kernel = (
        torch.randn(shape, dtype=like.dtype, device=like.device)
        for shape in ((side, side), (batch, 512, 64, 64), (512, 512, 3, 3))
    )
    jobs: Sequence[tuple[float, Callable[[], Tensor]]] = (
        (2 * side**3, lambda: square @ square),
        (batch * 2 * 64 * 64 * 9 * 512 * 512, lambda: F.conv2d(maps, kernel, padding=1)),
    )

    def ended(job: Callable[[], Tensor]) -> Callable[[int], None]:
        return lambda _turn: _drop(job().flatten()[0].item())  # a card is asked for a number, which waits for it

    times = alternate({str(i): ended(job) for i, (_, job) in enumerate(jobs)}, turns)
    spent = {name: one.processor if like.device.type == "cpu" else one.wall for name, one in times.items()}
    return max(flop / min(spent[str(i)]) for i, (flop, _) in enumerate(jobs))


def load_average() -> float:
    """Jobs that wanted a processor in the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _drop(_value: object) -> None:
    return None
