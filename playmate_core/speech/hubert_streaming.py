"""Ditto's audio encoder: a streaming HuBERT, published as ONNX only (docs/motion_models.md 5.2).

A chunk is 3 past, 5 current and 2 future frames of 640 samples, and 80 more; of the 20 output tokens, those of the 5
current frames are averaged in pairs. Chunks are independent, so memory does not grow with the length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..values import AudioFeatures
from .hubert_windows import halved
from .listener import Backend, Progress, Source, kept_rows
from .samples import Samples, StoredSamples, cut_samples
from .waveform import FRAME, SAMPLE_RATE, Speech, Waveform, loudness, samples_at_16k

PAST, CURRENT, FUTURE = 3, 5, 2
CHUNK = (PAST + CURRENT + FUTURE) * FRAME + 80
STEP = CURRENT * FRAME
#: Of 20 tokens, those of the current frames.
KEPT = slice(2 * PAST, 2 * (PAST + CURRENT))
#: Samples of silence before a whole file, so that its first frames are the current ones of the first chunk.
BEFORE = CHUNK - (CURRENT + FUTURE) * FRAME


def published_frames(samples: int) -> int:
    """Number of frames the reference produces for a file: ceil(samples / 16000 * 25) in double precision.

    At some exact multiples of 640 samples (7, 14, 28, 55 ...) it is one more than there are.
    """
    return math.ceil(samples / SAMPLE_RATE * 25)


def chunk_count(samples: int) -> int:
    """Number of chunks for a whole file of ``samples``."""
    return -(-published_frames(samples) // CURRENT)


def file_chunk(samples: Samples, index: int) -> np.ndarray:
    """A chunk (6480,) of a whole file; silence beyond its ends."""
    begin = index * STEP - BEFORE
    return cut_samples(samples, begin, begin + CHUNK)


def stream_chunk_count(samples: int) -> int:
    """Number of chunks for a streamed file: all that begin inside it or in the silence before it."""
    return -(-(samples + PAST * FRAME) // STEP)


def stream_chunk(samples: Samples, index: int) -> np.ndarray:
    """A chunk (6480,) of a file that is streamed."""
    begin = index * STEP - PAST * FRAME
    return cut_samples(samples, begin, begin + CHUNK)


def current_rows(tokens: Tensor) -> Tensor:
    """The rows (5, D) of a chunk's current frames, from its tokens (20, D)."""
    return halved(tokens[KEPT])


class StreamingHubert:
    """An :class:`AudioEncoder` around Ditto's ONNX file.

    With ``silence`` > 0 the streaming chunk layout is used, after that many frames of encoded silence.
    """

    def __init__(self, name: str, row: Backend, source: Source, silence: int = 0) -> None:
        self.name, self.layers, self.width = name, row.layers, row.width
        self.source, self.silence = source, silence
        self._session: Any = None

    def listen(self, waveform: Waveform | StoredSamples, rate: int, progress: Progress | None = None) -> AudioFeatures:
        """See AudioEncoder. Where the reference counts one frame more than there are, its row is kept as ``after``."""
        self.load()
        sound = samples_at_16k(waveform, rate)
        power = Speech.of(sound).power()
        frames, shape, stored = len(power), (self.layers, self.width), isinstance(waveform, StoredSamples)
        if self.silence:
            silent_samples = np.zeros(self.silence * FRAME, np.float32)
            silent = [file_chunk(silent_samples, i) for i in range(chunk_count(len(silent_samples)))]
            before = torch.cat(list(self._rows(silent, None)))[: self.silence]
            count = stream_chunk_count(len(sound))
            parts = self._rows((stream_chunk(sound, i) for i in range(count)), progress, count)
            rows, _ = kept_rows(parts, frames, shape, stored)
            return AudioFeatures(rows, loudness(power), self.name, before=before, after=None)
        count = chunk_count(len(sound))
        parts = self._rows((file_chunk(sound, i) for i in range(count)), progress, count)
        rows, beyond = kept_rows(parts, frames, shape, stored)
        return AudioFeatures(
            rows, loudness(power), self.name, after=beyond[: max(published_frames(len(sound)) - frames, 0)]
        )

    def _rows(self, chunks: Iterable[np.ndarray], progress: Progress | None, count: int = 0) -> Iterator[Tensor]:
        for done, chunk in enumerate(chunks, start=1):
            yield current_rows(self.encode(chunk))[:, None]
            if progress is not None:
                progress(done, count)

    def encode(self, chunk: np.ndarray) -> Tensor:
        """Encode a chunk (6480,) into tokens (20, D)."""
        encoded = self._session.run(None, {self._session.get_inputs()[0].name: chunk[None]})[0]
        return torch.from_numpy(np.asarray(encoded, np.float32)).reshape(-1, self.width)

    def load(self) -> None:
        """Open the ONNX session once. Raises UserError when the file or onnxruntime is missing or does not fit."""
        if self._session is not None:
            return
        path = Path(self.source.weights or "hubert_streaming_fix_kv.onnx")
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                "Ditto's audio encoder needs onnxruntime, which is not installed; run `pip install onnxruntime`."
            ) from None
        if not path.is_file():
            raise UserError(
                f"Ditto's audio encoder {path} is not there; give the path of hubert_streaming_fix_kv.onnx."
            )
        wanted = ["CUDAExecutionProvider"] if str(self.source.device).startswith("cuda") else []
        providers = [p for p in [*wanted, "CPUExecutionProvider"] if p in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=providers)
            tokens = self.encode(np.zeros(CHUNK, np.float32))
        except Exception as problem:  # onnxruntime raises its own kinds for every sort of bad file
            raise UserError(
                f"{path.name} is not Ditto's audio encoder ({type(problem).__name__}); please fetch"
                " hubert_streaming_fix_kv.onnx again."
            ) from problem
        if len(tokens) != 2 * (PAST + CURRENT + FUTURE):
            raise UserError(
                f"{path.name} makes {len(tokens)} tokens of a chunk, Ditto's audio encoder makes 20; please fetch"
                " hubert_streaming_fix_kv.onnx again."
            )
