"""SyncNet v2 (Chung and Zisserman 2016), for weights that a user has: which offset between lips and voice is nearest.

Published definition (docs/method.md 3.1): five frames of 224 pixels, BGR 0..255, against 20 steps of 13 MFCCs;
distances at offsets of up to 15 frames, averaged over time; the confidence is their median less their minimum.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from playmate_core.detection.crop import Square, crop_to_image, cut
from playmate_core.errors import UserError
from playmate_core.media.images import Bytes

SIZE, REACH, CONTEXT, STEPS_PER_FRAME = 224, 15, 5, 4
#: SyncNet's crop is 1.4 face boxes wide and reaches from a box's top 0.4 below its chin; ours is 2.2 wide and lies 0.1
#: of its side higher than the face.
_TIGHTER, _LOWER = 1.4 / 2.2, 0.19
_BATCH = 20


class SyncNet(nn.Module):
    """Two towers into one space of 1024 numbers; names as in the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2(1, 64, 3, 1), nn.MaxPool2d(1, 1),
            *_conv2(64, 192, 3, 1), nn.MaxPool2d(3, (1, 2)),
            *_conv2(192, 384, 3, 1), *_conv2(384, 256, 3, 1), *_conv2(256, 256, 3, 1), nn.MaxPool2d(3, 2),
            *_conv2(256, 512, (5, 4), 0),
        )  # fmt: skip
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_conv3(3, 96, (5, 7, 7), (1, 2, 2), 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_conv3(256, 256, (1, 3, 3), 1, (0, 1, 1)), *_conv3(256, 256, (1, 3, 3), 1, (0, 1, 1)),
            *_conv3(256, 256, (1, 3, 3), 1, (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3(256, 512, (1, 6, 6), 1, 0),
        )  # fmt: skip

    def hear(self, mfcc: Tensor) -> Tensor:
        """(B, 1, 13, 20) -> (B, 1024)."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def look(self, frames: Tensor) -> Tensor:
        """(B, 3, 5, 224, 224) BGR 0..255 -> (B, 1024)."""
        return self.netfclip(self.netcnnlip(frames).flatten(1))


def _conv2(inputs: int, outputs: int, kernel: int | tuple[int, int], padding: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU()


def _conv3(
    inputs: int, outputs: int, kernel: tuple[int, int, int], stride: object, padding: object
) -> tuple[nn.Module, ...]:
    conv = nn.Conv3d(inputs, outputs, kernel, stride=stride, padding=padding)  # type: ignore[arg-type]
    return conv, nn.BatchNorm3d(outputs), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


def load_syncnet(path: Path) -> SyncNet:
    """The published ``syncnet_v2.model``, read without unpickling code. Raises UserError for any other file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(
            f"There is no file at {path}; give SyncNet's syncnet_v2.model to --syncnet, or leave it out."
        ) from None
    except Exception as problem:  # torch has its own kinds for every sort of bad file
        raise UserError(
            f"{path} is not SyncNet's syncnet_v2.model ({type(problem).__name__}); please fetch it again."
        ) from problem
    with torch.device("meta"):
        net = SyncNet()
    own = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in dict(state).items()}
    optional = {name for name in own if name.endswith("num_batches_tracked")}  # files of old versions lack them
    if wrong := sorted(
        name for name in own.keys() | given.keys() if own.get(name) != given.get(name) and name not in optional
    ):
        raise UserError(f"{path} is not SyncNet's syncnet_v2.model: {wrong[0]} does not fit; please fetch it again.")
    state = {**{name: torch.zeros((), dtype=torch.long) for name in optional}, **state}
    net.load_state_dict(state, strict=True, assign=True)
    return net.train(False).requires_grad_(False)


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


def offset_by_syncnet(
    net: SyncNet, pictures: Iterable[tuple[Bytes, float]], crop: list[float], frames: int, voice: NDArray[np.float32]
) -> tuple[int, float]:
    """By how many frames ``voice`` is late, and how sure that is. ``pictures`` come with their seconds; ``crop`` is
    the clip's square. Raises UserError for fewer frames than SyncNet compares."""
    x, y, side = crop
    affine = crop_to_image(Square(x, y + side * _LOWER, side * _TIGHTER), SIZE)
    seen, times = [], []
    for picture, time in pictures:
        seen.append(cut(torch.from_numpy(np.ascontiguousarray(picture[..., ::-1])), affine, SIZE))
        times.append(time)
    nearest = np.clip(np.searchsorted(times, np.arange(frames) / 25 + 1e-6, side="right") - 1, 0, len(seen) - 1)
    sound = torch.from_numpy(mfcc(voice))
    last = min(frames, sound.shape[1] // STEPS_PER_FRAME) - CONTEXT
    if last < 1:
        raise UserError(f"SyncNet compares at least {CONTEXT + 1} frames, got {frames}.")
    device = next(net.parameters()).device
    looked, heard = [], []
    with torch.inference_mode():
        for start in range(0, last, _BATCH):
            group = range(start, min(start + _BATCH, last))
            clips = torch.stack([torch.stack([seen[nearest[i + k]] for k in range(CONTEXT)]) for i in group])
            steps = torch.stack([sound[None, :, STEPS_PER_FRAME * i : STEPS_PER_FRAME * i + 20] for i in group])
            looked.append(net.look(clips.permute(0, 4, 1, 2, 3).float().to(device)).cpu())
            heard.append(net.hear(steps.to(device)).cpu())
    return best_offset(torch.cat(looked), torch.cat(heard))


def best_offset(looked: Tensor, heard: Tensor) -> tuple[int, float]:
    """The offset of least mean distance between features (T, D) of what is seen and heard: frames late, confidence."""
    padded = torch.nn.functional.pad(heard, (0, 0, REACH, REACH))
    distances = torch.stack(
        [(looked - padded[k : k + len(looked)] + 1e-6).norm(dim=1).mean() for k in range(2 * REACH + 1)]
    )
    best = int(distances.argmin())
    return best - REACH, float(distances.median() - distances[best])
