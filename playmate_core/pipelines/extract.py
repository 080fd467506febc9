"""The motion of a video, or of a motion file, into a motion file."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..face import FaceModel
from ..media.images import check_file
from ..media.output_file import OutputLock, check_output
from ..media.video_reader import video_facts
from ..motion.motion_file import SUFFIX
from ..motion.motion_tables import TABLE_SUFFIXES, holds_shapes, read_motion_clip, write_motion_clip
from ..progress import StageProgress
from ..rendering.device import require_device
from ..rendering.source_video import FaceVideoOptions, read_driving
from ..weights.files import load_face
from ..weights.folders import bundled
from .animate import refuse_overwriting
from .input_kinds import is_motion
from .stages import JobReport, StageClock


def extract(
    video: Path,
    output: Path,
    options: FaceVideoOptions | None = None,
    weights: Path | None = None,
    fps: float | None = None,
    device: str = "cpu",
    progress: StageProgress | None = None,
    arkit: bool = False,
) -> JobReport:
    """Extract the motion of a video into a motion file; ``fps`` None keeps the video's rate. Raises UserError.

    ``video`` may be a motion file of any kind, which is written as another kind. A table holds ARKit's blend shapes
    with ``arkit``.
    """
    clock = StageClock(progress)
    written = output.suffix.lower()
    check_output(output, written if written in TABLE_SUFFIXES else SUFFIX)
    check_file(video, "motion" if is_motion(video) else "driving video")
    if arkit and written not in TABLE_SUFFIXES:
        raise UserError(f"Blend shapes go into a table; please name the output .csv or .json, got {output.name}.")
    refuse_overwriting(output, video)
    require_device(device)
    of_shapes = is_motion(video) and holds_shapes(video)
    if not is_motion(video):
        video_facts(video)
    with OutputLock(output):
        face: FaceModel | None = None
        if of_shapes or not is_motion(video):
            with clock.stage("load models"):
                face = load_face(weights or bundled("face.safetensors")).to(device)
        with clock.stage("read motion") as step:
            if face is None or of_shapes:
                motion_clip = read_motion_clip(video, "" if face is None else face.config.keypoint_space)
            else:
                motion_clip = read_driving(face, video, options, step)
        motion_clip = motion_clip.at(fps or motion_clip.motion.fps)
        write_motion_clip(motion_clip, output, arkit)
    return JobReport(output, len(motion_clip.motion), motion_clip.motion.fps, tuple(clock.stages))
