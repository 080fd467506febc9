"""bfloat16 convolutions on a processor that has none: the same numbers, with no claim about time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@contextmanager
def bfloat16_products() -> Iterator[None]:
    """Convolutions that would multiply bfloat16, given as such or under autocast, round their factors to it, multiply
    in float32 and round the sum: what the instructions do. PyTorch's own imitation takes most of an hour a frame."""
    plain = {name: getattr(F, name) for name in ("conv2d", "conv3d")}
    for name, convolve in plain.items():
        setattr(F, name, _rounding(convolve))
    try:
        yield
    finally:
        for name, convolve in plain.items():
            setattr(F, name, convolve)


def _rounding(convolve: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def rounded(x: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **named: Any) -> Tensor:
        if x.dtype != torch.bfloat16 and not torch.is_autocast_enabled("cpu"):
            return convolve(x, weight, bias, *rest, **named)
        factors = [None if value is None else value.bfloat16().float() for value in (x, weight, bias)]
        with torch.autocast("cpu", enabled=False):
            return convolve(*factors, *rest, **named).bfloat16()

    return rounded
