"""The device of the networks, and the precision of F, W and G."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..errors import UserError, elided
from ..face import FaceModel

#: Choose the precision by device: half precision on CUDA, full precision elsewhere.
AUTO = "auto"
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


#: Frames at once on a processor, where more are no faster: cancelling and previews do not wait for more.
BATCH_ON_CPU = 2


def require_device(device: str, precision: str = AUTO) -> None:
    """Raise UserError unless networks can run on ``device`` here and compute in ``precision`` there."""
    try:
        (torch.zeros(1, device=device) + 1).cpu()  # fails for "meta", whose tensors have no data
    except (RuntimeError, AssertionError, NotImplementedError, ImportError, ValueError) as problem:
        raise UserError(f"The device {elided(repr(device))} cannot be used here; please try --device cpu.") from problem
    if torch.device(device).type != "cpu":
        return
    if precision == "fp16" or (precision == "bf16" and not multiplies_bf16()):
        other = "fp32 or bf16" if multiplies_bf16() else "fp32"
        raise UserError(
            f"This processor does not multiply {precision} numbers and would imitate it, hundreds of times slower;"
            f" please choose {other}."
        )


def multiplies_bf16() -> bool:
    """Whether this processor has instructions for bfloat16 products (AVX512-BF16 or AMX)."""
    facts: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    older = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)  # before get_capabilities existed
    return bool(facts.get("avx512_bf16") or facts.get("amx_bf16") or older())


def to_device(face: FaceModel, device: str, precision: str = AUTO) -> FaceModel:
    """``face`` on ``device``, F, W and G computing in ``precision`` (AUTO or one of PRECISIONS)."""
    if precision == AUTO:
        precision = "fp16" if torch.device(device).type == "cuda" else "fp32"
    return face.to(device).set_compute_dtype(PRECISIONS[precision])


def batch_on(device: torch.device, frames: int) -> int:
    """How many of ``frames`` frames are drawn at once on ``device``; a picture's last bit depends on it."""
    return min(frames, BATCH_ON_CPU) if device.type == "cpu" else frames
