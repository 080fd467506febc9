"""The section "profile" of :mod:`benchmarks.device`: the kernels in which a frame's time goes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.profiler import ProfilerActivity, profile

#: Rows of the table: the kernels that take the most time.
KERNELS = 15


def profiled(options: argparse.Namespace, draw: Callable[[], Tensor], frames: int) -> dict[str, Any]:
    """The kernels of one call of ``draw``, which draws ``frames``; on a CPU the operators that call them."""
    on_card = options.device != "cpu"
    draw().cpu()  # kernels are chosen and compiled
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_card else [])]
    with profile(activities=activities) as taken:
        draw().cpu()
    spent = "self_device_time_total" if on_card else "self_cpu_time_total"
    events = [one for one in taken.key_averages() if getattr(one, spent) > 0]
    events.sort(key=lambda one: getattr(one, spent), reverse=True)
    total = sum(getattr(one, spent) for one in events)
    rows = [
        {
            "kernel": one.key[:90].replace("|", "/"),
            "calls": one.count,
            "ms a frame": getattr(one, spent) / 1000 / frames,
            "share": f"{getattr(one, spent) / total:.1%}",
        }
        for one in events[:KERNELS]
    ]
    return {
        "frames at once": frames,
        "kernels a call": sum(one.count for one in events),
        "all kernels, ms a frame": total / 1000 / frames,
        "rows": rows,
    }
