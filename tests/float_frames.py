"""Frames of a portrait before they are rounded to bytes, for comparisons finer than a level."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.geometry import place_motion
from playmate_core.keypoint_space import adapt_motion
from playmate_core.rendering.fallback import FallbackRenderer
from playmate_core.rendering.portrait import to_pictures
from playmate_core.rendering.render import RenderOptions, driving_keypoints, render_keypoints
from playmate_core.values import Motion, Portrait


def render_float(
    face: FaceModel, portrait: Portrait, motion: Motion, options: RenderOptions | None = None
) -> Iterator[Tensor]:
    """As :func:`playmate_core.rendering.render.render`, but float32 in [0, 1]."""
    options = options or RenderOptions()
    motion = options.expressed(portrait, adapt_motion(motion, portrait.rest))
    x_s = place_motion(portrait.keypoints, portrait.rest)

    def x_d(start: int, stop: int) -> Tensor:
        return driving_keypoints(face, portrait, motion[start:stop], options)[1]

    renderer = FallbackRenderer(face, options.batch, options.profile)
    yield from render_keypoints(renderer, portrait, x_s, x_d, slice(0, len(motion)), convert=_clamped)


def _clamped(images: Tensor) -> Tensor:
    """Pictures (n, 3, S, S) of a network -> (n, S, S, 3) in [0, 1] on the CPU."""
    return to_pictures(images.clamp(0, 1))
