"""A processor, plenty of memory, and a Cancel button that a test can press by setting ``cancelled``."""

from __future__ import annotations

from typing import Any

import torch

OOM_EXCEPTION = torch.cuda.OutOfMemoryError
cancelled = False
loaded: list[Any] = []
free = 64e9


class Interrupted(Exception):
    pass


def get_torch_device() -> torch.device:
    return torch.device("cpu")


def unet_offload_device() -> torch.device:
    return torch.device("cpu")


def should_use_fp16(device: torch.device) -> bool:
    return False


def get_free_memory(device: torch.device) -> float:
    return free


def load_models_gpu(models: list[Any], memory_required: int = 0, force_full_load: bool = False) -> None:
    loaded.extend(models)


def soft_empty_cache() -> None:
    pass


def throw_exception_if_processing_interrupted() -> None:
    if cancelled:
        raise Interrupted
