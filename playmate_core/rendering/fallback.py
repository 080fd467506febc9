"""Rendering with fallbacks: smaller batches when memory runs out, float32 when half precision overflows."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..face import FaceModel
from ..face.fast import cached_fast_face, uses_half_precision
from ..host import HOST

#: A picture without a value above half a grey level is black.
BLACK = 0.5 / 255
#: Renders a batch of frames with a face model: (n, 3, S, S) in [0, 1].
DrawBatch = Callable[[FaceModel], Tensor]
log = logging.getLogger(__name__)


class FallbackRenderer:
    """Renders with ``face`` (optimised by a ``profile`` of :mod:`face.fast`), with fallbacks; ``batch`` is the largest
    batch it accepts.

    When memory runs out, the batch is halved. When half precision gives a black or non-finite picture, its batch is
    rendered again in float32. Either is logged once.
    """

    def __init__(self, face: FaceModel, batch: int, profile: str = "auto") -> None:
        self._face, self.batch = face, batch
        self._quick, self._half = cached_fast_face(face, profile), uses_half_precision(face, profile)
        self._exact: FaceModel | None = None
        self._short = False

    def draw(self, draw: DrawBatch, frames: int) -> Tensor | None:
        """The result of ``draw`` for ``frames`` frames; None when memory ran out: retry with at most ``batch``
        frames."""
        try:
            with torch.inference_mode():
                pictures = draw(self._quick)
                return draw(self._in_float32()) if self._half and has_invalid_picture(pictures) else pictures
        except Exception as problem:
            if frames == 1 or not out_of_memory(problem):
                raise
        # Outside the handler, whose traceback would keep the tensors alive.
        HOST.free_memory()
        self.batch = (frames + 1) // 2
        if not self._short:
            log.warning("The memory does not hold a whole batch; drawing %d frames at once from here.", self.batch)
        self._short = True
        return None

    def _in_float32(self) -> FaceModel:
        if self._exact is None:
            log.warning("Half precision gave black pictures or none; drawing such batches again in float32.")
            self._exact = copy.deepcopy(self._face).float()
        return self._exact


def has_invalid_picture(pictures: Tensor) -> bool:
    """Whether any picture of a batch (n, 3, S, S) is black or not finite."""
    return not bool((pictures.isfinite().flatten(1).all(1) & (pictures.flatten(1).amax(1) > BLACK)).all())


def out_of_memory(problem: BaseException) -> bool:
    """Whether ``problem`` means out of memory, on any device; PyTorch's CPU allocator only says so in the message."""
    kinds = (MemoryError, getattr(torch, "OutOfMemoryError", MemoryError))
    words = ("out of memory", "not enough memory", "can't allocate memory")
    recognised = isinstance(problem, kinds) or any(word in str(problem) for word in words)
    return HOST.is_out_of_memory(problem) or recognised  # the host first: it may clean up
