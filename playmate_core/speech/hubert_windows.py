"""JoyVASA's audio encoder: windows of four seconds, encoded independently (docs/motion_models.md 4.2 and 4.5).

A window of 64000 samples is reflect-padded to 64080, for which HuBERT returns exactly 200 tokens; each pair is averaged
to one row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UserError
from ..values import AudioFeatures
from .listener import Backend, Progress, Source, kept_rows
from .samples import Padded, Samples, StoredSamples
from .waveform import FRAME, SAMPLE_RATE, Speech, Waveform, loudness, samples_at_16k

#: Video frames and samples of a window.
WINDOW_FRAMES = 100
WINDOW_SAMPLES = WINDOW_FRAMES * FRAME
TOKEN = 320
WAVEFORMS = ("raw", "standardised")
PADS = ("zero", "replicate")


@dataclass(frozen=True)
class WindowOptions:
    """How a clip is prepared for the encoder.

    ``lead_frames`` of silence are prepended, and one frame appended if there are any: 2 is the published setting, whose
    motion lags the speech by 80 ms; 0 starts with the speech. ``waveform``: "raw", or "standardised" as in the first
    release. ``pad``: how the last window is filled.
    """

    lead_frames: int = 2
    waveform: str = "raw"
    pad: str = "zero"

    def __post_init__(self) -> None:
        if not 0 <= self.lead_frames <= WINDOW_FRAMES // 2:
            raise UserError(f"Got {self.lead_frames} lead frames; choose 2 (as published) or 0 (no lag).")
        if self.waveform not in WAVEFORMS or self.pad not in PADS:
            raise ValueError(f"Choose a waveform of {WAVEFORMS} and a pad of {PADS}, got {self}.")

    def padded(self, samples: Samples) -> Samples:
        """The samples (n,) normalised and padded, ready to be cut into windows.

        To be standardised they are read as a whole: the published mean and deviation are rounded as float32 sums are.
        """
        if self.waveform == "standardised":
            whole = samples[:]
            samples = (whole - whole.mean()) / (whole.std() + np.float32(1e-5))
        return Padded(samples, self.lead_frames * FRAME, FRAME if self.lead_frames else 0)


def window_count(total: int) -> tuple[int, int]:
    """Number of windows and of frames kept from them, for a clip of ``total`` samples including padding.

    Computed in double precision as in the reference: for exactly 201 frames of samples it is one frame short.
    """
    windows = max(1, -(-int(total / SAMPLE_RATE * 25) // WINDOW_FRAMES))
    return windows, WINDOW_FRAMES * windows - max(0, math.ceil((WINDOW_SAMPLES * windows - total) / FRAME))


def cut_window(samples: Samples, index: int, pad: str = "zero") -> np.ndarray:
    """The samples (64000,) of a window, padded beyond the end of the clip."""
    inside = samples[index * WINDOW_SAMPLES : (index + 1) * WINDOW_SAMPLES]
    fill = samples[len(samples) - 1 :][0] if pad == "replicate" and len(samples) else 0.0
    return np.pad(inside, (0, WINDOW_SAMPLES - len(inside)), constant_values=fill)


def mirrored(waveform: Tensor) -> Tensor:
    """Pad a waveform (1, n) to the length HuBERT needs for n // 320 tokens, by the reference's two reflections."""
    missing = math.ceil((TOKEN * (waveform.shape[-1] // TOKEN) + 80 - waveform.shape[-1]) / 2)
    if missing <= 0:
        return waveform
    for _ in range(2):
        waveform = nn.functional.pad(waveform, (missing // 2, missing // 2), mode="reflect")
    return nn.functional.pad(waveform, (missing % 2, missing % 2), mode="replicate")


def halved(tokens: Tensor) -> Tensor:
    """50 Hz tokens (2 T, D) -> rows (T, D): linear resampling with half-pixel centres is the mean of each pair."""
    return tokens.unflatten(0, (-1, 2)).mean(1)


class WindowedHubert:
    """An :class:`AudioEncoder` for a HuBERT stored inside a motion generator's file."""

    def __init__(self, name: str, row: Backend, source: Source, listening: WindowOptions = WindowOptions()) -> None:  # noqa: B008  (frozen)
        self.name, self.layers, self.width = name, row.layers, row.width
        self.listening = listening
        if source.module is None:
            raise UserError(
                f"The encoder {name} lies inside JoyVASA's own file, fine-tuned with it; load that file as the motion"
                " model and it listens with it, an untouched HuBERT or wav2vec2 would be another model."
            )
        self.module = source.module

    def listen(self, waveform: Waveform | StoredSamples, rate: int, progress: Progress | None = None) -> AudioFeatures:
        """See AudioEncoder; rows of the last window beyond the end of the clip are kept as ``after``."""
        sound = samples_at_16k(waveform, rate)
        power = Speech.of(sound).power()
        padded, frames = self.listening.padded(sound), len(power)
        windows = max(window_count(len(padded))[0], -(-frames // WINDOW_FRAMES))

        def encoded() -> Iterator[Tensor]:
            for index in range(windows):
                yield self.encode(cut_window(padded, index, self.listening.pad))[:, None]
                if progress is not None:
                    progress(index + 1, windows)

        shape = (self.layers, self.width)
        rows, beyond = kept_rows(encoded(), frames, shape, isinstance(waveform, StoredSamples))
        return AudioFeatures(rows, loudness(power), self.name, after=beyond)

    @torch.inference_mode()
    def encode(self, window: np.ndarray) -> Tensor:
        """Encode one window of samples (64000,) into rows (100, D)."""
        like = next(self.module.parameters())
        sound = mirrored(torch.from_numpy(np.ascontiguousarray(window))[None]).to(like)
        return halved(self.module(sound).last_hidden_state[0]).float().cpu()
