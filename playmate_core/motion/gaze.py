"""Where the eyes look: into the camera, or at a point, with the eyes ahead of the head."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import UserError
from ..geometry import rotation_matrix
from ..ranges import check_ranges, ranged
from ..times import WHOLE, TimeRange, envelope
from ..values import LIDS, Motion
from .directions import SLIDERS, X, directions, displaced

GAZES = ("free", "camera", "target")
#: Degrees that an eye turns at the end of the pupil sliders: the edge of the white. An eye turns little further.
EYE_DEGREES = 35.0
#: Degrees from the middle of the picture to its edge, seen from the head.
EDGE_DEGREES = 30.0
#: Seconds in which eyes jump, and in which a head turns.
_JUMP, _TURN = 0.06, 0.5
_PUPILS = tuple(SLIDERS).index("pupil_x"), tuple(SLIDERS).index("pupil_y")


@dataclass(frozen=True)
class Gaze:
    """``mode`` one of GAZES: "free" changes nothing, "camera" looks into it all the time, "target" at a point.

    ``x`` and ``y`` of the target: -1 and 1 are the edges of the picture, right and down positive. ``head`` is the share
    of the turn towards the target that the head makes, ``lead`` seconds after the eyes. ``strength`` is how much of all
    that the eyes do. It acts in ``ranges``, eased over ``fade`` seconds.
    """

    mode: str = "free"
    x: float = ranged(0.0, -1.0, 1.0)
    y: float = ranged(0.0, -1.0, 1.0)
    head: float = ranged(0.4, 0.0, 1.0)
    lead: float = ranged(0.08, 0.0, 2.0, "s")
    strength: float = ranged(1.0, 0.0, 1.0)
    fade: float = ranged(0.1, 0.0, 10.0, "s")
    ranges: tuple[TimeRange, ...] = (WHOLE,)

    def __post_init__(self) -> None:
        if self.mode not in GAZES:
            raise UserError(f"Unknown gaze {self.mode!r}; please choose one of {', '.join(GAZES)}.")
        check_ranges(self)


def with_gaze(motion: Motion, gaze: Gaze) -> Motion:
    """``motion`` whose eyes look where ``gaze`` says; numbers that it does not move come back bit for bit.

    Blinks stay: only the part of the lids that follows the eyeball moves. Eyes turn at most EYE_DEGREES. Raises
    UserError for a keypoint space without directions.
    """
    if gaze.mode == "free" or not len(motion):
        return motion
    frames, fps = len(motion), motion.fps
    aim = torch.zeros(2, dtype=torch.float64)  # degrees to the picture's right and up
    if gaze.mode == "target":
        aim = torch.tensor([gaze.x, -gaze.y], dtype=torch.float64) * EDGE_DEGREES
        motion = _turned(motion, gaze, aim)
    eyes = aim - head_direction(motion)  # (T, 2)
    sliders = torch.zeros(frames, len(SLIDERS), dtype=torch.float64)
    sliders[:, list(_PUPILS)] = (eyes / EYE_DEGREES).clamp(-1.0, 1.0) * SLIDERS["pupil_x"].high
    share = gaze.strength * envelope(gaze.ranges, frames, fps, max(gaze.fade, _JUMP), max(gaze.fade, _JUMP))
    offset = share[:, None, None] * (directions(motion.keypoint_space).offset(sliders) - _wandering(motion))
    return replace(motion, expression=displaced(motion.expression, offset))


def head_direction(motion: Motion) -> Tensor:
    """Where the head faces, (T, 2) float64: degrees to the picture's right and up; (0, 0) is the camera."""
    ahead = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64)  # out of the picture
    x, y, z = (ahead @ rotation_matrix(motion.pose.rotation.double())).unbind(-1)
    right = torch.rad2deg(torch.atan2(x, -z))
    return torch.stack([right, torch.rad2deg(torch.atan2(-y, torch.hypot(x, z)))], -1)


def _turned(motion: Motion, gaze: Gaze, aim: Tensor) -> Motion:
    """The head turned by its share towards ``aim``, beginning ``lead`` seconds after the eyes and ending with them."""
    late = tuple(replace(one, start=one.start + gaze.lead) for one in gaze.ranges if _outlasts(one, gaze.lead))
    share = gaze.head * envelope(late, len(motion), motion.fps, _TURN, _TURN)
    # The head turns from where it would face without the gaze, so that its own small movements go on.
    towards = share[:, None] * (aim - head_direction(motion))
    # Pitch and yaw that turn the face right and up are negative or positive as the rotation matrix has it.
    signs = torch.tensor(_signs(), dtype=torch.float64)
    turn = torch.stack([towards[:, 1] * signs[0], towards[:, 0] * signs[1], torch.zeros(len(motion)).double()], -1)
    pose = replace(motion.pose, rotation=displaced(motion.pose.rotation, turn))
    return replace(motion, pose=pose)


def _outlasts(one: TimeRange, lead: float) -> bool:
    return one.end is None or one.start + lead < one.end


def _signs() -> tuple[float, float]:
    """The sign of a pitch that looks up, and of a yaw that looks to the picture's right."""
    ahead = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64)
    up = ahead @ rotation_matrix(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    right = ahead @ rotation_matrix(torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    return -math.copysign(1.0, float(up[1])), math.copysign(1.0, float(right[0]))


def _wandering(motion: Motion) -> Tensor:
    """The motion's own looking aside, as a departure from the middle of the clip, (T, K, 3) float64.

    Read along pupil_x alone: up and down share the lids' way with blinks, which stay.
    """
    way = directions(motion.keypoint_space).above[_PUPILS[0]]  # (K, 3)
    seen = motion.expression.double()
    own = torch.zeros_like(seen)
    for upper, lower in LIDS:
        for point in (upper, lower):
            if float(way[point, X]) != 0.0:
                own[:, point, X] = seen[:, point, X] - seen[:, point, X].median()
    return own
