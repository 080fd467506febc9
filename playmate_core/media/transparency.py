"""Transparent pictures: laid on a background, and taken off it again for a video with alpha."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
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


def with_alpha(batches: Iterable[Tensor], transparency: Transparency) -> Iterator[Tensor]:
    """Pictures (n, H, W, 3) uint8 -> (n, H, W, 4) with straight alpha, that of ``transparency`` in every frame."""
    alpha = torch.from_numpy((transparency.alpha.numpy() * 255).round().astype(np.uint8))
    for batch in batches:
        yield taken_off(batch, alpha.expand(batch.shape[:3]), transparency.background)


def taken_off(pictures: Tensor, alpha: Tensor, background: Colour) -> Tensor:
    """Pictures (n, H, W, 3) uint8 and their alpha (n, H, W) uint8 as (n, H, W, 4) with straight alpha.

    What the background added to partly transparent pixels is taken off again, so that they fit any other.
    """
    ground = np.asarray(background, np.float32) * 255
    made = np.empty((*pictures.shape[:3], 4), np.uint8)
    made[..., :3], made[..., 3] = pictures.numpy(), alpha.numpy()
    for picture in made:
        opacity = picture[..., 3]
        edge = (opacity > 0) & (opacity < 255)
        share = opacity[edge][:, None].astype(np.float32) / 255
        colours = (picture[edge, :3] - (1 - share) * ground) / share
        picture[edge, :3] = np.clip(np.round(colours), 0, 255)
        picture[opacity == 0, :3] = np.round(ground)
    return torch.from_numpy(made)
