"""ComfyUI's memory manager, progress bar and Cancel button, as our nodes need them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import numpy as np
import torch
from comfy_execution.utils import get_executing_context
from PIL import Image
from torch import Tensor, nn

from ..playmate_core.diffusion.request import MotionGenerator
from ..playmate_core.errors import UserError
from ..playmate_core.host import HOST
from ..playmate_core.progress import Progress
from ..playmate_core.rendering.device import AUTO, PRECISIONS
from .live_frame import SIDE, LiveFrames

Run = TypeVar("Run", bound=Callable[..., Any])
T = TypeVar("T")

#: The package that brings a module, where the names differ.
PACKAGES = {"cv2": "opencv-python", "av": "av", "soxr": "soxr", "transformers": "transformers"}
#: Progress bars count to this, so that several stages can share one.
FULL = 1000


@dataclass(frozen=True)
class Managed:
    """A module managed by ComfyUI's memory manager: ``patcher`` moves it to the device and back."""

    patcher: Any

    @property
    def module(self) -> Any:
        return self.patcher.model


@dataclass(frozen=True)
class MotionModel:
    """A motion generator and its networks, managed by ComfyUI's memory manager."""

    generator: MotionGenerator
    parts: tuple[Managed, ...]

    @classmethod
    def of(cls, generator: MotionGenerator) -> MotionModel:
        return cls(generator, tuple(manage(module) for module in generator.modules))


def set_host_hooks() -> None:
    """While the core renders, check for ComfyUI's Cancel between tiles, and when memory
    runs out; let ComfyUI free its models and retry."""
    HOST.set_memory_hooks(_run_out, mm.soft_empty_cache)
    HOST.set_interrupt_check(mm.throw_exception_if_processing_interrupted)


def _run_out(problem: BaseException) -> bool:
    if hasattr(mm, "is_oom"):
        return bool(mm.is_oom(problem))
    return mm.OOM_EXCEPTION is not Exception and isinstance(problem, mm.OOM_EXCEPTION)


def manage(module: nn.Module) -> Managed:
    """Register a module on the CPU with ComfyUI's memory manager."""
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    devices = {"load_device": mm.get_torch_device(), "offload_device": mm.unet_offload_device()}
    return Managed(patcher(_patchable(module), **devices))


def _patchable(module: nn.Module) -> nn.Module:
    """``module``, inside a list where ComfyUI could not set its ``device``: transformers' models have it read-only."""
    own = getattr(type(module), "device", None)
    return nn.ModuleList([module]) if isinstance(own, property) and own.fset is None else module


def renderer_dtype(precision: str) -> torch.dtype:
    """The dtype that "auto" or a name of PRECISIONS means on this machine."""
    if precision != AUTO:
        return PRECISIONS[precision]
    return torch.float16 if mm.should_use_fp16(mm.get_torch_device()) else torch.float32


@contextmanager
def loaded(*models: Managed, memory: float = 0.0) -> Iterator[list[Any]]:
    """The modules on their device, with room for ``memory`` bytes more; Cancel is checked between layers."""
    mm.load_models_gpu([model.patcher for model in models], memory_required=int(memory), force_full_load=True)
    modules = [model.module for model in models]
    by_hand = [model for model in models if _left_behind(model)]
    for model in by_hand:
        model.module.to(model.patcher.load_device)
    hooks = [part.register_forward_pre_hook(_hear_cancel) for module in modules for part in module.modules()]
    try:
        yield modules
    finally:
        for hook in hooks:
            hook.remove()
        for model in by_hand:
            if not model.patcher.loaded_size():  # with --novram ComfyUI does not count it
                model.module.to(model.patcher.offload_device)


def _left_behind(model: Managed) -> bool:
    """Whether ComfyUI left a plain module, or part of it, where it was: short of memory, or --novram."""
    device = model.patcher.load_device
    return any(value.device.type != device.type for value in chain(model.module.parameters(), model.module.buffers()))


def _hear_cancel(module: nn.Module, arguments: Any) -> None:
    mm.throw_exception_if_processing_interrupted()


class Bar:
    """One node's progress bar. Call it as the core's progress; :meth:`part` gives a stage its share of the whole."""

    def __init__(self, live_frames: LiveFrames | None = None) -> None:
        """``live_frames`` for a node that shows a video in the end, which may have no previews of ComfyUI's own."""
        self._bar, self._live_frames = comfy.utils.ProgressBar(FULL), live_frames
        self._picture: tuple[str, Image.Image, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        self.part(0.0, 1.0)(done, total)

    def part(self, begin: float, end: float) -> Progress:
        """Progress of a stage that takes the bar from ``begin`` to ``end``, both in 0..1."""

        def step(done: int, total: int) -> None:
            mm.throw_exception_if_processing_interrupted()
            share = begin + (end - begin) * done / max(total, 1)
            self._bar.update_absolute(int(share * FULL), FULL, self._picture)
            self._picture = None

        return step

    def show(self, picture: Tensor | np.ndarray) -> None:
        """The next step shows ``picture`` (H, W, 3) uint8 on the node."""
        image = Image.fromarray(np.asarray(picture))
        if self._live_frames is None or not self._live_frames.send(image):
            self._picture = ("JPEG", image, SIDE)

    def along(self, things: Iterable[T], total: int) -> Iterator[T]:
        """``total`` things one by one; the bar is full when the last was used."""
        for done, thing in enumerate(things, start=1):
            yield thing
            self(done, total)

    def watched(self, batches: Iterator[Tensor]) -> Iterator[Tensor]:
        """``batches`` of frames (n, H, W, 3) uint8, or 4 with alpha, as they are; the last of each is shown."""
        for batch in batches:
            self.show(batch[-1, ..., :3])
            yield batch


def node_id() -> str:
    """The id of the node that runs, or whose fingerprint is taken, "" where none does; 0.3.64 has no hidden inputs for
    the latter."""
    context = get_executing_context()
    return "" if context is None else context.node_id


def show_text(text: str) -> None:
    """Show ``text`` on the node that runs."""
    from server import PromptServer

    if PromptServer.instance is not None:
        PromptServer.instance.send_progress_text(text, node_id())


def explain_missing_package(execute: Run) -> Run:
    """Turn a missing package into an error that names the package to install."""

    @functools.wraps(execute)
    def run(*given: Any, **named: Any) -> Any:
        try:
            return execute(*given, **named)
        except ModuleNotFoundError as problem:
            package = PACKAGES.get((problem.name or "").split(".")[0])
            if package is None:
                raise
            raise UserError(
                f"This node needs the Python package {package}, which is not installed; please install it into"
                f" ComfyUI's Python with `python -m pip install {package}` and restart ComfyUI."
            ) from problem

    return run  # type: ignore[return-value]
