"""Transparent pictures: laid on a background, and taken off it again for a video with alpha."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UserError, elided
from ..values import Transparency
from .input_files import Bytes, Floats

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)


def read_colour(text: str) -> Colour:
    """An sRGB colour in [0, 1]: a name, #rrggbb, or whatever CSS writes. Raises UserError for anything else."""
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text.strip())[:3]
    except ValueError:
        raise UserError(f"{elided(repr(text))} is no colour; please write a name such as white, or #00ff00.") from None
    return red / 255, green / 255, blue / 255


def lay_on(colours: Bytes, alpha: Floats, background: Colour) -> Bytes:
    """Composite ``colours`` (H, W, 3) on a colour, with ``alpha`` (H, W) in [0, 1]."""
    share = alpha[..., None]
    ground = np.asarray(background, np.float32) * 255
    return np.asarray(np.round(colours * share + ground * (1 - share)), np.uint8)


@dataclass(frozen=True)
class _Edge:
    """The pixels of an alpha (H, W) uint8 that show a background, as indices into H * W: ``partly`` (n,), opaque by
    ``share`` (n, 1) in (0, 1), and the ``clear`` ones (m,)."""

    partly: NDArray[np.intp]
    share: Floats
    clear: NDArray[np.intp]

    @staticmethod
    def of(alpha: Bytes) -> _Edge:
        flat = alpha.reshape(-1)
        partly = np.flatnonzero((flat > 0) & (flat < 255))
        return _Edge(partly, flat[partly, None].astype(np.float32) / np.float32(255), np.flatnonzero(flat == 0))

    def take_off(self, picture: Bytes, ground: Floats) -> None:
        """Remove ``ground`` (3,), in 0..255, from the colours of a contiguous ``picture`` (H, W, 4), in place."""
        flat = picture.reshape(-1, 4)
        colours = (flat[self.partly, :3] - (1 - self.share) * ground) / self.share
        flat[self.partly, :3] = np.clip(np.round(colours), 0, 255)
        flat[self.clear, :3] = np.round(ground)


def with_alpha(batches: Iterable[Tensor], transparency: Transparency) -> Iterator[Tensor]:
    """Pictures (n, H, W, 3) uint8 -> (n, H, W, 4) with straight alpha, that of ``transparency`` in every frame."""
    alpha = (transparency.alpha.numpy() * 255).round().astype(np.uint8)
    edge = _Edge.of(alpha)
    for batch in batches:
        yield _taken_off(batch, alpha, transparency.background, repeat(edge))


def taken_off(pictures: Tensor, alpha: Tensor, background: Colour) -> Tensor:
    """Pictures (n, H, W, 3) uint8 and their alpha (n, H, W) uint8 as (n, H, W, 4) with straight alpha.

    What the background added to partly transparent pixels is taken off again, so that they fit any other.
    """
    opacity = alpha.numpy()
    return _taken_off(pictures, opacity, background, map(_Edge.of, opacity))


def _taken_off(pictures: Tensor, alpha: Bytes, background: Colour, edges: Iterable[_Edge]) -> Tensor:
    """See :func:`taken_off`; ``alpha`` of every frame or of all, and the edge of each frame."""
    ground = np.asarray(background, np.float32) * 255
    made = np.empty((*pictures.shape[:3], 4), np.uint8)
    made[..., :3], made[..., 3] = pictures.numpy(), alpha
    for picture, edge in zip(made, edges, strict=False):
        edge.take_off(picture, ground)
    return torch.from_numpy(made)
