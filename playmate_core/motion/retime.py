"""A motion cut, turned round, looped, joined to another, played faster or slower, smoothed region by region."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..diffusion.request import joined
from ..errors import UserError
from ..interpolation import lerp, smooth_track
from ..keypoint_space import adapt_motion
from ..ranges import check_ranges, ranged
from ..times import WHOLE, TimeRange
from ..values import Motion
from .edit import fit_motion, resample_motion
from .pose import mix_poses, smooth
from .region_mix import FACE_REGIONS

#: Observation variance of the smoother at an amount of 1 (docs/liveportrait.md 7.5); at 100 it smooths plainly.
SMOOTHING_UNIT = 3e-6


@dataclass(frozen=True)
class Retiming:
    """Steps in this order: the frames of ``keep``, ``reverse``, ``speed`` times as fast, ``loops`` times in all, and
    another ``fps`` (0 keeps the rate). A loop cross-fades where it begins again."""

    keep: TimeRange = WHOLE
    reverse: bool = False
    speed: float = ranged(1.0, 0.1, 10.0)
    loops: int = ranged(1, 1, 1000)
    fps: float = ranged(0.0, 0.0, 240.0)

    def __post_init__(self) -> None:
        check_ranges(self)
        if 0.0 < self.fps < 1.0:
            raise UserError(f"fps is {self.fps:g}; please give 0 to keep the rate, or 1 to 240.")


def retime(motion: Motion, how: Retiming) -> Motion:
    """``motion`` after the steps of ``how``; without any it comes back bit for bit.

    Raises UserError where nothing is left to keep.
    """
    motion = _kept(motion, how.keep)
    if how.reverse:
        motion = motion[torch.arange(len(motion) - 1, -1, -1)]
    if how.speed != 1.0:
        # The frames of a rate that is `speed` times higher, shown at the old rate.
        faster = replace(motion, pose=replace(motion.pose, fps=motion.fps * how.speed))
        motion = resample_motion(faster, motion.fps)
    if how.loops > 1:
        motion = fit_motion(motion, how.loops * len(motion), "loop")
    return resample_motion(motion, how.fps) if how.fps and how.fps != motion.fps else motion


def join_motions(first: Motion, second: Motion, seconds: float = 0.3) -> Motion:
    """``first``, then ``second``; the last ``seconds`` of the one fade into the first of the other.

    At the rate of ``first``. A fade of 0 is a cut: both come back bit for bit, one after the other. Raises UserError
    where either is shorter than the fade.
    """
    if not 0.0 <= seconds <= 60.0:
        raise UserError(f"The fade lasts {seconds:g} s; please give a number from 0 to 60.")
    if abs(second.fps - first.fps) > 1e-6:
        second = resample_motion(second, first.fps)
    frames = round(seconds * first.fps)
    if frames > min(len(first), len(second)):
        raise UserError(
            f"The motions last {len(first)} and {len(second)} frames, the fade {frames}; please make the fade shorter."
        )
    second = adapt_motion(second, first[-1:])  # of other keypoints: the last face of the first is held
    head, tail = first[: len(first) - frames], second[frames:]
    if not frames:
        return joined([head, tail])
    ramp = torch.arange(1, frames + 1, dtype=torch.float64) / (frames + 1)
    share = ramp * ramp * (3.0 - 2.0 * ramp)
    old, new = first[len(first) - frames :], second[:frames]
    between = replace(
        old,
        pose=mix_poses(old.pose, new.pose, share),
        expression=lerp(old.expression, new.expression, share[:, None, None]),
    )
    return joined([head, between, tail])


@dataclass(frozen=True)
class RegionSmoothing:
    """How strongly each region is smoothed: 0 leaves it, 1 is gentle, 100 is plain. Lips are left unless asked for."""

    lips: float = ranged(0.0, 0.0, 1000.0)
    eyes: float = ranged(0.0, 0.0, 1000.0)
    brows: float = ranged(1.0, 0.0, 1000.0)
    rest: float = ranged(1.0, 0.0, 1000.0)
    head: float = ranged(1.0, 0.0, 1000.0)

    def __post_init__(self) -> None:
        check_ranges(self)


def smooth_regions(motion: Motion, amounts: RegionSmoothing) -> Motion:
    """``motion`` smoothed by LivePortrait's smoother (docs/liveportrait.md 7.5), each region by its own amount.

    A region with an amount of 0 keeps every bit.
    """
    if not len(motion):
        return motion
    expression = motion.expression.clone()
    for region, points in FACE_REGIONS.items():
        if amount := getattr(amounts, region):
            track = motion.expression[:, list(points)]
            smoothed: Tensor = smooth_track(track.flatten(1), amount * SMOOTHING_UNIT).float()
            expression[:, list(points)] = smoothed.unflatten(1, track.shape[1:])
    pose = smooth(motion.pose, amounts.head * SMOOTHING_UNIT) if amounts.head else motion.pose
    return replace(motion, pose=pose, expression=expression)


def _kept(motion: Motion, keep: TimeRange) -> Motion:
    if keep == WHOLE:
        return motion
    kept = motion[keep.inside(len(motion), motion.fps).nonzero()[:, 0]]
    if not len(kept):
        raise UserError(
            f"The motion lasts {len(motion) / motion.fps:.2f} s, so nothing is left from {keep.start:g} s on;"
            " please keep an earlier part."
        )
    return kept
