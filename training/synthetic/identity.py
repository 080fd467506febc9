"""Identity of a synthetic head: proportions, colours, hair, expression gain, posture (docs/method.md 4.1).

Lengths are canonical units: x right, y down, z into the picture, origin in the middle of the head; chin at about +0.42.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .rig import LID_TRAVEL, RIG

Colour = tuple[float, float, float]
HAIR_STYLES = ("short", "long", "bun", "fringe", "bald", "cap", "curly", "quiff")

_SKINS: tuple[Colour, ...] = (
    (0.98, 0.84, 0.75),
    (0.96, 0.77, 0.64),
    (0.91, 0.69, 0.53),
    (0.80, 0.57, 0.41),
    (0.64, 0.43, 0.30),
    (0.47, 0.31, 0.22),
)
_HAIRS: tuple[Colour, ...] = (
    (0.11, 0.08, 0.08),
    (0.24, 0.15, 0.10),
    (0.42, 0.26, 0.15),
    (0.62, 0.33, 0.16),
    (0.85, 0.66, 0.36),
    (0.66, 0.65, 0.66),
    (0.52, 0.18, 0.14),
    (0.28, 0.30, 0.48),
)
_IRISES: tuple[Colour, ...] = (
    (0.33, 0.20, 0.11),
    (0.47, 0.31, 0.14),
    (0.24, 0.46, 0.62),
    (0.30, 0.50, 0.32),
    (0.42, 0.47, 0.52),
)
_CLOTHES: tuple[Colour, ...] = (
    (0.22, 0.36, 0.60),
    (0.72, 0.28, 0.28),
    (0.25, 0.50, 0.42),
    (0.88, 0.74, 0.40),
    (0.86, 0.86, 0.84),
    (0.26, 0.26, 0.30),
    (0.56, 0.36, 0.58),
    (0.86, 0.52, 0.36),
)


@dataclass(frozen=True)
class Identity:
    """One head. Widths and heights named ``half`` count from the centre; colours are sRGB in 0..1."""

    seed: int
    half_width: float
    depth: float
    crown: float
    chin: float
    jaw_half: float
    cheeks: float
    eye_x: float
    eye_y: float
    eye_half: float
    eye_open: float
    eye_tilt: float
    iris_radius: float
    brow_rise: float
    brow_half: float
    brow_thickness: float
    brow_arch: float
    nose_y: float
    nose_width: float
    nose_out: float
    mouth_y: float
    mouth_half: float
    lip_upper: float
    lip_lower: float
    ear: float
    skin: Colour
    hair: Colour
    iris: Colour
    lip: Colour
    clothes: Colour
    hair_style: str
    glasses: bool
    beard: float
    blush: float
    stylised: bool
    gain: tuple[float, ...]
    rest_rotation: tuple[float, float, float]
    rest_translation: tuple[float, float, float]
    rest_scale: float
    #: Within-clip deviation of pitch, yaw, roll (degrees), t_x, t_y, log s.
    pose_std: tuple[float, ...]

    @property
    def eye_z(self) -> float:
        """Depth of the eye's surface, where the lids lie."""
        return face_depth(self, self.eye_x, self.eye_y)


def _mix(a: Colour, b: Colour, amount: float) -> Colour:
    return (a[0] + (b[0] - a[0]) * amount, a[1] + (b[1] - a[1]) * amount, a[2] + (b[2] - a[2]) * amount)


def _colour_between(table: tuple[Colour, ...], rng: Generator, jitter: float = 0.02) -> Colour:
    first = table[rng.integers(len(table))]
    shift = rng.normal(0, jitter, 3)
    return (
        float(np.clip(first[0] + shift[0], 0.03, 0.99)),
        float(np.clip(first[1] + shift[1], 0.03, 0.99)),
        float(np.clip(first[2] + shift[2], 0.03, 0.99)),
    )


def _skin(rng: Generator) -> Colour:
    place = float(rng.uniform(0, len(_SKINS) - 1.001))
    return _mix(_SKINS[int(place)], _SKINS[int(place) + 1], place % 1.0)


def _gains(rng: Generator, eye_open: float) -> tuple[float, ...]:
    gain = np.exp(rng.normal(0, 0.06, len(RIG))).clip(0.85, 1.15)
    for name in ("lid_left", "lid_right"):
        gain[RIG.index(name)] = eye_open / LID_TRAVEL  # so that 1 closes this very eye
    return tuple(float(g) for g in gain)


def make_identity(seed: int) -> Identity:
    """The identity of that seed; the same seed gives the same identity on every machine."""
    rng = np.random.default_rng([seed, 0x1DE])

    def span(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    skin, hair = _skin(rng), _colour_between(_HAIRS, rng)
    style = HAIR_STYLES[int(rng.choice(len(HAIR_STYLES), p=(0.2, 0.17, 0.11, 0.15, 0.07, 0.08, 0.11, 0.11)))]
    beard = span(0.5, 0.95) if style not in ("long", "bun") and rng.random() < 0.3 else 0.0
    eye_open = span(0.080, 0.102)
    pose_std = np.array([1.6, 2.2, 1.0, 0.01, 0.01, 0.012]) * np.exp(rng.normal(0, 0.3, 6))
    turn = (rng.normal(0, 1, 3) * [4.0, 14.0, 4.0]).clip([-10, -30, -10], [10, 30, 10])
    shift = rng.normal(0, 0.06, 2).clip(-0.13, 0.13)
    return Identity(
        seed=seed,
        half_width=span(0.285, 0.325),
        depth=span(0.32, 0.35),
        crown=span(0.40, 0.43),
        chin=span(0.395, 0.435),
        jaw_half=span(0.165, 0.225),
        cheeks=span(0.0, 1.0),
        eye_x=span(0.112, 0.132),
        eye_y=span(-0.01, 0.03),
        eye_half=span(0.068, 0.080),
        eye_open=eye_open,
        eye_tilt=span(-0.008, 0.014),
        iris_radius=span(0.040, 0.046),
        brow_rise=span(0.082, 0.105),
        brow_half=span(0.062, 0.082),
        brow_thickness=span(0.012, 0.020),
        brow_arch=span(0.004, 0.022),
        nose_y=span(0.115, 0.145),
        nose_width=span(0.036, 0.056),
        nose_out=span(0.050, 0.085),
        mouth_y=span(0.232, 0.252),
        mouth_half=span(0.084, 0.106),
        lip_upper=span(0.016, 0.025),
        lip_lower=span(0.020, 0.032),
        ear=span(0.8, 1.2),
        skin=skin,
        hair=hair,
        iris=_colour_between(_IRISES, rng),
        lip=_mix(skin, (0.70, 0.25, 0.28), span(0.45, 0.75)),
        clothes=_colour_between(_CLOTHES, rng, 0.04),
        hair_style=style,
        glasses=bool(rng.random() < 0.18),
        beard=beard,
        blush=span(0.15, 0.6),
        stylised=seed % 3 == 2,
        gain=_gains(rng, eye_open),
        rest_rotation=(float(turn[0]), float(turn[1]), float(turn[2])),
        rest_translation=(float(shift[0]), float(shift[1]), 0.0),
        rest_scale=float(1.38 * np.exp(np.clip(rng.normal(0, 0.10), -0.2, 0.2))),
        pose_std=tuple(float(s) for s in pose_std),
    )


def face_depth(identity: Identity, x: float, y: float) -> float:
    """z of the smooth front of the face (no nose, no lips) at (x, y); negative, towards us; ``surface`` draws it."""
    height = identity.chin if y > 0 else identity.crown
    rise = (y / height) ** 2
    inside = 1.0 - (x / (identity.half_width * taper(identity, y))) ** 2 - rise * (0.6 + 0.4 * rise * rise)
    return -identity.depth * float(np.sqrt(max(inside, 0.03)))


def taper(identity: Identity, y: float) -> float:
    """How much narrower the face is at ``y`` than at the eyes, from the cheekbones down to the jaw."""
    down = max(0.0, y) / identity.chin
    return 1.0 - (1.0 - identity.jaw_half / identity.half_width) * 0.8 * down * down


def canonical_keypoints(identity: Identity) -> NDArray[np.float32]:
    """The 21 points of the resting face, facing us: (21, 3) float32. Their places are listed in ``rig``."""
    me = identity
    seam = me.mouth_y  # where the closed lips meet
    nose_tip = face_depth(me, 0.0, me.nose_y) - me.nose_out

    def skin(x: float, y: float, out: float = 0.0) -> tuple[float, float, float]:
        return (x, y, face_depth(me, x, y) - out)

    def both(x: float, y: float, out: float = 0.0) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        return skin(-x, y, out), skin(x, y, out)

    points = np.zeros((21, 3), np.float32)
    jaw_y = 0.5 * (seam + me.chin) - 0.08
    points[0], points[4] = (-me.jaw_half * 1.15, jaw_y, -0.02), (me.jaw_half * 1.15, jaw_y, -0.02)
    points[1], points[2] = both(me.eye_x, me.eye_y - me.brow_rise - 0.5 * me.brow_arch, 0.012)
    points[3], points[7] = both(0.165, me.nose_y + 0.015)
    points[5] = (0.0, me.chin + 0.10, 0.02)
    points[6] = (0.0, seam - me.lip_upper - 0.018, 0.4 * nose_tip + 0.6 * face_depth(me, 0.0, seam))
    points[8] = skin(0.0, -0.26)
    points[9] = (0.0, -0.10, me.depth)
    points[10] = (0.0, me.chin - 0.01, face_depth(me, 0.0, me.chin) - 0.03)
    points[11], points[15] = both(me.eye_x, me.eye_y - 0.55 * me.eye_open)
    points[13], points[16] = both(me.eye_x, me.eye_y + 0.45 * me.eye_open)
    points[12] = skin(0.0, seam + me.lip_lower + 0.028)
    points[14], points[17] = both(me.mouth_half, seam - 0.008)  # a friendly rest
    points[18] = skin(0.0, me.eye_y + 0.01, 0.02)
    points[19] = skin(0.0, seam + 0.5 * me.lip_lower, 0.02)
    points[20] = skin(0.0, seam - 0.5 * me.lip_upper, 0.02)
    return points
