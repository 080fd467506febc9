"""The alpha of a transparent portrait whose head moves.

The portrait is drawn a second time as it lies on another background. Where the two drawings of a frame differ, a
background shows through; where they are alike, the person is opaque (triangulation matting, Smith and Blinn 1996, with
the face model in the camera's place).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import tee

import torch
from torch import Tensor

from ..detection.crop import cut_plane
from ..face import FaceModel
from ..geometry import place_motion
from ..media.images import from_bytes, to_bytes
from ..media.transparency import lay_on, taken_off, with_alpha
from ..values import Portrait, Transparency
from .fallback import FallbackRenderer
from .portrait import appearance_of
from .render import paste_back, render_keypoints

log = logging.getLogger(__name__)

#: What is drawn as clear and as opaque: a head that turns uncovers places that no picture shows, which the face model
#: fills in part with background. Chosen by eye on the bundled portrait, turned up to 20 degrees.
CLEAR, OPAQUE = 0.08, 0.7
#: Largest mean difference from the picture's own alpha while nothing moves; a face model that draws worse is not asked.
MOST_WRONG = 0.05


@dataclass(frozen=True)
class MovingAlpha:
    """``portrait`` as it lies on another background; ``weights`` (3,) take the difference of two drawings, in 0..255,
    to the share of background that shows."""

    portrait: Portrait
    weights: Tensor

    def with_matte(self, crops: Iterable[Tensor], others: Iterable[Tensor]) -> Iterator[Tensor]:
        """Drawings (n, S, S, 3) uint8 on both backgrounds -> (n, S, S, 4): the first and its alpha."""
        single = (frame for batch in others for frame in batch)
        for batch in crops:
            through = (torch.stack([next(single) for _ in batch]).float() - batch.float()) @ self.weights
            opaque = ((1.0 - through - CLEAR) / (OPAQUE - CLEAR)).clamp(0.0, 1.0)
            yield torch.cat([batch.cpu(), to_bytes(opaque)[..., None].cpu()], -1)


def moving_alpha(face: FaceModel, portrait: Portrait) -> MovingAlpha | None:
    """How the alpha of a transparent portrait is drawn; None for one that ``face`` draws too badly for that, or that is
    opaque, and whose alpha stays as it is."""
    transparency = portrait.transparency
    if transparency is None:
        return None
    ground = torch.tensor(transparency.background)
    other = (ground < 0.5).float()
    (own,) = with_alpha([to_bytes(portrait.image)[None]], transparency)
    red, green, blue = other.tolist()
    laid = from_bytes(lay_on(own[0, ..., :3].numpy(), transparency.alpha.numpy(), (red, green, blue)))
    moved = replace(portrait, image=laid, appearance=appearance_of(face, laid, portrait))
    way = (other - ground) * 255.0
    made = MovingAlpha(moved, way / way.square().sum())
    wrong = _error_at_rest(face, portrait, made, transparency)
    if wrong > MOST_WRONG:
        log.info("The alpha stays still: drawn, it is %.3f from the picture's.", wrong)
        return None
    return made


def finished(
    crops: Iterator[Tensor], portrait: Portrait, transparency: Transparency, pasted: bool, mask: object
) -> Iterator[Tensor]:
    """Crops with alpha (n, S, S, 4), put into the whole picture where ``pasted``, with what their background added
    taken off."""
    plate = replace(portrait, image=transparency.alpha[..., None].expand(-1, -1, 3).contiguous())
    first, second = tee(crops)
    colours = (batch[..., :3].contiguous() for batch in first)
    mattes = (batch[..., 3:].expand(-1, -1, -1, 3).contiguous() for batch in second)
    if pasted:
        colours, mattes = paste_back(portrait, colours, mask), paste_back(plate, mattes, mask)  # type: ignore[arg-type, assignment]
    for pictures, alpha in zip(colours, mattes, strict=True):
        yield taken_off(pictures, alpha[..., 0], transparency.background)


def _error_at_rest(face: FaceModel, portrait: Portrait, made: MovingAlpha, transparency: Transparency) -> float:
    x = place_motion(portrait.keypoints, portrait.rest)
    drawn = [
        render_keypoints(FallbackRenderer(face, 1), one, x, lambda start, stop: x, slice(0, 1))
        for one in (portrait, made.portrait)
    ]
    (crop,) = made.with_matte(*drawn)
    own = cut_plane(transparency.alpha, portrait.crop_to_image, portrait.crop_size)
    return float((from_bytes(crop)[0, ..., 3] - own).abs().mean())
