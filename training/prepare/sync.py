"""Does the mouth belong to the voice, and by how many frames is the sound late? SyncNet's answer, or a substitute.

The substitute correlates the opening of the lips, as M reads it, with the envelope of the voice between 300 and 3000
Hz: in vowels the mouth is open. It names itself in the manifest, and its confidence is not SyncNet's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.speech.waveform import FRAME, SAMPLE_RATE
from playmate_core.values import LOWER_LIP, UPPER_LIP

from .entry import Item
from .source_video import frames_between, read_voice
from .store import Result, Store
from .syncnet import SyncNet, load_syncnet, offset_by_syncnet

#: Frames searched either way, as SyncNet's authors do.
MAX_LAG = 15
_BAND = (300.0, 3000.0)
#: The loudness exponent: between the power, which bursts rule, and its logarithm, which room noise rules.
_EXPONENT = 0.25
_WINDOW = 1600
BY_ENVELOPE, BY_SYNCNET = "lip opening against the voice's envelope", "SyncNet"


@dataclass(frozen=True)
class Offset:
    """The sound is ``frames`` late (negative: early); ``confidence`` in the unit of who measured."""

    frames: int
    confidence: float


def lip_drop(expression: Tensor) -> NDArray[np.float64]:
    """How far the lower lip lies below the upper, up to a constant: offsets (N, 21, 3) -> (N,)."""
    return (expression[:, LOWER_LIP, 1] - expression[:, UPPER_LIP, 1]).double().numpy()


def voice_envelope(voice: NDArray[np.float32], frames: int) -> NDArray[np.float64]:
    """Loudness of the vowels' band around the middle of every video frame (640 samples) -> (frames,)."""
    margin = (_WINDOW - FRAME) // 2
    padded = np.pad(voice.astype(np.float64), (margin, margin + _WINDOW))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::FRAME][:frames]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW), axis=1)) ** 2
    hertz = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    band = power[:, (hertz > _BAND[0]) & (hertz < _BAND[1])].sum(1)
    return np.asarray(band**_EXPONENT)


def offset_by_envelope(opening: NDArray[np.float64], envelope: NDArray[np.float64]) -> Offset:
    """The shift at which two tracks of one length agree best; confidence: that correlation less the median one."""
    n = len(opening)
    reach = min(MAX_LAG, n // 3)
    shifts = range(-reach, reach + 1)
    values = np.array(
        [_correlation(opening[max(-s, 0) : n - max(s, 0)], envelope[max(s, 0) : n + min(s, 0)]) for s in shifts]
    )
    best = int(values.argmax())
    return Offset(best - reach, float(values[best] - np.median(values)))


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-12 else 0.0


@cache
def _syncnet(path: str, device: str) -> SyncNet:
    return load_syncnet(Path(path)).to(device)


@dataclass(frozen=True)
class Sync:
    """By SyncNet where ``syncnet`` names its weights (``syncnet_hash`` their content), else by the substitute."""

    root: Path
    syncnet: str
    syncnet_hash: str
    device: str
    name: str = "sync"
    version: int = 2  # 1 joined sound across missing packets

    @property
    def gpu(self) -> bool:
        return bool(self.syncnet)

    def inputs(self, item: Item) -> list[Any]:
        return [item.keys["motion"], item.digest, self.syncnet_hash]

    def run(self, item: Item, store: Store) -> list[Result]:
        motion = load_file(store.file(item.keys["motion"], "safetensors"))
        frames = len(motion["pose"])
        if self.syncnet:
            found = self._by_syncnet(item, shift=0)
            rest = self._by_syncnet(item, found.frames)
            return [_result(found, rest, "sync_c", BY_SYNCNET)]
        opening = lip_drop(motion["expression"])
        found = offset_by_envelope(opening, voice_envelope(self._voice(item, 0), frames))
        rest = offset_by_envelope(opening, voice_envelope(self._voice(item, found.frames), frames))
        return [_result(found, rest, "sync_e", BY_ENVELOPE)]

    def _voice(self, item: Item, shift: int) -> NDArray[np.float32]:
        return shifted_voice(self.root, item, shift)

    def _by_syncnet(self, item: Item, shift: int) -> Offset:
        net = _syncnet(self.syncnet, self.device)
        pictures = (
            (frame.picture, frame.time)
            for frame in frames_between(self.root / item.entry.video, item.begin, item.end, item.facts["fps"])
        )
        frames, confidence = offset_by_syncnet(net, pictures, item.facts["crop"], item.frames, self._voice(item, shift))
        return Offset(frames, confidence)


def shifted_voice(root: Path, item: Item, shift: int) -> NDArray[np.float32]:
    """The sound of a clip that is ``shift`` frames late in its file, put right: 640 samples a frame."""
    begin = item.begin + shift * FRAME / SAMPLE_RATE
    voice = read_voice(root / item.facts["sound"], begin, begin + item.frames * FRAME / SAMPLE_RATE, item.facts["zero"])
    if len(voice) != item.frames * FRAME:
        raise UserError(f"{item.entry.video}: {len(voice)} samples for {item.frames} frames.")
    return voice


def _result(found: Offset, rest: Offset, confidence: str, by: str) -> Result:
    scores = {"sync_off": float(found.frames), "sync_rest": float(rest.frames), confidence: round(rest.confidence, 4)}
    return Result(scores=scores, facts={"sync_by": by})
