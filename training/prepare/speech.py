"""Voice activity by silero-vad, whose package includes its weights, and signal level."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from playmate_core.errors import UserError
from playmate_core.speech import SAMPLE_RATE

from .entry import Item
from .source_video import read_voice
from .store import Result, Store


@cache
def _model() -> Any:
    """Silero's network. Raises UserError when the package is missing."""
    try:
        from silero_vad import load_silero_vad
    except ImportError:
        raise UserError("Preparing videos needs the package silero-vad; run `pip install silero-vad`.") from None
    return load_silero_vad()


def speech_spans(voice: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Spans of speech, in seconds, in ``voice`` (N,), mono at 16 kHz."""
    from silero_vad import get_speech_timestamps

    found = get_speech_timestamps(torch.from_numpy(voice), _model(), sampling_rate=SAMPLE_RATE)
    return [(span["start"] / SAMPLE_RATE, span["end"] / SAMPLE_RATE) for span in found]


def speech_scores(voice: NDArray[np.float32]) -> dict[str, float]:
    """``peak``; ``vad``, the share of time with speech; ``snr`` in dB, speech over what lies between (NaN: nothing)."""
    spans = speech_spans(voice)
    spoken = np.zeros(len(voice), bool)
    for begin, end in spans:
        spoken[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = True
    scores = {"peak": float(np.abs(voice).max(initial=0.0)), "vad": float(spoken.mean()) if len(voice) else 0.0}
    if spoken.any() and not spoken.all():
        loud, quiet = (float(np.mean(voice[part].astype(np.float64) ** 2)) for part in (spoken, ~spoken))
        scores["snr"] = float(10 * np.log10(max(loud, 1e-12) / max(quiet, 1e-12)))
    return scores


@dataclass(frozen=True)
class DetectSpeech:
    """The speech of a clip."""

    root: Path
    name: str = "speech"
    version: int = 2  # 1 joined sound across missing packets
    gpu: bool = False

    def inputs(self, item: Item) -> list[Any]:
        return [item.digest, item.begin, item.end]

    def run(self, item: Item, store: Store) -> list[Result]:
        voice = read_voice(self.root / item.facts["sound"], item.begin, item.end, item.facts["zero"])
        scores = {name: round(value, 4) for name, value in speech_scores(voice).items()}
        return [Result(facts={"has_speech": bool(scores["vad"] > 0)}, scores=scores)]
