"""What is painted on the skin: eyes, brows, lips, mouth interior, cheeks, beard (numba; docs/method.md 4.1, Pixels).

Colours are linear light. Every painter takes the colour beneath and gives the colour on top, with edges one pixel soft;
(u, v) is the head's own frame, ``px`` one pixel there.
"""

from __future__ import annotations

from math import exp, sqrt
from typing import Any

from numba import njit

from .surface import bump

RGB = tuple[float, float, float]


@njit(cache=True, fastmath=True, inline="always")
def over(a: RGB, r: float, g: float, b: float, amount: float) -> RGB:
    """``amount`` of (r, g, b) on ``a``."""
    return a[0] + (r - a[0]) * amount, a[1] + (g - a[1]) * amount, a[2] + (b - a[2]) * amount


@njit(cache=True, fastmath=True, inline="always")
def step(x: float, width: float) -> float:
    """0 below -width, 1 above +width, smooth between."""
    t = min(max(0.5 + 0.5 * x / width, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, fastmath=True)
def eye(c: RGB, u: float, v: float, px: float, p: Any) -> tuple[RGB, float]:
    """The eye on this side of the face -> colour, and how much of it is wet (it shines and ignores skin shading)."""
    sign = -1.0 if u < 0.0 else 1.0
    a = (u - sign * p.eye_x) * sign / p.eye_half
    if abs(a) > 1.25:
        return c, 0.0
    up, low = (p.lid_up_l, p.lid_low_l) if u < 0.0 else (p.lid_up_r, p.lid_low_r)
    if up > low:
        up = low = 0.35 * up + 0.65 * low
    corner = p.eye_y + 0.12 * p.eye_open - p.eye_tilt * a
    arc = max(1.0 - a * a, 0.0) ** 0.62
    top, bottom = corner + (up - corner) * arc, corner + (low - corner) * arc
    open_ = step(v - top, px) * step(bottom - v, px) * step(1.0 - abs(a), px / p.eye_half)
    # lid skin and its crease
    crease = (v - top + 0.017) / 0.008
    c = over(c, 0.42 * p.skin_r, 0.30 * p.skin_g, 0.28 * p.skin_b, 0.55 * exp(-crease * crease) * arc)
    below = (v - bottom - 0.020) / 0.010
    c = over(c, 0.6 * p.skin_r, 0.48 * p.skin_g, 0.46 * p.skin_b, 0.22 * exp(-below * below) * arc)
    c = eyeball(c, u - sign * p.eye_x, v, top, px, open_, p)
    # lashes
    edge = v - top + 0.002
    tail = 0.0055 + 0.0035 * max(a, 0.0)
    lash = step(tail - abs(edge), px) * step(1.12 - abs(a), 0.12)
    c = over(c, 0.012, 0.008, 0.008, 0.93 * lash)
    rim = step(0.0022 - abs(v - bottom), px) * step(1.0 - abs(a), 0.2)
    return over(c, 0.28 * p.skin_r, 0.16 * p.skin_g, 0.14 * p.skin_b, 0.6 * rim), open_ * (1.0 - lash)


@njit(cache=True, fastmath=True)
def eyeball(c: RGB, du: float, v: float, top: float, px: float, open_: float, p: Any) -> RGB:
    """Sclera, iris, pupil and highlight where the lids are ``open_``; ``top`` is the upper lid here."""
    if open_ <= 0.0:
        return c
    dv = v - p.eye_y
    shade = (1.0 - 0.5 * bump(v - top, 0.0, 0.028, 1.0)) * (1.0 - 0.35 * (du / p.eye_half) ** 2)
    ball = (0.90 * shade, 0.88 * shade, 0.87 * shade)
    x, y = du - p.iris_dx, dv - p.iris_dy - 0.002
    r = sqrt(x * x + y * y) / p.iris_radius
    soft = px / p.iris_radius
    glow = (0.75 + 0.9 * max(y / p.iris_radius, -0.2) * (1.0 - 0.4 * r)) * (1.15 - 0.55 * r**6)
    glow *= 0.7 + 0.3 * shade
    inside = step(1.0 - r, soft)
    ball = over(ball, 1.15 * p.iris_r * glow, 1.15 * p.iris_g * glow, 1.15 * p.iris_b * glow, inside)
    ball = over(ball, 0.10 * p.iris_r, 0.10 * p.iris_g, 0.10 * p.iris_b, inside * step(r - 0.88, 0.14) * 0.8)
    ball = over(ball, 0.006, 0.006, 0.008, step(0.47 - r, soft))
    side = 1.0 if p.key_x > 0.0 else -1.0
    spot = sqrt((x - side * 0.36 * p.iris_radius) ** 2 + (y + 0.38 * p.iris_radius) ** 2) / p.iris_radius
    ball = over(ball, 1.0, 1.0, 1.0, step(0.27 - spot, soft))
    spot = sqrt((x + side * 0.40 * p.iris_radius) ** 2 + (y - 0.42 * p.iris_radius) ** 2) / p.iris_radius
    ball = over(ball, 1.0, 1.0, 1.0, 0.45 * step(0.14 - spot, soft))
    return over(c, ball[0], ball[1], ball[2], open_)


@njit(cache=True, fastmath=True)
def brow(c: RGB, u: float, v: float, px: float, p: Any) -> RGB:
    """The brow on this side of the face."""
    sign = -1.0 if u < 0.0 else 1.0
    bx, by = (p.brow_lx, p.brow_ly) if u < 0.0 else (p.brow_rx, p.brow_ry)
    a = (u - bx) * sign / p.brow_half
    if abs(a) > 1.3:
        return c
    tilt = 0.022 * p.brow_inner * a - 0.022 * p.brow_outer * a - 0.018 * p.brow_low * a
    line = by + tilt + p.brow_arch * (a * a) + 0.004 * a
    half = p.brow_thickness * (1.0 - 0.42 * max(a, -0.3)) * (1.0 - max(abs(a) - 0.8, 0.0))
    ends = step(1.0 - abs(a), 0.10)
    ink = step(half - abs(v - line), max(px, 0.0045)) * ends
    return over(c, p.brow_r, p.brow_g, p.brow_b, 0.92 * ink)


@njit(cache=True, fastmath=True)
def mouth(c: RGB, u: float, v: float, px: float, slope_u: float, slope_v: float, p: Any) -> tuple[RGB, float, float]:
    """Lips and what shows between them -> colour, share that is lip (it shines), share that is interior (unlit).

    ``slope_*`` is how far the line of sight moves in (u, v) per unit of depth, so that teeth lie behind the lips.
    """
    a = (u - p.mouth_x) / p.mouth_w
    if abs(a) > 1.3 or v < p.upper_y - 0.12 or v > p.lower_y + 0.12:
        return c, 0.0, 0.0
    clipped = min(max(a, -1.0), 1.0)
    bow = 1.0 - clipped * clipped
    ends = 0.5 * (p.corner_ly + p.corner_ry) + 0.5 * clipped * (p.corner_ry - p.corner_ly)
    middle = 0.5 * (p.corner_ly + p.corner_ry)
    inner_up = p.upper_y + 0.5 * p.upper_thick
    inner_low = p.lower_y - 0.5 * p.lower_thick
    gap = max(inner_low - inner_up, 0.0)
    seam = ends + (0.5 * (inner_up + inner_low) - middle) * bow
    half = 0.5 * gap * bow**0.6
    top, bottom = seam - half, seam + half
    lips = sqrt(bow)
    cupid = 1.0 - 0.30 * exp(-(((a - 0.0) / 0.16) ** 2)) + 0.10 * exp(-(((abs(a) - 0.3) / 0.2) ** 2))
    high = top - p.upper_thick * lips * cupid
    deep = bottom + p.lower_thick * bow**0.62
    within = step(1.0 - abs(a), px / p.mouth_w)
    lip = step(v - high, 1.2 * px) * step(deep - v, 1.2 * px) * within
    dark = 0.78 if v < seam else 1.0
    c = over(c, p.lip_r * dark, p.lip_g * dark, p.lip_b * dark, 0.92 * lip)
    # the shadow under the lower lip, and the corners
    under = (v - deep - 0.016) / 0.014
    c = over(c, 0.55 * p.skin_r, 0.42 * p.skin_g, 0.40 * p.skin_b, 0.35 * exp(-under * under) * bow * (1.0 - lip))
    inside = step(v - top, px) * step(bottom - v, px) * within if gap > 0.0 else 0.0
    if inside > 0.0:
        cavity = interior(u, v, top, bottom, px, slope_u, slope_v, p)
        c = over(c, cavity[0], cavity[1], cavity[2], inside)
    closed = step(0.0028 - abs(v - seam), px) * step(1.06 - abs(a), 0.06) * (1.0 - step(gap - 0.010, 0.006))
    c = over(c, 0.22 * p.lip_r, 0.12 * p.lip_g, 0.12 * p.lip_b, 0.8 * closed)
    return c, lip * (1.0 - inside), inside


@njit(cache=True, fastmath=True)
def interior(u: float, v: float, top: float, bottom: float, px: float, slope_u: float, slope_v: float, p: Any) -> RGB:
    """Upper teeth on the skull, lower teeth and tongue on the jaw, darkness behind."""
    c = (0.050, 0.007, 0.010)
    tongue_u, tongue_v = u + 0.055 * slope_u - p.lower_x, v + 0.055 * slope_v - p.lower_y + 0.006
    t = step(1.0 - sqrt((tongue_u / 0.052) ** 2 + (tongue_v / 0.030) ** 2), 0.25)
    c = over(c, 0.46, 0.11, 0.12, t)
    teeth_u, teeth_v = u + 0.022 * slope_u, v + 0.022 * slope_v
    low_edge = p.lower_y - 0.5 * p.lower_thick - 0.010 + 1.5 * (teeth_u - p.lower_x) ** 2
    low = step(teeth_v - low_edge, px) * step(0.050 - abs(teeth_u - p.lower_x), 2.0 * px)
    c = over(c, 0.60, 0.57, 0.53, low)
    edge = p.mouth_y + 0.016 - 2.0 * teeth_u * teeth_u
    up = step(edge - teeth_v, px) * step(0.070 - abs(teeth_u), 2.0 * px)
    c = over(c, 0.88, 0.86, 0.82, up)
    shadow = 1.0 - 0.55 * exp(-(((v - top) / 0.010) ** 2)) - 0.2 * exp(-(((bottom - v) / 0.008) ** 2))
    return c[0] * shadow, c[1] * shadow, c[2] * shadow


@njit(cache=True, fastmath=True)
def complexion(u: float, v: float, w: float, p: Any) -> RGB:
    """Skin with blush, nostrils, the folds of a smile and of a wrinkled nose, and beard."""
    c = (p.skin_r, p.skin_g, p.skin_b)
    if w > 0.05:
        return c
    side = abs(u)
    lift = p.cheek_left if u < 0.0 else p.cheek_right
    warm = 0.5 * p.blush * bump(side - 0.165, v - 0.145 - lift, 0.10, 0.085) + 0.22 * bump(u, v - p.nose_y, 0.08, 0.07)
    c = over(c, min(p.skin_r * 1.02, 1.0), p.skin_g * 0.58, p.skin_b * 0.56, warm)
    if p.beard > 0.0:
        jaw_v = v - p.chin_dy * min(max((v - p.mouth_y) / 0.12, 0.0), 1.0)
        line = p.mouth_y - 0.050 + 0.075 * bump(side - 0.135, 0.0, 0.085, 1.0) - 1.6 * max(side - 0.165, 0.0)
        grown = step(jaw_v - line, 0.014) * p.beard
        c = over(c, p.brow_r, p.brow_g, p.brow_b, 0.90 * grown)
    tip = p.nose_y - p.nose_lift
    hole = (
        1.0
        - ((side - 0.48 * p.nose_width) / (0.30 * p.nose_width)) ** 2
        - ((v - tip - 0.58 * p.nose_width) / 0.010) ** 2
    )
    c = over(c, 0.10 * p.skin_r, 0.05 * p.skin_g, 0.05 * p.skin_b, 0.6 * step(hole, 0.8))
    smile = min(max(-lift / 0.018, 0.0), 1.0)
    if smile > 0.0:
        t = (v - tip) / (p.mouth_y - tip)
        fold = (side - 0.062 - 0.045 * t) / 0.010
        c = over(
            c,
            0.5 * p.skin_r,
            0.36 * p.skin_g,
            0.34 * p.skin_b,
            0.38 * smile * exp(-fold * fold) * bump(t - 0.5, 0.0, 0.75, 1.0),
        )
    crease = p.frown + 0.8 * max(p.brow_low - 0.25, 0.0)
    if crease > 0.0:
        line = (side - 0.022) / 0.006
        amount = 0.4 * min(crease, 1.0) * exp(-line * line) * bump(v - p.eye_y + 0.06, 0.0, 0.045, 1.0)
        c = over(c, 0.45 * p.skin_r, 0.32 * p.skin_g, 0.30 * p.skin_b, amount)
    return c
