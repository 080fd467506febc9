"""A synthetic head becomes a picture: identity, scene, rig and pose in, RGB out (docs/method.md 4.1, Pixels)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .identity import Identity
from .parameters import record
from .rig import RIG
from .scene import Scene, background, make_scene

__all__ = ["Scene", "make_scene", "render"]


def render(
    identity: Identity,
    scene: Scene,
    rig: ArrayLike,
    rotation: ArrayLike,
    translation: ArrayLike,
    scale: float,
    size: int = 256,
) -> NDArray[np.uint8]:
    """One frame, (size, size, 3) uint8 sRGB; the same arguments give the same bytes.

    ``rig`` (16,); ``rotation`` (3,) pitch, yaw, roll in degrees; ``translation`` (3,), of which z is ignored; ``scale``
    as in Eq. 1, so that features fall where ``geometry.place`` puts their keypoints.
    Raises ValueError on a wrong shape.
    """
    from .shading import BLOCK, shade_hits, smooth_edges, starts

    values = np.asarray(rig, np.float64)
    angles, shift = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
    if values.shape != (len(RIG),) or angles.shape != (3,) or shift.shape != (3,):
        raise ValueError(
            f"render needs rig (16,), rotation (3,) and translation (3,), "
            f"got {values.shape}, {angles.shape} and {shift.shape}."
        )
    parameters = record(identity, scene.light, values, angles)
    empty = background(scene, size)
    picture = empty.copy()
    depth, kinds = np.empty((size, size), np.float32), np.empty((size, size), np.int8)
    tx, ty, s = float(shift[0]), float(shift[1]), float(scale)
    begin = np.empty((-(-size // BLOCK),) * 2, np.float32)
    starts(begin, size, tx, ty, s, parameters)
    shade_hits(picture, begin, depth, kinds, tx, ty, s, parameters)
    smooth_edges(picture, empty, begin, depth, kinds, tx, ty, s, parameters)
    return (np.sqrt(np.clip(picture, 0.0, 1.0)) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
