"""Encoders: speech to one row of features per video frame (docs/method.md 1.5).

Video frame i owns the 640 samples from 640 i on; its two 50 Hz tokens 2 i and 2 i + 1 lie symmetrically about its
centre (token j is centred at sample 159.5 + 320 j). Long audio is encoded in chunks, so memory grows only with the
features themselves. To add an encoder of the wav2vec2 family, add a row to ``ENCODERS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ..errors import UserError
from .hubert_streaming import StreamingHubert
from .hubert_windows import WindowedHubert
from .listener import AudioEncoder, Backend, Listener, Source, chunk_plan
from .waveform import FRAME, SAMPLE_RATE, speech_gain

__all__ = [
    "ENCODERS",
    "AudioEncoder",
    "Backend",
    "HiddenStates",
    "Listener",
    "LogMel",
    "Source",
    "chunk_plan",
    "make_encoder",
]


class LogMel(Listener):
    """40 log-mel bands every 10 ms, four hops to a video frame: no weights, no download.

    Hop h is a 25 ms window centred at sample 160 h + 79.5, so four hops and both tokens are centred on their frame.
    """

    HOP, WINDOW, FFT, BANDS = 160, 400, 512, 40
    FLOOR_DB = -80.0
    #: Mean and standard deviation of levelled speech over all bands; constants, so that features are reproducible.
    MEAN_DB, SPREAD_DB = -55.0, 16.0

    margin = (FFT - HOP) // 2
    overlap = 0

    def load(self) -> None:
        """Does nothing: log-mel has no weights."""

    def gain(self, power: np.ndarray) -> float:
        """The amplitude factor that levels the speech, from the clip's ``power``."""
        return speech_gain(power)

    def encode(self, samples: np.ndarray) -> Tensor:
        """``samples`` (N,) at 16 kHz, margins included -> (T, 1, 160)."""
        window = np.hanning(self.WINDOW)
        hops = np.lib.stride_tricks.sliding_window_view(samples, self.FFT)[:: self.HOP]
        aside = (self.FFT - self.WINDOW) // 2
        spectrum = np.fft.rfft(np.pad(window, aside) * hops).astype(np.complex64).T
        # A full-scale sine has power 1 in its bin.
        power = np.abs(spectrum / np.float32(window.sum() / 2)) ** 2
        bands = mel_filters(self.FFT, self.BANDS) @ power
        decibels = 10.0 * np.log10(np.maximum(bands, np.float32(10.0 ** (self.FLOOR_DB / 10.0))))
        scaled = (decibels - self.MEAN_DB) / self.SPREAD_DB
        return torch.from_numpy(np.ascontiguousarray(rearrange(scaled, "m (t h) -> t 1 (h m)", h=4), np.float32))


@lru_cache
def mel_filters(fft: int, bands: int) -> np.ndarray:
    """(bands, fft / 2 + 1) float32 triangles of height 1, 60 Hz to 7.6 kHz, equally wide in mel.

    The scale is that of Slaney's Auditory Toolbox (Interval Research 1998-010): linear to 1 kHz, logarithmic above.
    Implemented here because librosa's version spends 12 seconds in JIT compilation and needs a cache folder.
    """
    edges = _hz(np.linspace(_mel(60.0), _mel(7600.0), bands + 2))
    bins = np.fft.rfftfreq(fft, 1.0 / SAMPLE_RATE)
    widths, ramps = np.diff(edges), edges[:, None] - bins
    rising, falling = -ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


#: Slaney's mel scale: mels begin to grow with the logarithm of the frequency at 1000 Hz, which is 15 mel.
_LINEAR_HZ, _BREAK_HZ, _LOG_STEP = 200.0 / 3.0, 1000.0, np.log(6.4) / 27.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ


def _mel(hertz: float) -> float:
    if hertz < _BREAK_HZ:
        return hertz / _LINEAR_HZ
    return float(_BREAK_MEL + np.log(hertz / _BREAK_HZ) / _LOG_STEP)


def _hz(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < _BREAK_MEL, _LINEAR_HZ * mels, _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_MEL)))


class HiddenStates(Listener):
    """All hidden states of a frozen wav2vec2-like transformer, two 50 Hz tokens concatenated.

    40 samples of margin on each side make exactly 2 n tokens of n frames. The first convolution normalises over time,
    so chunks are long (30 s), share two seconds on each side, and the clip is scaled to unit variance as a whole.
    """

    margin = 40
    overlap = 50

    def __init__(self, name: str, row: Backend, source: Source) -> None:
        super().__init__(name, row, source)
        self.hidden = row.layers
        self.weights = str(source.weights or row.hub)
        if source.mix is not None:
            self.layers = 1
        self.model: Any = None

    def gain(self, power: np.ndarray) -> float:
        """The amplitude factor to unit variance, from the clip's ``power``."""
        return float(1.0 / np.sqrt(power.mean() + 1e-7))

    @torch.inference_mode()
    def encode(self, samples: np.ndarray) -> Tensor:
        """``samples`` (N,) at 16 kHz, margins included -> (T, L, D) on the CPU."""
        sound = torch.from_numpy(samples)[None].to(self.source.device)
        states = self.model(sound, output_hidden_states=True).hidden_states[1:]
        if self.source.mix is None:
            tokens = torch.cat(states)
        else:
            tokens = sum(float(w) * state for w, state in zip(self.source.mix, states, strict=True))
        return rearrange(tokens, "l (t p) d -> t l (p d)", p=2).float().cpu()

    def load(self) -> None:
        """Load the model once. Raises UserError where its files are missing or unsuitable."""
        if self.model is not None:
            return
        from transformers import AutoModel

        try:
            model, report = AutoModel.from_pretrained(
                self.weights, local_files_only=not self.source.download, output_loading_info=True
            )
        except Exception as error:  # transformers, its hub client and safetensors each have their own kinds
            raise UserError(
                f"No usable {self.name} weights at {self.weights!r} ({type(error).__name__}); give a local folder with "
                f"config.json and model.safetensors, allow the download, or choose the encoder logmel."
            ) from error
        self._check(model, [key for key in report["missing_keys"] if "masked_spec_embed" not in key])
        self.model = model.train(False).requires_grad_(False).to(self.source.device)

    def _check(self, model: Any, missing: list[str]) -> None:
        shape = (getattr(model.config, "num_hidden_layers", 0), 2 * getattr(model.config, "hidden_size", 0))
        if shape != (self.hidden, self.width):
            raise UserError(
                f"{self.weights!r} has {shape[0]} layers of {shape[1]} numbers a frame; {self.name} needs "
                f"{self.hidden} of {self.width}: give the weights that the checkpoint was trained with."
            )
        if missing:
            raise UserError(f"{self.weights!r} lacks {len(missing)} tensors, first {missing[0]!r}; download it again.")
        if not all(bool(value.isfinite().all()) for value in model.state_dict().values()):
            raise UserError(f"{self.weights!r} holds NaN or infinite weights; download it again.")
        if int(np.prod(model.config.conv_stride)) * 2 != FRAME:
            raise UserError(f"{self.weights!r} does not make 50 tokens a second; give a model of the wav2vec2 family.")


ENCODERS: dict[str, Backend] = {
    "logmel": Backend(layers=1, width=4 * LogMel.BANDS, build=LogMel),
    "wav2vec2": Backend(layers=12, width=2 * 768, build=HiddenStates, hub="facebook/wav2vec2-base-960h"),
    # Encoders of public motion generators, each with the preprocessing that its generator was trained with.
    "joyvasa-hubert": Backend(layers=1, width=768, build=WindowedHubert),
    "joyvasa-wav2vec2": Backend(layers=1, width=768, build=WindowedHubert),
    "ditto-hubert": Backend(layers=1, width=1024, build=StreamingHubert),
}


def make_encoder(
    name: str,
    source: str | Path | None = None,
    *,
    mix: Sequence[float] | None = None,
    device: str | torch.device = "cpu",
    download: bool = False,
) -> AudioEncoder:
    """The encoder called ``name`` in ENCODERS; weights are read at the first ``listen``.

    ``source`` a local folder or hub id; without ``download`` only files already on this machine are used. ``mix``
    (L,): weights that sum the layers to a single one, so that an hour fits in memory. Raises UserError for an unknown
    name.
    """
    if name not in ENCODERS:
        raise UserError(f"Unknown audio encoder {name!r}; choose one of {', '.join(ENCODERS)}.")
    row = ENCODERS[name]
    if mix is not None and len(mix) != row.layers:
        raise UserError(f"Got {len(mix)} layer weights for {name}, which has {row.layers} layers; give one for each.")
    return row.build(name, row, Source(source, mix, device, download))
