"""Render motion to pixels, batch by batch, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..detection.crop import Paster
from ..face import FaceModel
from ..face.fast import PROFILES
from ..geometry import place_motion
from ..keypoint_space import adapt_motion
from ..media.images import to_bytes
from ..motion.lips_and_lids import limit_lid_closing
from ..progress import Progress
from ..ranges import check_ranges, ranged
from ..values import Motion, Portrait
from .fallback import FallbackRenderer
from .portrait import exact_to, move_to, to_shown

#: Frames whose keypoints are computed at once, so that memory does not grow with the clip.
KEYPOINTS_AT_ONCE = 2048
#: Computes image keypoints (n, K, 3) of the frames from ``start`` up to ``stop``.
Keypoints = Callable[[int, int], Tensor]
#: Converts a network's pictures (n, 3, S, S) to output frames.
ConvertPictures = Callable[[Tensor], Tensor]


EXPRESSIONS = ("auto", "absolute", "relative")


@dataclass(frozen=True)
class RenderOptions:
    """``expression`` "absolute" takes the motion's as it is; "relative" adds its change since its first frame to the
    portrait's own, so that the first frame shows the face of the picture; "auto" is absolute, and relative for a face
    that the networks hardly know, whose own expression they read wrongly. ``stitching`` where the weights have it.
    """

    expression: Literal["auto", "absolute", "relative"] = "auto"
    stitching: bool = True
    batch: int = ranged(8, 1, 1024, "frames")
    #: How W and G are arranged, "auto" or one of :data:`face.fast.PROFILES`; only "half" rounds the pictures.
    profile: str = "auto"

    def __post_init__(self) -> None:
        if self.expression not in EXPRESSIONS:
            raise ValueError(f"expression must be one of {', '.join(EXPRESSIONS)}, got {self.expression!r}.")
        if self.profile not in ("auto", *PROFILES):
            raise ValueError(f"profile must be auto or one of {', '.join(PROFILES)}, got {self.profile!r}.")
        check_ranges(self)

    def expressed(self, portrait: Portrait, motion: Motion) -> Motion:
        """The whole ``motion`` with the expressions that ``portrait`` is drawn under."""
        chosen = self.expression
        if chosen == "auto":
            chosen = "absolute" if portrait.familiar else "relative"
        if chosen == "absolute":
            return motion
        relative = relative_to_rest(portrait, motion)
        return relative if portrait.familiar else limit_lid_closing(relative, motion)


def render(
    face: FaceModel,
    portrait: Portrait,
    motion: Motion,
    options: RenderOptions | None = None,
    progress: Progress | None = None,
    renderer: FallbackRenderer | None = None,
) -> Generator[Tensor, None, None]:
    """Yield the face crop under every frame of ``motion``: uint8 (n, S, S, 3), n at most ``options.batch``.

    I = G(W(F(I_s), x_s, x_d)) with x of Eq. 1 for the picture and for each frame. ``progress(frames done, total)`` is
    called after each batch; raising in it cancels. The output does not depend on the batch size. A ``renderer`` for
    ``face`` can be reused to keep its reduced batch size.
    """
    options = options or RenderOptions()
    renderer = renderer or FallbackRenderer(face, options.batch, options.profile)
    motion = adapt_motion(motion, portrait.rest)
    motion = options.expressed(portrait, motion)
    x_s = place_motion(portrait.keypoints, portrait.rest)

    def x_d(start: int, stop: int) -> Tensor:
        return driving_keypoints(face, portrait, motion[start:stop], options)[1]

    yield from render_keypoints(renderer, portrait, x_s, x_d, slice(0, len(motion)), progress)


def offset_progress(progress: Progress | None, start: int, total: int) -> Progress | None:
    """``progress`` for a part that begins at frame ``start`` of ``total``."""
    return progress and (lambda done, _stretch: progress(start + done, total))


def render_keypoints(
    renderer: FallbackRenderer,
    portrait: Portrait,
    x_s: Tensor,
    x_d: Keypoints,
    frames: slice,
    progress: Progress | None = None,
    convert: ConvertPictures = to_shown,
) -> Iterator[Tensor]:
    """As :func:`render`, for image keypoints: ``x_d`` computes those of ``frames``, ``x_s`` (1, K, 3) are the
    picture's."""
    batch_renderer = BatchRenderer(renderer, portrait.appearance, convert)
    for start in range(frames.start, frames.stop, KEYPOINTS_AT_ONCE):
        stretch = x_d(start, min(start + KEYPOINTS_AT_ONCE, frames.stop))
        yield from batch_renderer.show(
            x_s, stretch, offset_progress(progress, start - frames.start, frames.stop - frames.start)
        )


class BatchRenderer:
    """Renders one portrait batch by batch, with the fallbacks of :class:`fallback.FallbackRenderer`."""

    def __init__(self, renderer: FallbackRenderer, appearance: Tensor, convert: ConvertPictures) -> None:
        self._renderer, self._appearance, self._convert = renderer, appearance, convert

    def show(self, x_s: Tensor, x_d: Tensor, progress: Progress | None = None) -> Iterator[Tensor]:
        """x_s (1, K, 3), x_d (T, K, 3) -> batches of output frames (n, S, S, 3), n at most the batch size."""
        done = 0
        while done < len(x_d):
            batch = x_d[done : done + self._renderer.batch]
            pictures = self._renderer.draw(partial(_drawn, self._appearance, x_s, batch), len(batch))
            if pictures is None:
                continue
            yield self._convert(pictures)
            done += len(pictures)
            if progress:
                progress(done, len(x_d))


def _drawn(appearance: Tensor, x_s: Tensor, x_d: Tensor, face: FaceModel) -> Tensor:
    return face.draw(move_to(face, appearance[None]), exact_to(face, x_s), exact_to(face, x_d))


def driving_keypoints(
    face: FaceModel, portrait: Portrait, motion: Motion, options: RenderOptions
) -> tuple[Tensor, Tensor]:
    """Image keypoints of the picture (1, K, 3) and of every frame (T, K, 3), stitched if enabled and available."""
    x_s = place_motion(portrait.keypoints, portrait.rest)
    x_d = place_motion(portrait.keypoints, motion)
    if face.stitching is None or not options.stitching:
        return x_s, x_d
    with torch.inference_mode():
        stitched = face.stitching(exact_to(face, x_s.expand_as(x_d)), exact_to(face, x_d))
    return x_s, stitched.to("cpu", torch.float32, copy=True)


def relative_to_rest(portrait: Portrait, motion: Motion, neutral: Motion | None = None) -> Motion:
    """``motion`` with the expression rest + (motion - neutral); ``neutral`` is one frame, the first if not given."""
    start = motion.expression[:1] if neutral is None else neutral.expression
    return replace(motion, expression=portrait.rest.expression + motion.expression - start)


def paste_back(
    portrait: Portrait, batches: Iterable[Tensor], mask: NDArray[np.uint8] | None = None
) -> Iterator[Tensor]:
    """Paste batches of crops (n, S, S, 3) uint8 into the whole picture: uint8 (n, H, W, 3), batch by batch.

    ``mask`` (S, S) are the blend weights, by default a feathered crop. See :func:`crop.crop_mask`.
    """
    paster = _paster(portrait, mask)
    for frames in batches:
        yield paster.paste(frames)


def pasted_weights(portrait: Portrait, mask: NDArray[np.uint8] | None = None) -> Tensor:
    """The weights (H, W) in [0, 1] that :func:`paste_back` blends with: 1 where only the crop is seen."""
    return _paster(portrait, mask).weights()


def _paster(portrait: Portrait, mask: NDArray[np.uint8] | None) -> Paster:
    return Paster(to_bytes(portrait.image), portrait.crop_to_image, portrait.crop_size, mask)
