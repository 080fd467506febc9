"""Keypoint trajectories of driven portraits, computed in parts so that memory does not grow with the clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..face import FaceModel
from ..geometry import place_motion
from ..interpolation import FrameInterpolation, resample_frames
from ..motion.driving import DrivingOptions, comparable, drive_still
from ..motion.lips_and_lids import limit_lid_closing
from ..motion.motion_file import MotionClip
from ..motion.pose import frontality
from ..values import Motion, Portrait
from .render import KEYPOINTS_AT_ONCE, Keypoints
from .retarget import guide_keypoints
from .source_image import SourcePortrait


@dataclass(frozen=True)
class KeypointTrajectory:
    """``frames`` frames at ``fps``: ``x_s`` (1, K, 3) are the picture's image keypoints, ``x_d`` computes the driven
    ones."""

    x_s: Tensor
    x_d: Keypoints
    frames: int
    fps: float


class ResampledClip:
    """A motion clip resampled lazily: only requested frames are computed. See :meth:`MotionClip.at`."""

    def __init__(self, motion_clip: MotionClip, fps: float) -> None:
        self._motion_clip, self.fps = motion_clip, fps
        rate, frames = motion_clip.motion.fps, len(motion_clip)
        self._reading = None if frames == 1 or abs(fps - rate) < 1e-6 else resample_frames(frames, rate, fps)

    def __len__(self) -> int:
        return len(self._motion_clip) if self._reading is None else len(self._reading.first)

    def __getitem__(self, frames: Tensor) -> MotionClip:
        frames_between = self._reading
        if frames_between is None:
            return self._motion_clip.at(self.fps)[frames]
        part = FrameInterpolation(
            frames_between.first[frames], frames_between.second[frames], frames_between.weight[frames]
        )
        return self._motion_clip.interpolate(part, self.fps)

    def reference_frame(self, reference: str) -> int:
        """As :func:`pose.reference_frame`."""
        if reference == "first":
            return 0
        facing = [frontality(self[part].motion.pose) for part in torch.arange(len(self)).split(KEYPOINTS_AT_ONCE)]
        return int(torch.cat(facing).argmax())


def portrait_trajectory(
    face: FaceModel, source: SourcePortrait, motion_clip: MotionClip, how: DrivingOptions, fps: float | None = None
) -> KeypointTrajectory:
    """The trajectory of a picture driven by a motion clip, at ``fps`` or the clip's rate; one frame is held for 1 s."""
    portrait = source.portrait
    motion, how = comparable(motion_clip.motion, portrait.rest, how)
    motion_clip = replace(motion_clip, motion=motion)
    x_s = place_motion(portrait.keypoints, portrait.rest)
    timed = ResampledClip(motion_clip, fps or motion_clip.motion.fps)
    start = torch.tensor([timed.reference_frame(how.reference)])
    driven = _driven(portrait, timed, how)
    led = replace(how, reference="first")

    def x_d(first: int, last: int) -> Tensor:
        """Prepends the reference frame to every part, as the others are relative to it."""
        frames = torch.cat([start, torch.arange(first, last)]) if len(timed) > 1 else torch.zeros(1, dtype=torch.long)
        seen = place_motion(portrait.keypoints, driven(frames))
        guided = guide_keypoints(face, x_s, seen, led, 0, source.openings, timed[frames].openings)
        return guided[1:] if len(timed) > 1 else guided.expand(last - first, -1, -1)

    return KeypointTrajectory(x_s, x_d, len(timed) if len(timed) > 1 else round(timed.fps), timed.fps)


def _driven(portrait: Portrait, timed: ResampledClip, how: DrivingOptions) -> Callable[[Tensor], Motion]:
    """The portrait's motion at given frames, the first of which is the reference.

    Smoothing needs the whole clip, and so do the lids of a face that the networks hardly know (see
    :func:`limit_lid_closing`).
    """
    limited = how.mode == "relative" and not portrait.familiar
    if (how.smoothing or limited) and len(timed) > 1:
        driving = timed[torch.arange(len(timed))].motion
        whole = drive_still(portrait.rest, driving, how)
        return (limit_lid_closing(whole, driving) if limited else whole).__getitem__
    return lambda frames: drive_still(portrait.rest, timed[frames].motion, replace(how, reference="first"))
