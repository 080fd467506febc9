"""The picture of a portrait with its transparency, and what of a frame shows: shared by talk and animate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..detection.ditto_pictures import limited_picture
from ..detection.paste_mask import crop_mask
from ..detection.paste_options import PasteOptions
from ..errors import UserError
from ..media.images import read_picture, read_shown_picture, read_transparent_picture
from ..media.transparency import read_colour
from ..media.video_formats import format_of
from ..media.video_options import VideoOptions
from ..rendering.write_video import Composition
from ..values import Portrait, Transparency


def read_portrait_picture(
    path: Path, longest: int | None, background: str, paste: PasteOptions
) -> tuple[Tensor, Transparency | None]:
    """A picture laid on ``background``, and its transparency; of at most ``longest`` pixels where all of it will be
    shown, None where only the crop will. Pasting as Ditto does limits it to Ditto's size too."""
    colour = read_colour(background)
    if longest is None:
        return read_transparent_picture(path, background=colour)
    picture, transparency = read_shown_picture(path, longest, colour)
    if paste.shape == "ditto":
        picture = limited_picture(picture)
        if transparency is not None:
            alpha = limited_picture(transparency.alpha[..., None])[..., 0].contiguous()
            transparency = replace(transparency, alpha=alpha)
    return picture.contiguous(), transparency


def composition_of(
    portrait: Portrait, pasted: bool, mask: Path | None, paste: PasteOptions, output: Path, encoding: VideoOptions
) -> Composition:
    """What a frame of ``portrait`` shows in the video ``output``. Raises UserError for a mask of another size, and for
    alpha that must be kept where there is none."""
    alpha = encoding.keeps_alpha(format_of(output, encoding.codec), portrait.transparency is not None)
    weights = None
    if pasted and mask is not None:
        weights = read_mask(mask, portrait, paste)
    elif pasted and paste != PasteOptions():
        weights = paste.border(portrait.crop_size)
    return Composition(pasted, weights, alpha)


def read_mask(path: Path, portrait: Portrait, paste: PasteOptions) -> NDArray[np.uint8]:
    """Read a mask as large as the portrait -> mask of its crop, (S, S) uint8. Raises UserError for another size."""
    height, width = portrait.image.shape[:2]
    mask = read_picture(path, max(height, width)).mean(-1)
    if mask.shape != (height, width):
        rows, columns = mask.shape
        raise UserError(f"The mask is {columns} x {rows} and the portrait {width} x {height}; please make them alike.")
    return shown_mask(mask, portrait, paste)


def shown_mask(mask: Tensor, portrait: Portrait, paste: PasteOptions) -> NDArray[np.uint8]:
    """A mask (H, W) in [0, 1] of the portrait's picture as one of its crop. Raises UserError where nothing shows."""
    weights = crop_mask(mask, portrait.crop_to_image, portrait.crop_size, paste)
    if not weights.any():
        raise UserError("The mask is black all over the face crop, so that nothing would show; please give another.")
    return weights
