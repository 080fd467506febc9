"""SyncNet v2 in its published layout, and Sync-C and Sync-D as they are computed from it (docs/method.md 3.1).

Chung and Zisserman, "Out of time: automated lip sync in the wild" (ACCV workshops 2016). A window is 5 frames of a
face-track crop of 224 x 224 (BGR, 0..255) and the 20 steps of 13 MFCCs (10 ms each) over the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SIZE, FRAMES, STEPS, COEFFICIENTS, EMBEDDING = 224, 5, 20, 13, 1024
STEPS_PER_FRAME = STEPS // FRAMES
#: Largest offset that is tried, in frames, in both directions.
MAX_LAG = 15
BATCH = 20


def _block(conv: nn.Module, norm: nn.Module, pool: nn.Module | None = None) -> list[nn.Module]:
    return [conv, norm, nn.ReLU()] + ([pool] if pool is not None else [])


class SyncNet(nn.Module):
    """Audio and video encoders into one space of 1024 dimensions; names as in the published file."""

    def __init__(self) -> None:
        super().__init__()
        conv, norm, pool = nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d
        self.netcnnaud = nn.Sequential(
            *_block(conv(1, 64, 3, padding=1), norm(64), pool(1, 1)),
            *_block(conv(64, 192, 3, padding=1), norm(192), pool(3, (1, 2))),
            *_block(conv(192, 384, 3, padding=1), norm(384)),
            *_block(conv(384, 256, 3, padding=1), norm(256)),
            *_block(conv(256, 256, 3, padding=1), norm(256), pool(3, 2)),
            *_block(conv(256, 512, (5, 4)), norm(512)),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        conv3, norm3, pool3 = nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d
        small, half = (1, 3, 3), (1, 2, 2)
        self.netcnnlip = nn.Sequential(
            *_block(conv3(3, 96, (FRAMES, 7, 7), half), norm3(96), pool3(small, half)),
            *_block(conv3(96, 256, (1, 5, 5), half, (0, 1, 1)), norm3(256), pool3(small, half, (0, 1, 1))),
            *_block(conv3(256, 256, small, padding=(0, 1, 1)), norm3(256)),
            *_block(conv3(256, 256, small, padding=(0, 1, 1)), norm3(256)),
            *_block(conv3(256, 256, small, padding=(0, 1, 1)), norm3(256), pool3(small, half)),
            *_block(conv3(256, 512, (1, 6, 6)), norm3(512)),
        )

    def embed_frames(self, windows: Tensor) -> Tensor:
        """(N, 3, 5, 224, 224) BGR 0..255 -> (N, 1024)."""
        return self.netfclip(self.netcnnlip(windows).flatten(1))

    def embed_audio(self, windows: Tensor) -> Tensor:
        """(N, 1, 13, 20) MFCCs -> (N, 1024)."""
        return self.netfcaud(self.netcnnaud(windows).flatten(1))


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))


@dataclass(frozen=True)
class SyncScore:
    """``distance`` is Sync-D, ``confidence`` Sync-C; ``offset`` in frames, positive where the sound is late."""

    distance: float
    confidence: float
    offset: int


def sync_score(video: Tensor, audio: Tensor) -> SyncScore:
    """Score embeddings (T, D) of video and audio windows.

    For every offset within +-15 frames the distances of all windows are averaged (beyond the ends the sound is
    zeros, as published); the distance is the smallest of these means and the confidence their median less it.
    """
    padded = nn.functional.pad(audio, (0, 0, MAX_LAG, MAX_LAG))
    means = torch.stack(
        [nn.functional.pairwise_distance(video, padded[k : k + len(video)]).mean() for k in range(2 * MAX_LAG + 1)]
    )
    least, at = means.min(0)
    return SyncScore(float(least), float(means.median() - least), int(at) - MAX_LAG)


def mfcc(voice: NDArray[np.float32]) -> NDArray[np.float32]:
    """13 cepstral coefficients (13, T) every 10 ms of 16 kHz sound in units of 16 bits, as SyncNet was trained on.

    Windows of 25 ms without taper, pre-emphasis 0.97, 26 triangular bands up to 8 kHz, 512 points, orthonormal DCT,
    lifter 22, the first replaced by the logarithm of the energy.
    """
    from scipy.fft import dct

    signal = voice.astype(np.float64) * 32768.0
    signal = np.append(signal[0], signal[1:] - 0.97 * signal[:-1])
    count = 1 + max(0, -(-(len(signal) - 400) // 160))
    padded = np.pad(signal, (0, max(0, (count - 1) * 160 + 400 - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][:count]
    power = np.abs(np.fft.rfft(frames, 512)) ** 2 / 512
    floor = np.finfo(float).eps
    bands = np.log(np.maximum(power @ _mel_bands().T, floor))
    coefficients = dct(bands, type=2, axis=1, norm="ortho")[:, :13] * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
    coefficients[:, 0] = np.log(np.maximum(power.sum(1), floor))
    return coefficients.T.astype(np.float32)


def _mel_bands() -> NDArray[np.float64]:
    """(26, 257) triangles, even on the mel scale from 0 to 8 kHz."""
    mel = np.linspace(0.0, 2595 * np.log10(1 + 8000 / 700), 28)
    bins = np.floor(513 * 700 * (10 ** (mel / 2595) - 1) / 16000)
    at = np.arange(257)[None]
    low, middle, high = (bins[k : k + 26, None] for k in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        rise, fall = (at - low) / (middle - low), (high - at) / (high - middle)
    return np.where((at >= low) & (at < middle), rise, np.where((at >= middle) & (at < high), fall, 0.0))


@torch.inference_mode()
def embeddings(net: SyncNet, crops: Iterable[NDArray[np.uint8]], sound: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """Embed the crops (T, 224, 224, 3) RGB and the sound of a video at 25 fps: twice (T', 1024), T' at most T - 5.

    Raises ValueError for a video shorter than 6 frames.
    """
    device = next(net.parameters()).device
    steps = torch.from_numpy(mfcc(sound))
    video, audio = [], []
    for start, batch in _windows(crops, len(sound) // 640):
        steps_in = [
            steps[None, :, (start + k) * STEPS_PER_FRAME : (start + k) * STEPS_PER_FRAME + STEPS]
            for k in range(len(batch))
        ]
        count = sum(one.shape[-1] == STEPS for one in steps_in)
        if count:
            video.append(net.embed_frames(batch[:count].to(device)).cpu())
            audio.append(net.embed_audio(torch.stack(steps_in[:count]).to(device)).cpu())
    if not video:
        raise ValueError("A video of at least 6 frames with sound is needed.")
    return torch.cat(video), torch.cat(audio)


def _windows(crops: Iterable[NDArray[np.uint8]], frames: int) -> Iterator[tuple[int, Tensor]]:
    """Batches (start, (n, 3, 5, 224, 224)) of all windows of five frames but the last, as published."""
    held: list[Tensor] = []
    batch: list[Tensor] = []
    start = 0
    for index, crop in enumerate(crops):
        if index >= frames:
            break
        held.append(torch.from_numpy(crop[..., ::-1].copy()).permute(2, 0, 1).float())
        if len(held) > FRAMES:  # the window before this frame is complete and not the last
            batch.append(torch.stack(held[:FRAMES], 1))
            held = held[1:]
        if len(batch) == BATCH:
            yield start, torch.stack(batch)
            start, batch = start + len(batch), []
    if batch:
        yield start, torch.stack(batch)
