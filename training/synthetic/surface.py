"""The solid head as a signed distance: face, nose, ears, hair, neck and shoulders (numba; docs/method.md 4.1, Pixels).

``p`` is one record of ``parameters.RECORD``. (x, y, z) is the frame that does not turn with the head, scaled and
shifted so that the head's origin is its origin; (u, v, w) is the head's own frame.
"""

from __future__ import annotations

from math import sin, sqrt
from typing import Any

from numba import njit

SKIN, HAIR, NECK, TORSO, EAR = 1, 2, 3, 4, 5
SHORT, LONG, BUN, FRINGE, BALD, CAP, CURLY, QUIFF = range(8)
#: Nothing of the head reaches farther than this from its origin.
HEAD_RADIUS = 0.66


@njit(cache=True, fastmath=True, inline="always")
def smooth_min(a: float, b: float, k: float) -> float:
    """Polynomial smooth minimum; ``k`` is the width of the blend."""
    h = max(k - abs(a - b), 0.0) / k
    return min(a, b) - h * h * k * 0.25


@njit(cache=True, fastmath=True, inline="always")
def bump(x: float, y: float, rx: float, ry: float) -> float:
    """A soft hill of height 1 and half-axes rx, ry, zero outside."""
    r = 1.0 - (x / rx) ** 2 - (y / ry) ** 2
    return r * r * r if r > 0.0 else 0.0


@njit(cache=True, fastmath=True, inline="always")
def ellipsoid(x: float, y: float, z: float, rx: float, ry: float, rz: float) -> float:
    """Distance to an ellipsoid, first order."""
    a, b, c = x / rx, y / ry, z / rz
    near = sqrt(a * a + b * b + c * c)
    slope = sqrt((a / rx) ** 2 + (b / ry) ** 2 + (c / rz) ** 2) + 1e-9
    return near * (near - 1.0) / slope


@njit(cache=True, fastmath=True)
def skull(u: float, v: float, w: float, p: Any) -> float:
    """Distance to the smooth head, its jaw moved by the rig."""
    back = min(max((w + 0.05) / 0.28, 0.0), 1.0)
    u -= p.chin_dx * (1.0 - back) * min(max((v - p.mouth_y + 0.10) / 0.2, 0.0), 1.0)
    height = p.crown
    narrow = 1.0
    if v > 0.0:
        chin = p.chin + p.chin_dy * (1.0 - back)
        height = chin * (1.0 - 0.32 * back * back)
        down = v / chin
        narrow = max(1.0 - p.narrowing * down * down, 0.3)
    a = u / (p.half_width * narrow)
    c = w / p.depth
    rise = (v / height) ** 2
    g = a * a + rise * (0.6 + 0.4 * rise * rise) + c * c
    slope_v = (v / height) * (0.6 + 1.2 * rise * rise) / height
    slope = sqrt((a / (p.half_width * narrow)) ** 2 + slope_v * slope_v + (c / p.depth) ** 2) + 1e-9
    near = sqrt(g)
    return near * (near - 1.0) / slope


@njit(cache=True, fastmath=True)
def face(u: float, v: float, w: float, d: float, p: Any) -> float:
    """Distance to the face with its relief, nose included, ears not; ``d`` is the distance to the skull."""
    if w > 0.02:
        return d
    if d > 0.16:
        return d - 0.11
    side = abs(u)
    cheek = p.cheek_left if u < 0.0 else p.cheek_right
    d -= (0.010 + 0.010 * p.cheeks + 0.16 * max(-cheek, 0.0)) * bump(side - 0.160, v - 0.14 - cheek, 0.16, 0.15)
    if v < p.nose_y:
        d += 0.018 * bump(side - p.eye_x, v - p.eye_y + 0.01, 0.13, 0.095)
        d -= 0.015 * bump(side - p.eye_x, v - p.eye_y, p.eye_half * 1.35, 0.075)
        d -= 0.010 * bump(side - p.eye_x + 0.02, v - p.eye_y + p.brow_rise, 0.15, 0.06)
    else:
        d -= 0.016 * bump(u - p.chin_dx, v - p.chin - p.chin_dy + 0.05, 0.12, 0.09)
        d -= 0.015 * bump(u - p.mouth_x, v - p.upper_y, p.mouth_w * 1.25, 0.042)
        d -= 0.019 * bump(u - p.mouth_x, v - p.lower_y, p.mouth_w * 1.1, 0.046)
        d += 0.012 * bump(u - p.mouth_x, v - p.lower_y - p.lip_lower - 0.014, 0.08, 0.030)
    if side < 0.13 and p.eye_y - 0.12 < v < p.nose_y + 0.13:
        d = smooth_min(d, nose(side, v, w, p), 0.045)
    return d


@njit(cache=True, fastmath=True)
def nose(side: float, v: float, w: float, p: Any) -> float:
    """Distance to bridge, tip and wings of the nose."""
    r = p.nose_width * 0.62
    tip_v, tip_w = p.nose_y - p.nose_lift, p.nose_w
    tip = sqrt(side * side + (v - tip_v) ** 2 + (w - tip_w) ** 2) - r
    bv, bw = p.eye_y - 0.01, p.bridge_w
    dv, dw = tip_v - bv, tip_w - bw
    h = min(max(((v - bv) * dv + (w - bw) * dw) / (dv * dv + dw * dw), 0.0), 1.0)
    bridge = sqrt(side * side + (v - bv - h * dv) ** 2 + (w - bw - h * dw) ** 2) - 0.016 - 0.006 * h
    wing = (
        sqrt((side - p.nose_width * 0.72) ** 2 + (v - tip_v - 0.006) ** 2 + (w - tip_w - 0.030) ** 2)
        - p.nose_width * 0.40
    )
    return smooth_min(smooth_min(tip, bridge, 0.035), wing, 0.022)


@njit(cache=True, fastmath=True)
def hair(u: float, v: float, w: float, base: float, p: Any) -> float:
    """Distance to the hair (or the cap) of the style ``p.style``; ``base`` is the distance to the skull."""
    style = int(p.style)
    if style == BALD:
        return 9.0
    thick = p.hair_thick
    d = base - thick
    if style == CURLY:
        d -= 0.014 * sin(26.0 * u) * sin(26.0 * v + 1.0) * sin(26.0 * w)
    if style == LONG:
        veil = ellipsoid(u, v - 0.16, w - 0.07, p.half_width + 0.075, 0.50, 0.26)
        d = smooth_min(d, veil, 0.06)
    if style != CAP and d < 0.03:
        d -= 0.004 * (0.03 - max(d, 0.0)) / 0.03 * sin(38.0 * u + 16.0 * v + 6.0 * w)
    # what is not hair: a tunnel from the front around the face
    part = p.hair_part * u
    opening = sqrt((u / p.open_x) ** 2 + ((v - p.open_y - part) / p.open_h) ** 2) - 1.0
    tunnel = max(opening * p.open_x, (w - p.open_w) * 0.8)
    d = -smooth_min(-d, tunnel, 0.03)
    if style != LONG:
        nape = (v - p.hair_low - 0.55 * max(w, 0.0)) * 0.85
        d = -smooth_min(-d, -nape, 0.04)
    if style == BUN:
        d = smooth_min(d, sqrt(u * u + (v + 0.47) ** 2 + (w - 0.10) ** 2) - 0.125, 0.05)
    elif style == QUIFF:
        d = smooth_min(d, ellipsoid(u + 0.04, v + 0.40 - 0.25 * u, w + 0.15, 0.22, 0.095, 0.17), 0.05)
    elif style == CAP:
        d = smooth_min(d, ellipsoid(u, v + 0.195 + 0.30 * (w + 0.30) - 0.5 * u * u, w + 0.36, 0.25, 0.024, 0.19), 0.02)
    return d


@njit(cache=True, fastmath=True)
def ears(u: float, v: float, w: float, p: Any) -> float:
    """Distance to both ears."""
    if abs(u) < 0.66 * p.half_width or abs(v - p.eye_y - 0.06) > 0.19 or abs(w - 0.03) > 0.16:
        return 0.08
    s = p.ear
    out = ellipsoid(abs(u) - p.half_width * 0.985, v - p.eye_y - 0.06, w - 0.03, 0.034 * s, 0.082 * s, 0.056 * s)
    hollow = ellipsoid(abs(u) - p.half_width - 0.028 * s, v - p.eye_y - 0.05, w - 0.005, 0.016, 0.045 * s, 0.035 * s)
    return -smooth_min(-out, hollow, 0.02)


@njit(cache=True, fastmath=True)
def neck(x: float, y: float, z: float, p: Any) -> float:
    """Distance to the neck: its top follows the head, its foot stands on the shoulders."""
    dx, dy, dz = -p.neck_x, 0.68 - p.neck_y, 0.12 - p.neck_z
    h = ((x - p.neck_x) * dx + (y - p.neck_y) * dy + (z - p.neck_z) * dz) / (dx * dx + dy * dy + dz * dz)
    h = min(max(h, 0.0), 1.0)
    r = p.neck_r * (1.0 + 0.32 * h * h)
    return sqrt((x - p.neck_x - h * dx) ** 2 + (y - p.neck_y - h * dy) ** 2 + (z - p.neck_z - h * dz) ** 2) - r


@njit(cache=True, fastmath=True)
def torso(x: float, y: float, z: float, p: Any) -> float:
    """Distance to the shoulders and the chest."""
    chest = ellipsoid(x, y - 1.02, z - 0.12, 0.50, 0.47, 0.30)
    shoulder = ellipsoid(abs(x) - 0.40, y - 0.92, z - 0.12, 0.27, 0.26, 0.21)
    return smooth_min(chest, shoulder, 0.20)


@njit(cache=True, fastmath=True)
def solid(x: float, y: float, z: float, p: Any) -> tuple[float, int]:
    """Distance to the nearest surface and which one it is."""
    d, kind = 9.0, TORSO
    if y > 0.46:
        d = torso(x, y, z, p)
    if y > 0.05:
        k = neck(x, y, z, p)
        if k < d:
            d, kind = k, NECK
    far = sqrt(x * x + y * y + z * z) - HEAD_RADIUS
    if far > 0.08:
        if far < d:
            return far, SKIN
        return d, kind
    u = x * p.m00 + y * p.m10 + z * p.m20
    v = x * p.m01 + y * p.m11 + z * p.m21
    w = x * p.m02 + y * p.m12 + z * p.m22
    base = skull(u, v, w, p)
    h = hair(u, v, w, base, p)
    f = face(u, v, w, base, p)
    e = ears(u, v, w, p)
    skin = smooth_min(f, e, 0.02)
    which = EAR if e < f else SKIN
    if kind == NECK:
        d, kind = smooth_min(d, skin, 0.05), (which if skin < d else NECK)
    elif skin < d:
        d, kind = skin, which
    if h < d:
        d, kind = h, HAIR
    return d, kind


@njit(cache=True, fastmath=True)
def one(x: float, y: float, z: float, kind: int, p: Any) -> float:
    """Distance near a surface already known, without the others: for normals."""
    if kind == TORSO:
        return torso(x, y, z, p)
    u = x * p.m00 + y * p.m10 + z * p.m20
    v = x * p.m01 + y * p.m11 + z * p.m21
    w = x * p.m02 + y * p.m12 + z * p.m22
    if kind == HAIR:
        return hair(u, v, w, skull(u, v, w, p), p)
    if kind == SKIN and w < -0.12 and v < 0.28:
        return face(u, v, w, skull(u, v, w, p), p)
    return solid(x, y, z, p)[0]


@njit(cache=True, fastmath=True)
def trace(x: float, y: float, start: float, tolerance: float, p: Any) -> tuple[float, int]:
    """March along +z from ``start`` -> (z of the hit, surface); surface 0 when nothing nearer than it is hit."""
    z = start
    for _ in range(48):
        d, kind = solid(x, y, z, p)
        if d < tolerance:
            return z + d, kind
        z += d * 0.95
        if z > 0.62:
            break
    return z, 0
