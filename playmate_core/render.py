"""From motion to pixels: batches of frames, one at a time, never a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .crop import Paster
from .face import FaceModel
from .geometry import place_motion
from .pictures import to_bytes
from .portrait import move_to, to_pictures
from .values import Motion, Portrait

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RenderOptions:
    """``expression`` "absolute" takes the motion's as it is; "relative" adds its change since its first frame to the
    portrait's own, so that the first frame shows the face of the picture. ``stitching`` where the weights have it.
    """

    expression: Literal["absolute", "relative"] = "absolute"
    stitching: bool = True
    batch: int = 8

    def __post_init__(self) -> None:
        if self.expression not in ("absolute", "relative"):
            raise ValueError(f"expression must be absolute or relative, got {self.expression!r}.")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}.")


def render(
    face: FaceModel,
    portrait: Portrait,
    motion: Motion,
    options: RenderOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """Yield the face crop under every frame of ``motion``: uint8 (n, S, S, 3), n at most ``options.batch``.

    I = G(W(F(I_s), x_s, x_d)) with x of Eq. 1 for the picture and for each frame. ``progress`` is told the frames done
    and their number after each batch; raising in it cancels. What is drawn does not depend on the batch size.
    """
    for images in draw(face, portrait, motion, options, progress):
        yield to_bytes(images)


def draw(
    face: FaceModel,
    portrait: Portrait,
    motion: Motion,
    options: RenderOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """As :func:`render`, but float32 in [0, 1]."""
    options = options or RenderOptions()
    if options.expression == "relative":
        motion = relative_to_rest(portrait, motion)
    x_s, x_d = driving_keypoints(face, portrait, motion, options)
    yield from draw_keypoints(face, portrait, x_s, x_d, options.batch, progress)


def draw_keypoints(
    face: FaceModel, portrait: Portrait, x_s: Tensor, x_d: Tensor, batch: int = 8, progress: Progress | None = None
) -> Iterator[Tensor]:
    """Yield the face crop under seen keypoints ``x_d`` (T, K, 3), ``x_s`` (1, K, 3) the picture's: as :func:`draw`."""
    volume = move_to(face, portrait.appearance[None])
    for start in range(0, len(x_d), batch):
        with torch.inference_mode():
            drawn = face.draw(volume, move_to(face, x_s), move_to(face, x_d[start : start + batch]))
        yield to_pictures(drawn.clamp(0, 1))
        if progress:
            progress(min(start + batch, len(x_d)), len(x_d))


def driving_keypoints(
    face: FaceModel, portrait: Portrait, motion: Motion, options: RenderOptions
) -> tuple[Tensor, Tensor]:
    """Seen keypoints of the picture (1, K, 3) and of every frame (T, K, 3), stitched where asked and possible."""
    x_s = place_motion(portrait.keypoints, portrait.rest)
    x_d = place_motion(portrait.keypoints, motion)
    if face.stitching is None or not options.stitching:
        return x_s, x_d
    with torch.inference_mode():
        stitched = face.stitching(move_to(face, x_s.expand_as(x_d)), move_to(face, x_d))
    return x_s, stitched.to("cpu", torch.float32, copy=True)


def relative_to_rest(portrait: Portrait, motion: Motion, neutral: Motion | None = None) -> Motion:
    """``motion`` with the expression rest + (motion - neutral); ``neutral`` is one frame, the first if not given."""
    start = motion.expression[:1] if neutral is None else neutral.expression
    return replace(motion, expression=portrait.rest.expression + motion.expression - start)


def paste_back(
    portrait: Portrait, batches: Iterable[Tensor], mask: NDArray[np.uint8] | None = None
) -> Iterator[Tensor]:
    """Put batches of crops (n, S, S, 3) uint8 back into the whole picture: uint8 (n, H, W, 3), a batch at a time.

    ``mask`` (S, S) says where; the crop without its border if not given. See :func:`crop.crop_mask`.
    """
    paster = Paster(to_bytes(portrait.image), portrait.crop_to_image, portrait.crop_size, mask)
    for frames in batches:
        yield paster.paste(frames)
