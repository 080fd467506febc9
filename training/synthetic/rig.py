"""The 16 numbers that move a synthetic face, and the fixed map from them to keypoint offsets (docs/method.md 4.1).

Points sit where LivePortrait's sit (docs/liveportrait.md 11, 13), "left" being the picture's left (x < 0):
0 / 4 jaw angles, 1 / 2 brows, 3 / 7 cheeks, 5 throat, 6 philtrum, 8 forehead, 9 back of the head, 10 chin,
11 / 15 upper lids (and gaze), 13 / 16 lower lids, 18 bridge of the nose, 12 groove under the lip, 14 / 17 mouth
corners, 20 upper lip, 19 lower lip. Every entry of BASIS is the distance that feature is drawn to move, in canonical
units with the head facing us (x right, y down, z into the picture). z is alive only at points 10, 17, 19 and 20.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from playmate_core.values import LIDS, LOWER_LIP, UPPER_LIP

if TYPE_CHECKING:
    from .identity import Identity

#: jaw, press, upper, brow_low and nose run 0..1; lids 1 closed, 0 rest, -0.5 widened; the others -1..1.
#: gaze_x > 0 looks to the picture's right, gaze_y > 0 looks down, wide < 0 rounds the lips,
#: brow_inner and brow_outer > 0 raise, smile < 0 pulls the corner down.
RIG = (
    "jaw",
    "wide",
    "press",
    "upper",
    "smile_left",
    "smile_right",
    "brow_inner",
    "brow_outer",
    "brow_low",
    "lid_left",
    "lid_right",
    "gaze_x",
    "gaze_y",
    "nose",
    "asymmetry",
    "jaw_side",
)
#: What one unit of a lid parameter closes; an identity's gain scales it to that identity's eyes.
LID_TRAVEL = 0.084

_X, _Y, _Z = 0, 1, 2
#: (point, axis) -> displacement at parameter 1. Mirror pairs are written out: the picture is what counts.
_MOVES: dict[str, dict[tuple[int, int], float]] = {
    "jaw": {
        (19, _Y): 0.100,
        (19, _Z): 0.012,
        (12, _Y): 0.096,
        (10, _Y): 0.085,
        (10, _Z): 0.020,
        (14, _X): 0.012,
        (14, _Y): 0.032,
        (17, _X): -0.012,
        (17, _Y): 0.032,
        (17, _Z): 0.004,
        (20, _Y): -0.004,
        (0, _Y): 0.015,
        (4, _Y): 0.015,
        (3, _Y): 0.008,
        (7, _Y): 0.008,
        (5, _Y): 0.012,
    },
    "wide": {
        (14, _X): -0.035,
        (17, _X): 0.035,
        (17, _Z): 0.012,
        (19, _Y): -0.003,
        (19, _Z): 0.016,
        (20, _Y): 0.002,
        (20, _Z): 0.016,
        (3, _X): -0.008,
        (7, _X): 0.008,
    },
    "press": {
        (19, _Y): -0.014,
        (19, _Z): 0.006,
        (20, _Y): 0.012,
        (20, _Z): 0.006,
        (12, _Y): -0.006,
        (6, _Y): 0.004,
    },
    "upper": {(20, _Y): -0.028, (20, _Z): -0.004, (6, _Y): -0.010, (14, _Y): -0.004, (17, _Y): -0.004},
    "smile_left": {
        (14, _X): -0.018,
        (14, _Y): -0.038,
        (3, _X): -0.004,
        (3, _Y): -0.018,
        (13, _Y): -0.008,
        (20, _X): -0.003,
        (20, _Y): -0.003,
        (19, _X): -0.003,
        (0, _X): -0.004,
    },
    "smile_right": {
        (17, _X): 0.018,
        (17, _Y): -0.038,
        (17, _Z): 0.006,
        (7, _X): 0.004,
        (7, _Y): -0.018,
        (16, _Y): -0.008,
        (20, _X): 0.003,
        (20, _Y): -0.003,
        (19, _X): 0.003,
        (4, _X): 0.004,
    },
    "brow_inner": {
        (1, _X): 0.010,
        (1, _Y): -0.022,
        (2, _X): -0.010,
        (2, _Y): -0.022,
        (18, _Y): -0.010,
        (8, _Y): -0.012,
    },
    "brow_outer": {
        (1, _X): -0.014,
        (1, _Y): -0.024,
        (2, _X): 0.014,
        (2, _Y): -0.024,
        (8, _Y): -0.008,
        (9, _Y): -0.004,
        (11, _Y): -0.004,
        (15, _Y): -0.004,
    },
    "brow_low": {
        (1, _X): 0.016,
        (1, _Y): 0.030,
        (2, _X): -0.016,
        (2, _Y): 0.030,
        (18, _Y): 0.012,
        (8, _Y): 0.006,
        (11, _Y): 0.006,
        (15, _Y): 0.006,
    },
    "lid_left": {(11, _Y): 0.068, (13, _Y): -0.016},
    "lid_right": {(15, _Y): 0.068, (16, _Y): -0.016},
    "gaze_x": {(11, _X): 0.020, (15, _X): 0.020, (13, _X): 0.010, (16, _X): 0.010},
    "gaze_y": {(11, _Y): 0.015, (15, _Y): 0.015, (13, _Y): 0.011, (16, _Y): 0.011},
    "nose": {
        (6, _Y): -0.012,
        (18, _Y): 0.010,
        (20, _Y): -0.010,
        (3, _Y): -0.012,
        (7, _Y): -0.012,
        (1, _Y): 0.005,
        (2, _Y): 0.005,
    },
    "asymmetry": {
        (14, _Y): -0.014,
        (17, _Y): 0.014,
        (20, _X): 0.010,
        (6, _X): 0.005,
        (1, _Y): -0.014,
        (2, _Y): 0.014,
        (18, _X): 0.004,
        (8, _X): 0.004,
        (9, _X): 0.003,
    },
    "jaw_side": {
        (19, _X): 0.032,
        (12, _X): 0.034,
        (10, _X): 0.036,
        (14, _X): 0.008,
        (17, _X): 0.008,
        (20, _X): 0.004,
        (0, _X): 0.006,
        (4, _X): 0.006,
        (5, _X): 0.006,
    },
}


def _basis() -> NDArray[np.float32]:
    basis = np.zeros((len(RIG), 21, 3), np.float32)
    for row, name in enumerate(RIG):
        for (point, axis), distance in _MOVES[name].items():
            basis[row, point, axis] = distance
    return basis.reshape(len(RIG), 63)


#: (16, 63), rank 16, 17 columns exactly zero.
BASIS = _basis()
_INVERSE = np.linalg.pinv(BASIS.astype(np.float64))
Points = TypeVar("Points", NDArray[np.float32], Tensor)


def expression_from_rig(identity: Identity, rig: ArrayLike) -> NDArray[np.float32]:
    """Rig (..., 16) -> keypoint offsets (..., 21, 3), float32: delta = (rig x the identity's gain) @ BASIS."""
    values = np.asarray(rig, np.float32)
    delta = (values * np.asarray(identity.gain, np.float32)) @ BASIS
    return delta.reshape(*values.shape[:-1], 21, 3)


def rig_from_expression(identity: Identity, expression: ArrayLike) -> NDArray[np.float32]:
    """Keypoint offsets (..., 21, 3) -> rig (..., 16) of least squares, float32: the exact metric without a network."""
    delta = np.asarray(expression, np.float64)
    rig = delta.reshape(*delta.shape[:-2], 63) @ _INVERSE
    return (rig / np.asarray(identity.gain, np.float64)).astype(np.float32)


def lip_aperture(points: Points) -> Points:
    """Lower minus upper lip, y down: keypoints or offsets (..., 21, 3) -> (...); for offsets it is the change."""
    return points[..., LOWER_LIP, 1] - points[..., UPPER_LIP, 1]


def eye_aperture(points: Points) -> Points:
    """Lower minus upper lid, both eyes: keypoints or offsets (..., 21, 3) -> (..., 2), left then right."""
    upper, lower = (list(lids) for lids in zip(*LIDS, strict=True))
    return points[..., lower, 1] - points[..., upper, 1]
