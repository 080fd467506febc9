"""Sources of head pose: keyframes written as text, and videos to follow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..diffusion.pose_prior import ANGLE_LIMITS, POSE_CLAMPED, clamp_pose
from ..errors import UserError
from ..ranges import check_ranges, check_seconds, ranged
from ..times import read_time
from ..values import FPS, Pose
from .pose import ALL_AXES, REFERENCES, PoseAxes, PoseKey, compose, keyframes, relative_pose, resample_pose, smooth

#: The reference of a followed pose: a frame of the video, or none (absolute angles).
ABSOLUTE = "absolute"
SEEN_FROM = (*REFERENCES, ABSOLUTE)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FollowOptions:
    """How to follow a video: its movement relative to the "first" or most "frontal" frame, or its "absolute" angles.

    ``smoothing`` is the observation variance of the Kalman smoother for the extracted pose, 0 for none. ``axes`` are
    the parts that follow.
    """

    seen_from: str = "first"
    smoothing: float = ranged(3e-6, 0.0, 1.0)
    axes: PoseAxes = ALL_AXES

    def __post_init__(self) -> None:
        if self.seen_from not in SEEN_FROM:
            raise UserError(f"Unknown reference {self.seen_from!r}; choose one of {', '.join(SEEN_FROM)}.")
        check_ranges(self)


def follow_pose(seen: Pose, rest: Pose | None, how: FollowOptions | None = None, fps: float = FPS) -> Pose:
    """The pose of a portrait with ``rest`` (one frame) that follows the pose ``seen`` in a video, at ``fps``.

    Without a portrait the video's angles are used. Angles are clamped to the renderer's limits (:func:`clamp_pose`).
    """
    how = how or FollowOptions()
    steady = resample_pose(seen, fps)
    if how.smoothing > 0:
        steady = smooth(steady, how.smoothing)
    if rest is not None and how.seen_from != ABSOLUTE:
        steady = relative_pose(steady, rest, how.seen_from, how.axes)
    angles, held = clamp_pose(steady.rotation, torch.zeros(3) if rest is None else rest.rotation[0])
    if held:
        log.warning(POSE_CLAMPED, ANGLE_LIMITS)
    return replace(steady, rotation=angles)


def posed(rotation: Sequence[float], translation: Sequence[float], scale: float, around: Pose | None = None) -> Pose:
    """One frame: ``rotation`` pitch, yaw, roll in degrees, ``translation`` x, y, ``scale``; counted from ``around``."""
    own = Pose(torch.tensor([list(rotation)]), torch.tensor([[*translation, 0.0]]), torch.tensor([[float(scale)]]))
    return own if around is None else compose(own, around)


def written_pose(text: str, fps: float = FPS, around: Pose | None = None) -> Pose:
    """The movement through the keys of :func:`read_keys`, from 0 s to the last key; see :func:`pose.keyframes`."""
    keys = read_keys(text, fps)
    frames = int(max(key.seconds for key in keys) * fps) + 2
    pose = keyframes(keys, frames, fps)
    if around is None:
        return pose
    held = [part.expand(frames, -1) for part in (around.rotation, around.translation, around.scale)]
    return compose(pose, Pose(held[0], held[1], held[2], fps))


def read_keys(text: str, fps: float = FPS) -> tuple[PoseKey, ...]:
    """Parse lines of "time: pitch yaw roll", or "time: pitch yaw roll x y scale"; # begins a comment.

    Degrees; x and y in halves of the crop; a scale of 1 is the model's neutral head size. Raises UserError, quoting the
    line, for anything else.
    """
    lines = [line.split("#")[0].strip() for line in text.replace(";", "\n").splitlines()]
    keys = tuple(_key(line, fps) for line in lines if line)
    if not keys:
        raise UserError("There is no pose keyframe; please write at least one line such as 0: 0 -15 0.")
    check_seconds((key.seconds for key in keys), text)
    return keys


def _key(line: str, fps: float) -> PoseKey:
    time, colon, rest = line.rpartition(":")
    try:
        seconds, values = read_time(time, fps), [float(word) for word in rest.replace(",", " ").split()]
    except (ValueError, UserError):
        colon, seconds, values = "", 0.0, []
    if not colon or len(values) not in (3, 6) or not 0 <= seconds < 86400 or not all(abs(v) < 360 for v in values):
        raise UserError(
            f"The pose keyframe {line!r} is not understood; please write time: pitch yaw roll, as in 1.5: 10 -20 0,"
            " with seconds, m:ss or frames (38f), or six numbers with x, y and scale."
        )
    pitch, yaw, roll, x, y, scale = [*values, 0.0, 0.0, 1.0][:6]
    if scale <= 0:
        raise UserError(f"The pose keyframe {line!r} has a scale of {scale:g}; please give one above 0.")
    return PoseKey(seconds, (pitch, yaw, roll), (x, y, 0.0), scale)
