"""Some frames of one or several motions as one picture, drawn in seconds: look before the whole is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..face import FaceModel
from ..media.images import Bytes
from ..motion.plot import FONT, INK
from ..motion.takes import Take
from ..progress import Progress
from ..ranges import check_ranges, ranged
from ..values import Portrait
from .render import RenderOptions, render

_CAPTION = 24


@dataclass(frozen=True)
class SheetOptions:
    """``columns`` moments of each row, evenly spread; tiles of ``tile`` pixels."""

    columns: int = ranged(8, 1, 64)
    tile: int = ranged(256, 64, 1024, "pixels")

    def __post_init__(self) -> None:
        check_ranges(self)


def sheet_frames(frames: int, count: int) -> Tensor:
    """At most ``count`` frames in the middles of equal parts of a motion, (n,) int64, each once."""
    count = min(count, frames)
    return ((torch.arange(count, dtype=torch.float64) + 0.5) * frames / max(count, 1)).long()


def contact_sheet(
    face: FaceModel,
    portrait: Portrait,
    rows: Sequence[Take],
    options: SheetOptions | None = None,
    rendering: RenderOptions | None = None,
    progress: Progress | None = None,
) -> Bytes:
    """One row for each motion, captioned with its name and the seconds -> (H, W, 3) RGB.

    A single motion is laid out over several rows where it has more than four moments. Only the shown frames are drawn.
    Raises UserError where there is no motion, or one without frames.
    """
    options = options or SheetOptions()
    if not rows or any(not len(row.motion) for row in rows):
        raise UserError("There is no motion to show; please connect one that has frames.")
    tiles: list[list[Bytes]] = []
    total = sum(len(sheet_frames(len(row.motion), options.columns)) for row in rows)
    done = 0
    for row in rows:
        drawn = []
        for tile in _tiles(face, portrait, row, options, rendering):
            drawn.append(tile)
            done += 1
            if progress:
                progress(done, total)
        tiles.append(drawn)
    if len(tiles) == 1 and len(tiles[0]) > 4:
        across = -(-len(tiles[0]) // (-(-len(tiles[0]) // 4)))
        tiles = [tiles[0][at : at + across] for at in range(0, len(tiles[0]), across)]
    return _grid(tiles)


def _tiles(
    face: FaceModel, portrait: Portrait, row: Take, options: SheetOptions, rendering: RenderOptions | None
) -> Iterator[Bytes]:
    import cv2

    shown = sheet_frames(len(row.motion), options.columns)
    at = 0
    for batch in render(face, portrait, row.motion[shown], rendering):
        for picture in batch.cpu().numpy():
            small = cv2.resize(picture, (options.tile, options.tile), interpolation=cv2.INTER_AREA)
            seconds = f"{float(shown[at]) / row.motion.fps:.2f} s"
            yield _captioned(np.asarray(small, np.uint8), f"{row.name}  {seconds}" if row.name else seconds)
            at += 1


def _captioned(picture: Bytes, text: str) -> Bytes:
    import cv2

    bar: Bytes = np.full((_CAPTION, picture.shape[1], 3), 255, np.uint8)
    size = min(0.5, 0.5 * picture.shape[1] / max(1, cv2.getTextSize(text, FONT, 0.5, 1)[0][0] + 8))
    cv2.putText(bar, text, (4, 17), FONT, size, INK, 1, cv2.LINE_AA)
    return np.concatenate([picture, bar])


def _grid(tiles: list[list[Bytes]]) -> Bytes:
    """Rows of equally large tiles, shorter rows filled up with white."""
    across = max(map(len, tiles))
    empty = np.full_like(tiles[0][0], 255)
    return np.concatenate([np.concatenate([*row, *[empty] * (across - len(row))], 1) for row in tiles])
