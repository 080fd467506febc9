"""A short timed trial: is Winograd's algorithm faster than the direct convolution here, and by which products.

Which library multiplies faster differs between processors, and neither says so. One convolution of the networks' size
is timed once for each processor, PyTorch version, number of threads, dtype and size; the result is kept in a file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ...atomic_file import write_atomically
from .products import PLANS, ProductPlan
from .split_conv import SplitChannelConv
from .winograd import WINOGRAD, WinogradConv

#: Set to 0, no trial is made and none is read: the profile depends on memory alone.
SWITCH = "PLAYMATE_TRIALS"
#: How much faster Winograd's algorithm must be for the memory that it takes.
WORTH = 1.2
#: Turns of the trial, of which the fastest counts: other processes only ever slow one down.
TRIAL_TURNS = 3
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """Seconds of processor time of a 3x3 convolution: ``direct``, and by Winograd's algorithm under each of PLANS."""

    direct: float
    transformed: tuple[float, ...]

    @property
    def plan(self) -> ProductPlan:
        """The fastest products."""
        return PLANS[self.transformed.index(min(self.transformed))]

    @property
    def ratio(self) -> float:
        """How many times faster than the direct convolution they make Winograd's algorithm."""
        return self.direct / max(min(self.transformed), 1e-9)


def trial_of(channels: int, side: int, dtype: torch.dtype) -> Trial | None:
    """The trial of a convolution of ``channels`` to as many on maps of ``side`` pixels, made now if it never was.

    None where :data:`SWITCH` is 0.
    """
    if os.environ.get(SWITCH) == "0":
        return None
    return _known(channels, side, dtype, torch.get_num_threads())


@cache
def _known(channels: int, side: int, dtype: torch.dtype, threads: int) -> Trial:
    name = f"{_processor()}, torch {torch.__version__}, {threads} threads, {dtype}, {channels} channels, {side} pixels"
    kept = _read()
    found = kept.get(name)
    if isinstance(found, list) and len(found) == 1 + len(PLANS) and all(isinstance(one, float) for one in found):
        return Trial(found[0], tuple(found[1:]))
    made = run_trial(channels, side, dtype)
    log.info("Timed a convolution once for %s: Winograd's algorithm is %.2f times as fast here.", name, made.ratio)
    with contextlib.suppress(OSError):  # a home that cannot be written: timed again by the next process
        trial_file().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(trial_file(), json.dumps(kept | {name: [made.direct, *made.transformed]}, indent=1).encode())
    return made


@torch.inference_mode()
def run_trial(channels: int, side: int, dtype: torch.dtype) -> Trial:
    """Time every way in turns, after one call each; about a second at LivePortrait's size."""
    side = max(WINOGRAD.stride, side // WINOGRAD.stride * WINOGRAD.stride)
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(channels, channels, 3, 3, generator=random).to(dtype) / (9 * channels) ** 0.5
    maps, bias = torch.randn(1, 1, side, side, channels, generator=random).to(dtype), torch.zeros(channels, dtype=dtype)
    ways: list[Callable[[Tensor], Tensor]] = [SplitChannelConv(weight, bias)]
    ways += [WinogradConv(weight, bias, WINOGRAD, plan) for plan in PLANS]
    fastest = [float("inf")] * len(ways)
    for turn in range(TRIAL_TURNS + 1):
        for number, way in enumerate(ways):
            begun = time.process_time()
            way(maps)
            if turn:
                fastest[number] = min(fastest[number], time.process_time() - begun)
    return Trial(fastest[0], tuple(fastest[1:]))


def trial_file() -> Path:
    """The file of all trials in the user's cache folder."""
    if platform.system() == "Windows":
        base = os.environ.get("LOCALAPPDATA") or "~"
    elif platform.system() == "Darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "playmate" / "trials.json"


def _read() -> dict[str, object]:
    try:
        kept = json.loads(trial_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _processor() -> str:
    """The processor's name and its instruction set as PyTorch uses it."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"
