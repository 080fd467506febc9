"""A voice for somebody's video: lips, face or everything from a motion, the rest from the video."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UserError
from ..face import FaceModel
from ..motion.driving import DrivingOptions, drive_clip
from ..motion.edit import resample_motion
from ..motion.region_mix import RegionShares, region_mix
from ..rendering.segments import RenderJob
from ..rendering.source_frames import driven
from ..rendering.source_video import SourceVideo
from ..rendering.video_order import VIDEO_FITS
from ..rendering.write_video import source_video_job
from ..times import TimeCurve
from ..values import Motion

_ALL = TimeCurve(((0.0, 1.0),))
#: What the motion replaces in the video: "lips" is dubbing, "face" a talk over a loop, "all" reenactment.
REPLACED = ("lips", "face", "all")


@dataclass(frozen=True)
class OverVideo:
    """``replaced``: one of REPLACED. ``fit``: one of VIDEO_FITS, how the video becomes as long as the motion."""

    replaced: str = "lips"
    fit: str = "bounce"

    def __post_init__(self) -> None:
        for what, value, known in (("part", self.replaced, REPLACED), ("video fit", self.fit, VIDEO_FITS)):
            if value not in known:
                raise UserError(f"Unknown {what} {value!r}; please choose one of {', '.join(known)}.")


def motion_over_video(source: SourceVideo, motion: Motion, how: OverVideo) -> tuple[SourceVideo, Motion]:
    """The video fitted to ``motion``, and its own motion with the replaced part taken from ``motion``.

    Both have the video's rate and one length. "lips" and "face" leave the head of the video where it is in every bit;
    "all" adds the motion's change to the video's own, as :func:`drive_clip` does.
    """
    motion = resample_motion(motion, source.motion.fps)
    source = source.fitted(len(motion), how.fit)
    motion = motion[: len(source)]
    if how.replaced == "all":
        return source, drive_clip(source.motion, motion, DrivingOptions())
    shares = RegionShares(lips=_ALL)
    if how.replaced == "face":
        shares = RegionShares(lips=_ALL, eyes=_ALL, brows=_ALL, rest=_ALL)
    return source, region_mix(source.motion, motion, shares)


def over_video_job(face: FaceModel, source: SourceVideo, motion: Motion, batch: int) -> RenderJob:
    """The job that renders ``source`` with ``motion`` in place of its own; both of :func:`motion_over_video`."""
    return source_video_job(face, [driven(face, source, motion)], batch)
