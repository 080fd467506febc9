"""Holds a module and the two devices it moves between."""

from __future__ import annotations

from typing import Any


class ModelPatcher:
    def __init__(self, model: Any, load_device: Any, offload_device: Any):
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        model.device = offload_device  # as ComfyUI does, which a read-only property of a model would refuse
