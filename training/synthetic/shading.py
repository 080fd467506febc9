"""Light on the solid head, and the loop over pixels (numba; docs/method.md 4.1, Pixels)."""

from __future__ import annotations

from math import sin, sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .paint import RGB, brow, complexion, eye, mouth, over, step
from .surface import CAP, EAR, HAIR, NECK, SKIN, TORSO, bump, one, solid, trace

#: The march begins here and ends at 0.62: nothing of head or shoulders lies nearer.
START = -0.66
#: Side of the tiles that share one safe start, in pixels.
BLOCK = 8


@njit(cache=True, fastmath=True)
def normal(x: float, y: float, z: float, kind: int, p: Any) -> tuple[float, float, float, float]:
    """Unit normal by a tetrahedron of samples, and the exposure to open space in 0..1."""
    e = 0.004
    a, b = one(x + e, y - e, z - e, kind, p), one(x - e, y - e, z + e, kind, p)
    c, d = one(x - e, y + e, z - e, kind, p), one(x + e, y + e, z + e, kind, p)
    nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
    length = sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    nx, ny, nz = nx / length, ny / length, nz / length
    reach = 0.07
    open_ = solid(x + nx * reach, y + ny * reach, z + nz * reach, p)[0] / reach
    return nx, ny, nz, min(max(open_, 0.0), 1.0)


@njit(cache=True, fastmath=True)
def skin(u: float, v: float, w: float, px: float, p: Any) -> tuple[RGB, float, float]:
    """Painted skin -> colour, share that shines, share that light leaves alone (eye, mouth interior)."""
    c = complexion(u, v, w, p)
    if w > -0.06:
        return c, 0.0, 0.0
    c, lip, dark = mouth(c, u, v, px, p.m20 / p.m22, p.m21 / p.m22, p)
    c, wet = eye(c, u, v, px, p)
    c = brow(c, u, v, px, p)
    return c, lip, max(dark, wet)


@njit(cache=True, fastmath=True)
def glasses(c: RGB, u: float, v: float, w: float, px: float, p: Any) -> RGB:
    """Round frames in a plane before the eyes, seen with their true parallax; arms along the temples."""
    plane = p.bridge_w - 0.035
    slope = (w - plane) / max(p.m22, 0.3)
    if slope > 0.0:
        gu, gv = u - p.m20 * slope, v - p.m21 * slope
        side = abs(gu)
        r = sqrt((side - p.eye_x) ** 2 + (gv - p.eye_y) ** 2)
        frame = step(0.0075 - abs(r - 0.098), px)
        bridge = step(0.006 - abs(gv - p.eye_y + 0.015 + 1.5 * gu * gu), px) * step(p.eye_x - 0.096 - side, px)
        c = over(c, 0.02, 0.02, 0.03, 0.95 * max(frame, bridge))
    arm = step(0.007 - abs(v - p.eye_y), px) * step(abs(u) - p.eye_x - 0.09, px) * step(0.02 - w, 0.02)
    return over(c, 0.02, 0.02, 0.03, 0.9 * arm)


@njit(cache=True, fastmath=True)
def strands(u: float, v: float, w: float, p: Any) -> RGB:
    """Hair, with broad soft locks; or the cap, with its brim a little darker."""
    if p.style == CAP:
        k = 0.72 if v > -0.235 else 1.0
        if abs(v + 0.215) < 0.012 and w < -0.2:
            k = 0.6
        return p.hair_r * k, p.hair_g * k, p.hair_b * k
    k = 1.0 + 0.10 * sin(34.0 * u + 14.0 * v + 5.0 * w) + 0.06 * sin(61.0 * u - 23.0 * w)
    return p.hair_r * k, p.hair_g * k, p.hair_b * k


@njit(cache=True, fastmath=True)
def shade(x: float, y: float, z: float, kind: int, px: float, p: Any) -> RGB:
    """Linear colour of a hit."""
    nx, ny, nz, exposure = normal(x, y, z, kind, p)
    u = x * p.m00 + y * p.m10 + z * p.m20
    v = x * p.m01 + y * p.m11 + z * p.m21
    w = x * p.m02 + y * p.m12 + z * p.m22
    gloss, plain, flesh = 0.0, 0.0, 1.0
    if kind == HAIR:
        c = strands(u, v, w, p)
        gloss, flesh = 0.35, 0.0
    elif kind == TORSO:
        c = (p.clothes_r, p.clothes_g, p.clothes_b)
        rib = sqrt(x * x + (z - 0.10) ** 2)
        c = over(c, 0.7 * c[0], 0.7 * c[1], 0.7 * c[2], step(0.235 - rib, 0.006))
        flesh = 0.0
    elif kind == NECK:
        shadow = 0.60 + 0.40 * step(y - p.neck_y - 0.30, 0.16)  # of the chin
        c = (p.skin_r * (0.15 + 0.85 * shadow), p.skin_g * shadow, p.skin_b * shadow)
    elif kind == EAR:
        c = over((p.skin_r, p.skin_g, p.skin_b), p.skin_r, 0.6 * p.skin_g, 0.55 * p.skin_b, 0.35)
    else:
        c, gloss, plain = skin(u, v, w, px, p)
    if p.glasses > 0.0 and (kind == SKIN or kind == EAR):
        c = glasses(c, u, v, w, px, p)
    ink = 1.0
    if kind == SKIN and w < -0.2:
        ink = 1.0 - bump(u, v - p.nose_y, 0.20, 0.20)
    return lit(c, nx, ny, nz, exposure, gloss, plain, flesh, ink, p)


@njit(cache=True, fastmath=True)
def lit(
    c: RGB,
    nx: float,
    ny: float,
    nz: float,
    exposure: float,
    gloss: float,
    plain: float,
    flesh: float,
    ink: float,
    p: Any,
) -> RGB:
    """Wrapped key light, sky fill, rim and sheen on a colour; skin keeps some red in its shadows."""
    facing = nx * p.key_x + ny * p.key_y + nz * p.key_z
    wrap = max((facing + 0.35) / 1.35, 0.0)
    if p.stylised > 0.0:
        wrap = 0.30 * wrap + 0.35 * step(facing - 0.12, 0.10) + 0.30
    occluded = 0.45 + 0.55 * exposure
    sky = p.fill * (0.72 - 0.28 * ny) * occluded
    rim = (1.0 + min(nz, 0.0)) ** 3 * 0.22 * max(0.3 - 0.7 * ny, 0.0) * exposure
    key = p.key * wrap * (0.6 + 0.4 * exposure)
    bleed = flesh * 0.10 * max(1.0 - abs(facing) * 1.6, 0.0) * occluded
    r = c[0] * (key * (1.0 + p.warm) + sky + bleed) + rim * (0.4 + 0.6 * c[0])
    g = c[1] * (key + sky + 0.25 * bleed) + rim * (0.4 + 0.6 * c[1])
    b = c[2] * (key * (1.0 - p.warm) + sky * 1.06 + 0.15 * bleed) + rim * (0.4 + 0.6 * c[2])
    hx, hy, hz = p.key_x, p.key_y, p.key_z - 1.0
    half = max((nx * hx + ny * hy + nz * hz) / sqrt(hx * hx + hy * hy + hz * hz), 0.0)
    sheen = (half**24 * (0.06 + 0.22 * gloss) + half**6 * 0.03) * exposure * (1.0 - 0.7 * p.stylised)
    r, g, b = r + sheen, g + sheen, b + sheen
    light = 0.72 + 0.28 * min(key + sky, 1.2)
    r, g, b = over((r, g, b), c[0] * light, c[1] * light, c[2] * light, plain)
    if p.stylised > 0.0:
        outline = step(0.24 + nz, 0.08) * (1.0 - plain) * ink
        r, g, b = over((r, g, b), 0.16 * c[0], 0.13 * c[1], 0.14 * c[2], 0.85 * outline)
    return r, g, b


@njit(cache=True, fastmath=True, nogil=True)
def starts(out: NDArray[np.float32], size: int, tx: float, ty: float, scale: float, ps: Any) -> None:
    """How deep every ray of a BLOCK x BLOCK tile may safely begin (9 where none hits anything), into ``out``."""
    p = ps[0]
    px = 2.0 / size / scale
    radius = 0.75 * BLOCK * px
    for row in range(out.shape[0]):
        y = ((row + 0.5) * BLOCK * 2.0 / size - 1.0 - ty) / scale
        for column in range(out.shape[1]):
            x = ((column + 0.5) * BLOCK * 2.0 / size - 1.0 - tx) / scale
            z = START
            while z < 0.62:
                d = solid(x, y, z, p)[0]
                if d < 1.25 * radius:
                    break
                z += max(0.95 * d - radius, 0.2 * radius)
            out[row, column] = z if z < 0.62 else 9.0


@njit(cache=True, fastmath=True, nogil=True)
def shade_hits(
    picture: NDArray[np.float32],
    begin: NDArray[np.float32],
    depth: NDArray[np.float32],
    kinds: NDArray[np.int8],
    tx: float,
    ty: float,
    scale: float,
    ps: Any,
) -> None:
    """Paint every hit over ``picture`` (S, S, 3) linear, in place; fill ``depth`` (9 where empty) and ``kinds``."""
    p = ps[0]
    size = picture.shape[0]
    px = 2.0 / size / scale
    for row in range(size):
        y = ((row + 0.5) * 2.0 / size - 1.0 - ty) / scale
        for column in range(size):
            kinds[row, column], depth[row, column] = 0, 9.0
            start = begin[row // BLOCK, column // BLOCK]
            if start > 1.0:
                continue
            x = ((column + 0.5) * 2.0 / size - 1.0 - tx) / scale
            warm = start
            if row > 0 and 0 < column < size - 1:  # begin just before what the neighbours drawn already have met
                nearest = min(depth[row, column - 1], depth[row - 1, column], depth[row - 1, column + 1])
                if nearest < 1.0:
                    warm = max(start, nearest - 5.0 * px)
            z, kind = trace(x, y, warm, 0.4 * px, p)
            if z < warm:  # began inside something nearer
                z, kind = trace(x, y, start, 0.4 * px, p)
            if kind > 0:
                kinds[row, column], depth[row, column] = kind, z
                r, g, b = shade(x, y, z, kind, px, p)
                picture[row, column, 0], picture[row, column, 1], picture[row, column, 2] = r, g, b


@njit(cache=True, fastmath=True, nogil=True)
def smooth_edges(
    picture: NDArray[np.float32],
    empty: NDArray[np.float32],
    begin: NDArray[np.float32],
    depth: NDArray[np.float32],
    kinds: NDArray[np.int8],
    tx: float,
    ty: float,
    scale: float,
    ps: Any,
) -> None:
    """Draw again, with 2 x 2 rays, the pixels whose neighbours lie on another surface or far behind; in place."""
    p = ps[0]
    size = picture.shape[0]
    px = 2.0 / size / scale
    for row in range(size):
        for column in range(size):
            k, d = kinds[row, column], depth[row, column]
            edge, nearest = False, d
            for other in range(4):
                i = min(max(row + (other == 0) - (other == 1), 0), size - 1)
                j = min(max(column + (other == 2) - (other == 3), 0), size - 1)
                far = abs(depth[i, j] - d)
                edge = edge or far > 6.0 * px or ((kinds[i, j] == HAIR) != (k == HAIR))
                edge = edge or ((kinds[i, j] == TORSO) != (k == TORSO))
                nearest = min(nearest, depth[i, j])
            if edge:
                start = max(begin[row // BLOCK, column // BLOCK] if k > 0 else START, nearest - 8.0 * px)
                r, g, b = four_rays(empty, row, column, start, tx, ty, scale, p)
                picture[row, column, 0], picture[row, column, 1], picture[row, column, 2] = r, g, b


@njit(cache=True, fastmath=True)
def four_rays(
    empty: NDArray[np.float32], row: int, column: int, start: float, tx: float, ty: float, scale: float, p: Any
) -> RGB:
    """Mean colour of a pixel by 2 x 2 rays; rays that meet the same surface at the same depth share one shading."""
    size = empty.shape[0]
    px = 2.0 / size / scale
    r, g, b = 0.0, 0.0, 0.0
    last_kind, last_z = -1, 0.0
    c = (0.0, 0.0, 0.0)
    for ray in range(4):
        y = ((row + 0.25 + 0.5 * (ray // 2)) * 2.0 / size - 1.0 - ty) / scale
        x = ((column + 0.25 + 0.5 * (ray % 2)) * 2.0 / size - 1.0 - tx) / scale
        z, kind = trace(x, y, start, 0.4 * px, p)
        if kind == 0:
            c = (empty[row, column, 0], empty[row, column, 1], empty[row, column, 2])
        elif kind != last_kind or abs(z - last_z) > 3.0 * px:
            c = shade(x, y, z, kind, px, p)
        last_kind, last_z = kind, z
        r, g, b = r + 0.25 * min(c[0], 1.0), g + 0.25 * min(c[1], 1.0), b + 0.25 * min(c[2], 1.0)
    return r, g, b
