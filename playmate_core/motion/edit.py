"""Edit a motion by region: lips, eyes, the rest of the expression, the head pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..interpolation import FrameInterpolation, fit_frames, lerp, resample_frames, smooth_track
from ..keypoint_space import adapt_motion
from ..ranges import check_ranges, ranged
from ..values import EYE_KEYPOINTS, KEYPOINTS, LIP_KEYPOINTS, Motion
from .pose import interpolate_pose, mix_poses, smooth, still


@dataclass(frozen=True)
class Regions:
    """One number for each region of a motion: a gain, or the share of a second motion."""

    lips: float = ranged(1.0, 0.0, 10.0)
    eyes: float = ranged(1.0, 0.0, 10.0)
    expression: float = ranged(1.0, 0.0, 10.0)
    pose: float = ranged(1.0, 0.0, 10.0)

    def __post_init__(self) -> None:
        check_ranges(self)

    def per_keypoint(self) -> Tensor:
        """The three expression numbers laid out over the keypoints -> (K, 1)."""
        weights = torch.full((KEYPOINTS, 1), float(self.expression))
        weights[list(LIP_KEYPOINTS)] = float(self.lips)
        weights[list(EYE_KEYPOINTS)] = float(self.eyes)
        return weights


def hold_rest(rest: Motion, frames: int, fps: float) -> Motion:
    """A motion of one frame held for ``frames``."""
    expression = rest.expression.expand(frames, -1, -1).clone()
    return replace(rest, pose=still(rest.pose, frames, fps), expression=expression)


def mix(first: Motion, second: Motion, share: Regions) -> Motion:
    """``first`` and ``second``, equally long, blended region by region; a share of 0 is the first, 1 the second.

    Of a second motion in another keypoint space only the pose is used.
    """
    second = adapt_motion(second, first)
    pose = mix_poses(first.pose, second.pose, share.pose)
    return replace(first, pose=pose, expression=lerp(first.expression, second.expression, share.per_keypoint()))


def scale_regions(motion: Motion, rest: Motion, gains: Regions) -> Motion:
    """Scale each region's difference from ``rest`` (one frame): 0 holds it still, 1 leaves it, 2 doubles it."""
    return mix(hold_rest(rest, len(motion), motion.fps), motion, gains)


def resample_motion(motion: Motion, fps: float) -> Motion:
    """The same movement at another rate."""
    return interpolate_motion(motion, resample_frames(len(motion), motion.fps, fps), fps)


def fit_motion(motion: Motion, frames: int, how: str = "hold") -> Motion:
    """Exactly ``frames`` frames, by one of :data:`interpolation.FITS`."""
    return interpolate_motion(motion, fit_frames(len(motion), frames, how, motion.fps), motion.fps)


def smooth_motion(motion: Motion, observation_variance: float = 3e-7) -> Motion:
    """LivePortrait's Kalman smoothing (docs/liveportrait.md 7.5) of pose and expression."""
    expression = smooth_track(motion.expression.flatten(1), observation_variance).float()
    smoothed = expression.unflatten(1, (KEYPOINTS, 3))
    return replace(motion, pose=smooth(motion.pose, observation_variance), expression=smoothed)


def interpolate_motion(motion: Motion, frames_between: FrameInterpolation, fps: float) -> Motion:
    """Interpolate ``motion`` at ``frames_between``, at rate ``fps``: slerp for rotations, else linear."""
    weight = frames_between.weight[:, None, None]
    expression = lerp(motion.expression[frames_between.first], motion.expression[frames_between.second], weight)
    return replace(motion, pose=interpolate_pose(motion.pose, frames_between, fps), expression=expression)
