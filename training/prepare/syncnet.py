"""The offset between lips and speech by SyncNet, for weights that the user has (docs/method.md 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from playmate_core.detection.crop import Square, crop_to_image, cut
from playmate_core.errors import UserError
from playmate_core.media.images import Bytes
from training.syncnet import FRAMES, SIZE, SyncNet, embeddings, sync_score

#: SyncNet's crop is 1.4 face boxes wide and reaches from the top of the box to 0.4 boxes below the chin; ours is 2.2
#: boxes wide, and its centre is 0.1 of its side above the face.
_SCALE, _SHIFT_DOWN = 1.4 / 2.2, 0.19


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


def offset_by_syncnet(
    net: SyncNet, pictures: Iterable[tuple[Bytes, float]], crop: list[float], frames: int, voice: NDArray[np.float32]
) -> tuple[int, float]:
    """Delay of ``voice`` in frames, and the confidence (Sync-C).

    ``pictures`` are frames with their times in seconds; ``crop`` is the clip's square (x, y, side). Raises UserError
    for fewer frames than SyncNet compares.
    """
    try:
        score = sync_score(*embeddings(net, _crops(pictures, crop, frames), voice))
    except ValueError as problem:
        raise UserError(f"SyncNet compares at least {FRAMES + 1} frames, got {frames}.") from problem
    return score.offset, score.confidence


def _crops(pictures: Iterable[tuple[Bytes, float]], crop: list[float], frames: int) -> Iterator[Bytes]:
    """SyncNet's crop (SIZE, SIZE, 3) of the picture shown at each of ``frames`` frames at 25 fps."""
    x, y, side = crop
    affine = crop_to_image(Square(x, y + side * _SHIFT_DOWN, side * _SCALE), SIZE)
    cropped, times = [], []
    for picture, time in pictures:
        cropped.append(cut(torch.from_numpy(picture), affine, SIZE).numpy())
        times.append(time)
    shown = np.searchsorted(times, np.arange(frames) / 25 + 1e-6, side="right") - 1
    for index in np.clip(shown, 0, len(cropped) - 1):
        yield cropped[index]
