"""One flat record of everything the renderer reads: an identity under a rig in a pose, as numbers.

See docs/method.md 4.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .identity import HAIR_STYLES, Identity, canonical_keypoints, face_depth
from .rig import RIG, expression_from_rig

_SHAPE = (
    "half_width depth crown chin cheeks eye_x eye_y eye_half eye_open eye_tilt iris_radius brow_rise brow_half "
    "brow_thickness brow_arch nose_y nose_width mouth_y mouth_half lip_upper lip_lower ear beard blush"
).split()
_TURN = [f"m{row}{column}" for row in range(3) for column in range(3)]
_RIGGED = (
    "narrowing chin_dx chin_dy cheek_left cheek_right mouth_x mouth_w upper_x upper_y lower_x lower_y corner_lx "
    "corner_ly corner_rx corner_ry nose_w bridge_w nose_lift upper_thick lower_thick press wide lid_up_l lid_up_r "
    "lid_low_l lid_low_r iris_dx iris_dy brow_lx brow_ly brow_rx brow_ry brow_inner brow_outer brow_low frown"
).split()
_HAIR = "style hair_thick open_x open_y open_h open_w hair_part hair_low glasses stylised".split()
_NECK = "neck_x neck_y neck_z neck_r".split()
_COLOURS = [f"{name}_{c}" for name in ("skin", "hair", "iris", "lip", "clothes", "brow") for c in "rgb"]
_LIGHT = "key_x key_y key_z key fill warm".split()
RECORD = np.dtype([(name, np.float64) for name in _SHAPE + _TURN + _RIGGED + _HAIR + _NECK + _COLOURS + _LIGHT])

#: style -> thickness, opening half-width, centre and half-height, where it ends in depth, slant, how low it reaches.
_CUTS: dict[str, tuple[float, float, float, float, float, float, float]] = {
    "short": (0.030, 0.285, 0.16, 0.40, -0.02, 0.12, 0.06),
    "long": (0.036, 0.262, 0.16, 0.42, 0.02, 0.30, 0.60),
    "bun": (0.024, 0.290, 0.14, 0.42, -0.01, 0.0, 0.10),
    "fringe": (0.040, 0.285, 0.20, 0.355, 0.0, 0.14, 0.14),
    "bald": (0.0, 0.30, 0.15, 0.4, 0.0, 0.0, 0.0),
    "cap": (0.034, 0.40, 0.30, 0.49, 0.10, 0.0, -0.10),
    "curly": (0.060, 0.270, 0.16, 0.40, -0.01, 0.0, 0.10),
    "quiff": (0.024, 0.285, 0.15, 0.41, -0.02, 0.10, 0.04),
}


def rotation_columns(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pitch, yaw, roll in degrees (3,) -> column-vector rotation Rz Ry Rx (3, 3), as ``geometry.rotation_matrix``."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def features(identity: Identity, rig: NDArray[np.float64]) -> dict[str, float]:
    """Where the moved features are drawn, in the head's frame: exactly canonical keypoints + offsets."""
    delta = expression_from_rig(identity, rig).astype(np.float64)
    moved = canonical_keypoints(identity).astype(np.float64) + delta
    amount = dict(zip(RIG, rig * np.asarray(identity.gain), strict=True))
    left, right = moved[14], moved[17]
    press, wide = float(np.clip(amount["press"], 0, 1.2)), float(np.clip(amount["wide"], -1.2, 1.2))
    return {
        "chin_dx": delta[10, 0],
        "chin_dy": delta[10, 1],
        "cheek_left": delta[3, 1],
        "cheek_right": delta[7, 1],
        "mouth_x": 0.5 * (left[0] + right[0]),
        "mouth_w": max(0.5 * (right[0] - left[0]), 0.02),
        "upper_x": moved[20, 0],
        "upper_y": moved[20, 1],
        "lower_x": moved[19, 0],
        "lower_y": moved[19, 1],
        "corner_lx": left[0],
        "corner_ly": left[1],
        "corner_rx": right[0],
        "corner_ry": right[1],
        "nose_lift": -0.5 * delta[6, 1],
        "upper_thick": identity.lip_upper * (1 - 0.45 * press) * (1 - 0.15 * wide),
        "lower_thick": identity.lip_lower * (1 - 0.45 * press) * (1 - 0.15 * wide),
        "press": press,
        "wide": wide,
        "lid_up_l": moved[11, 1],
        "lid_up_r": moved[15, 1],
        "lid_low_l": moved[13, 1],
        "lid_low_r": moved[16, 1],
        "iris_dx": 1.4 * 0.020 * amount["gaze_x"],
        "iris_dy": 1.4 * 0.015 * amount["gaze_y"],
        "brow_lx": moved[1, 0],
        "brow_ly": moved[1, 1],
        "brow_rx": moved[2, 0],
        "brow_ry": moved[2, 1],
        "brow_inner": amount["brow_inner"],
        "brow_outer": amount["brow_outer"],
        "brow_low": amount["brow_low"],
        "frown": max(amount["nose"], 0.0),
    }


def record(
    identity: Identity,
    light: tuple[float, ...],
    rig: NDArray[np.float64],
    rotation: NDArray[np.float64],
) -> NDArray[np.void]:
    """Everything the kernels need, an array of one RECORD; ``light`` in the order of the fields key_x ... warm."""
    out = np.zeros(1, RECORD)
    matrix = rotation_columns(rotation)
    values: dict[str, float] = {name: float(getattr(identity, name)) for name in _SHAPE}
    values.update({f"m{r}{c}": float(matrix[r, c]) for r in range(3) for c in range(3)})
    values.update(features(identity, rig))
    nose_z = face_depth(identity, 0.0, identity.nose_y)
    top = matrix @ np.array([0.0, 0.20, 0.09])
    cap = identity.hair_style == "cap"
    cut = dict(zip(_HAIR[1:8], _CUTS[identity.hair_style], strict=True))
    slant = 1.0 if identity.seed % 2 else -1.0
    values.update(cut)
    values.update(
        narrowing=0.8 * (1.0 - identity.jaw_half / identity.half_width),
        nose_w=nose_z - identity.nose_out + identity.nose_width * 0.62,
        bridge_w=face_depth(identity, 0.0, identity.eye_y) + 0.004,
        hair_part=cut["hair_part"] * slant,
        style=float(HAIR_STYLES.index(identity.hair_style)),
        glasses=float(identity.glasses),
        stylised=float(identity.stylised),
        neck_x=top[0],
        neck_y=top[1],
        neck_z=top[2],
        neck_r=0.122 + 0.30 * (identity.jaw_half - 0.165),
    )
    tint = identity.clothes if cap else identity.hair
    brow = tuple(0.75 * h + 0.05 * s for h, s in zip(identity.hair, identity.skin, strict=True))
    for name, colour in (
        ("skin", identity.skin),
        ("hair", tint),
        ("iris", identity.iris),
        ("lip", identity.lip),
        ("clothes", identity.clothes),
        ("brow", brow),
    ):
        values.update({f"{name}_{c}": float(v) ** 2 for c, v in zip("rgb", colour, strict=True)})
    values.update(dict(zip(_LIGHT, light, strict=True)))
    for name, value in values.items():
        out[name] = value
    return out
