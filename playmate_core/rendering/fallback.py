"""Drawing that may fail: memory runs out, half precision spoils a picture. What was asked for is drawn all the same."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..face import FaceModel
from ..face.fast import cached_fast_face, uses_half_precision
from ..host import HOST

#: No sample above half a grey level: black.
BLACK = 0.5 / 255
#: Draws some frames with the face model it is given: (n, 3, S, S) in [0, 1].
DrawBatch = Callable[[FaceModel], Tensor]
log = logging.getLogger(__name__)


class FallbackRenderer:
    """Knows what to do when drawing with ``face`` fails, W and G arranged by a ``profile`` of :mod:`face.fast`;
    ``batch`` is how many frames it may be asked for at once.

    When memory runs out, the batch is halved. When half precision gives a picture that is black or no number, its batch
    is drawn again in float32. Either is told once in the log.
    """

    def __init__(self, face: FaceModel, batch: int, profile: str = "auto") -> None:
        self._face, self.batch = face, batch
        self._quick, self._half = cached_fast_face(face, profile), uses_half_precision(face, profile)
        self._exact: FaceModel | None = None
        self._short = False

    def draw(self, draw: DrawBatch, frames: int) -> Tensor | None:
        """What ``draw`` makes of ``frames`` frames; None when they did not fit and fewer have to be asked for."""
        try:
            with torch.inference_mode():
                pictures = draw(self._quick)
                return draw(self._in_float32()) if self._half and spoilt(pictures) else pictures
        except Exception as problem:
            if frames == 1 or not out_of_memory(problem):
                raise
        # Outside the handler: the traceback would keep alive what was just too large.
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


def spoilt(pictures: Tensor) -> bool:
    """Whether some picture of a batch (n, 3, S, S) is black, or holds what is no number."""
    return not bool((pictures.isfinite().flatten(1).all(1) & (pictures.flatten(1).amax(1) > BLACK)).all())


def out_of_memory(problem: BaseException) -> bool:
    """Whether memory ran out, on whichever device; PyTorch's CPU says so only in words."""
    kinds = (MemoryError, getattr(torch, "OutOfMemoryError", MemoryError))
    words = ("out of memory", "not enough memory", "can't allocate memory")
    told = isinstance(problem, kinds) or any(word in str(problem) for word in words)
    return HOST.is_out_of_memory(problem) or told  # asked first: it may have to tidy up
