"""Where the head pose of a talking video comes from, if it is not generated."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from ..face import FaceModel
from ..media.prefetch import prefetch
from ..media.video_reader import read_frames, video_facts
from ..motion.pose import ROTATION_ONLY, still
from ..motion.pose_sources import FollowOptions
from ..progress import Progress
from ..ranges import check_ranges, ranged
from ..values import Portrait, Pose
from .stages import follow_video

#: Sources of head pose other than a video file.
GENERATED, STILL = "generated", "still"


@dataclass(frozen=True)
class PoseSource:
    """The source of the head pose: "generated", "still" or the path of a video whose movement is followed.

    ``reference`` and ``fit`` as in :mod:`pose` and :mod:`interpolation`; ``smoothing`` the observation variance of the
    Kalman smoother for the pose extracted from the video.
    """

    source: str = GENERATED
    reference: str = "first"
    fit: str = "bounce"
    smoothing: float = ranged(3e-6, 0.0, 1.0)

    def __post_init__(self) -> None:
        check_ranges(self)


def read_pose(face: FaceModel, source: PoseSource, portrait: Portrait, frames: int, step: Progress) -> Pose | None:
    """The pose that replaces the generated one at 25 fps, or None where it is generated.

    The pose of a video is clamped to the renderer's limits, as generated poses are.
    """
    if source.source == GENERATED:
        return None
    rest = portrait.rest.pose
    if source.source == STILL:
        return still(rest, frames)
    facts = video_facts(source.source)
    how = FollowOptions(source.reference, source.smoothing, ROTATION_ONLY)
    with closing(prefetch(read_frames(source.source))) as seen:
        return follow_video(face, seen, facts.fps, rest, how, frames, facts.frames, step)
