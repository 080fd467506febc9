"""The animate pipeline: a picture or a source video, driven by a video, picture or motion file, becomes a video."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from ..detection.crop import CropOptions
from ..detection.detect import FaceSource, Pick
from ..detection.paste_options import PasteOptions
from ..errors import UserError
from ..face import FaceModel
from ..geometry import place
from ..media.credentials import Signing, check_signing
from ..media.images import check_file, read_picture, to_bytes
from ..media.output_file import OutputLock
from ..media.provenance import COMPOSITE, DRAWN
from ..media.sound_source import SoundSource, find_sound
from ..media.transparency import read_colour
from ..media.video_options import VideoOptions
from ..media.video_reader import has_sound, video_facts
from ..motion.driving import ANIMAL, DrivingOptions, drive_clip
from ..motion.motion_file import MotionClip
from ..motion.motion_tables import holds_shapes, read_motion_clip
from ..progress import StageProgress
from ..ranges import check_ranges, ranged
from ..rendering.device import AUTO, require_device, to_device
from ..rendering.portrait import FaceLimits
from ..rendering.retarget import guide_keypoints, require_networks
from ..rendering.segments import RenderJob, VideoOutput, segments_folder, write_video
from ..rendering.side_by_side import (
    Column,
    driving_column,
    picture_column,
    portrait_column,
    source_video_column,
    with_columns,
)
from ..rendering.source_frames import DrivenFace
from ..rendering.source_image import read_source_portrait
from ..rendering.source_video import (
    FaceVideoOptions,
    SourceVideo,
    read_driving,
    read_driving_picture,
    read_source_video,
)
from ..rendering.trajectory import portrait_trajectory
from ..rendering.write_video import source_video_job, trajectory_job
from ..values import Motion
from ..weights.files import load_face
from ..weights.folders import bundled
from .input_kinds import is_motion, is_picture, is_video
from .portrait_picture import composition_of, read_portrait_picture
from .recipe import recipe_mark
from .stages import JobReport, StageClock

#: The videos whose sound may be preferred.
DRIVING, SOURCE = "driving", "source"
SOUND_FROM = (DRIVING, SOURCE)


@dataclass(frozen=True)
class AnimateRequest:
    """All inputs and options of an animation.

    ``portrait`` is a picture or a source video; ``driving`` a video, a picture, one of our motion files or a
    LivePortrait template; a single driving frame is held for a second. ``crop``, ``face`` and ``around`` select the
    face of the portrait and the area around it, ``threshold`` is the least score of its detection, ``video`` is how a
    driving video is read. ``fps`` None keeps the rate of the source video, else of the driving motion. ``mask`` is a
    picture as large as the portrait, white where the animation may show; ``paste`` how soft its edge is.
    ``background`` is the colour behind a transparent picture. ``sound`` None takes that of ``sound_from``
    or of the other video. ``audio_track`` selects a track, None as :func:`find_sound`. ``side_by_side`` shows source,
    driving picture and result in a row. ``longest_side`` limits the picture, and so the video. ``resume`` keeps
    finished segments when the job is stopped, and resumes from them when it runs again; ``keep_parts`` keeps them after
    the end too, so that the next run renders only those that changed.
    """

    portrait: Path
    driving: Path
    output: Path
    how: DrivingOptions = field(default_factory=DrivingOptions)
    fps: float | None = ranged(None, 1.0, 240.0, "frames a second")
    crop: FaceSource = "auto"
    face: Pick | None = None
    threshold: float | None = ranged(None, 0.01, 0.99, "of certainty")
    around: CropOptions = field(default_factory=CropOptions)
    video: FaceVideoOptions = field(default_factory=FaceVideoOptions)
    paste_back: bool = True
    mask: Path | None = None
    paste: PasteOptions = field(default_factory=PasteOptions)
    background: str = "white"
    encoding: VideoOptions = field(default_factory=VideoOptions)
    sound: Path | None = None
    sound_from: str = DRIVING
    audio_track: int | None = ranged(None, 0, 999, whole=True)
    weights: Path | None = None
    limits: FaceLimits | None = field(default_factory=FaceLimits)
    longest_side: int = ranged(4096, 64, 16384, "pixels")
    batch: int = ranged(8, 1, 1024, "frames")
    side_by_side: bool = False
    resume: bool = False
    keep_parts: bool = False
    device: str = "cpu"
    precision: str = AUTO
    mark: bool = True
    sign: Signing | None = None

    def __post_init__(self) -> None:
        if self.sound_from not in SOUND_FROM:
            raise ValueError(f"sound_from must be one of {', '.join(SOUND_FROM)}, got {self.sound_from!r}.")
        check_ranges(self)


def animate(request: AnimateRequest, progress: StageProgress | None = None, face: FaceModel | None = None) -> JobReport:
    """Make the video. Raises UserError for anything a user can correct, before the slow part wherever possible.

    ``request.output`` is written atomically. Frames are rendered, pasted and encoded in batches. ``face``: the model
    of :func:`load`, where it is loaded already.
    """
    check(request)
    with OutputLock(request.output):
        return _animate(request, face, StageClock(progress))


def load(request: AnimateRequest) -> FaceModel:
    """The face model on its device. Raises UserError where it lacks what the options need."""
    face = to_device(load_face(request.weights or bundled("face.safetensors")), request.device, request.precision)
    require_networks(face, request.how)
    return face


def _animate(request: AnimateRequest, face: FaceModel | None, clock: StageClock) -> JobReport:
    sound = find_request_sound(request)
    motion_clip = read_motion_clip(request.driving) if is_motion(request.driving) else None
    with clock.stage("load models"):
        face = face or load(request)
    if motion_clip is not None and holds_shapes(request.driving):  # which face makes them is known only now
        motion_clip = read_motion_clip(request.driving, face.config.keypoint_space)
    if is_video(request.portrait):
        return _animate_video(request, face, motion_clip, sound, clock)
    with clock.stage("read portrait"):
        picture, transparency = read_portrait_picture(
            request.portrait, request.longest_side, request.background, request.paste
        )
        source = read_source_portrait(
            face, picture, request.crop, request.face, request.around, request.limits, request.threshold
        )
        portrait, encoding = replace(source.portrait, transparency=transparency), _encoding(request)
        composition = composition_of(
            portrait, request.paste_back, request.mask, request.paste, request.output, encoding
        )
    motion_clip = motion_clip or _read_driving(request, face, clock)
    trajectory = portrait_trajectory(face, source, motion_clip, request.how, request.fps)
    job = trajectory_job(face, portrait, trajectory, request.batch, composition)
    return _write(request, _beside(request, job, portrait_column(portrait, composition.pasted)), sound, clock)


def source_video_keypoints(
    face: FaceModel, source_video: SourceVideo, motion_clip: MotionClip, how: DrivingOptions
) -> tuple[Tensor, Tensor]:
    """Image keypoints of a source video (T, K, 3), its own and the driven ones; T is the shorter of the two."""
    driven = drive_clip(source_video.motion, motion_clip.motion, how)
    frames = slice(0, len(driven))
    x_s, x_d = (_placed(source_video.keypoints[frames], motion) for motion in (source_video.motion[frames], driven))
    own, other = source_video.openings, motion_clip.openings
    if len(motion_clip.motion) > 1 and other is not None:
        other = other[frames]
    return x_s, guide_keypoints(face, x_s, x_d, how, 0, own and own[frames], other)


def check(request: AnimateRequest) -> None:
    """Raise UserError for any error that can be found before slow work."""
    _encoding(request).check(request.output, request.fps)
    read_colour(request.background)
    driving = "motion" if is_motion(request.driving) else "driving video"
    inputs = [(request.portrait, "portrait"), (request.driving, driving)]
    inputs += [(path, what) for path, what in ((request.mask, "mask"), (request.sound, "sound")) if path is not None]
    for path, what in inputs:
        check_file(path, what)
        refuse_overwriting(request.output, path)
    for path in (request.portrait, request.driving):
        if is_video(path):
            video_facts(path)
    if not (is_motion(request.driving) or is_video(request.driving) or is_picture(request.driving)):
        video_facts(request.driving)  # an unusual suffix: raises unless it is a video
    if request.sound is not None and not has_sound(request.sound):
        raise UserError(f"{request.sound} has no audio in it; please give another sound.")
    require_device(request.device, request.precision)
    check_signing(request.sign, request.mark)


def _animate_video(
    request: AnimateRequest,
    face: FaceModel,
    motion_clip: MotionClip | None,
    sound: SoundSource | None,
    clock: StageClock,
) -> JobReport:
    if request.mask is not None or not request.paste_back:
        raise UserError("A video portrait is always pasted back, and without a mask; please leave these out.")
    if request.encoding.alpha == "keep":
        raise UserError("A video portrait is opaque, so no alpha can be kept; please choose alpha auto or none.")
    if request.how.mode == ANIMAL:
        raise UserError("The mode animal is for a picture; for a video portrait please choose relative or absolute.")
    options = replace(
        request.video, where=request.crop, pick=request.face, crop=request.around, threshold=request.threshold
    )
    with clock.stage("read portrait video") as step:
        source_video = read_source_video(face, request.portrait, options, request.fps, step)
    motion_clip = motion_clip or _read_driving(request, face, clock)
    motion_clip = motion_clip.at(source_video.motion.fps)
    x_s, x_d = source_video_keypoints(face, source_video, motion_clip, request.how)
    job = source_video_job(face, [DrivenFace(source_video, x_s, x_d)], request.batch)
    return _write(request, _beside(request, job, source_video_column(source_video)), sound, clock)


def _read_driving(request: AnimateRequest, face: FaceModel, clock: StageClock) -> MotionClip:
    if is_picture(request.driving):
        with clock.stage("read driving picture"):
            return read_driving_picture(face, request.driving, request.video)
    with clock.stage("read driving video") as step:
        return read_driving(face, request.driving, request.video, step)


def _beside(request: AnimateRequest, job: RenderJob, source: Column) -> RenderJob:
    """``job``, side by side with its source and with the driving picture where there is one, if asked for."""
    if not request.side_by_side:
        return job
    if is_motion(request.driving):
        return with_columns(job, [source])
    if is_picture(request.driving):
        return with_columns(job, [source, picture_column(to_bytes(read_picture(request.driving)))])
    return with_columns(job, [source, driving_column(request.driving, job.fps)])


def _write(request: AnimateRequest, job: RenderJob, sound: SoundSource | None, clock: StageClock) -> JobReport:
    with clock.stage("render and encode") as step:
        kind = COMPOSITE if request.paste_back else DRAWN
        marked = replace(_encoding(request), mark=recipe_mark("animate", request, kind))
        parts = segments_folder(request.output) if request.keep_parts else None
        frames = write_video(job, VideoOutput(request.output, sound, request.resume, marked, parts), step)
    return JobReport(request.output, frames, job.fps, tuple(clock.stages))


def _encoding(request: AnimateRequest) -> VideoOptions:
    """How the video is encoded, and who signs it. Columns beside the result are opaque."""
    encoding = replace(request.encoding, signing=request.sign if request.mark else None)
    if not request.side_by_side:
        return encoding
    if encoding.alpha == "keep":
        raise UserError("Pictures side by side are opaque, so no alpha can be kept; please leave one of both out.")
    return replace(encoding, alpha="none")


def find_request_sound(request: AnimateRequest) -> SoundSource | None:
    """The sound of the video, None if there is none. Raises UserError for a missing track."""
    videos = [path for path in (request.driving, request.portrait) if not is_motion(path)]
    if request.sound_from == SOURCE:
        videos.reverse()
    path = request.sound or next((path for path in videos if has_sound(path)), None)
    if path is None and request.audio_track is not None:
        raise UserError(f"There is no sound, so no audio track {request.audio_track}; please give a --sound.")
    return None if path is None else find_sound(path, request.audio_track)


def refuse_overwriting(output: Path, given: Path) -> None:
    """Raise UserError where ``output`` is the file ``given``."""
    if output.exists() and given.samefile(output):
        raise UserError(f"The output {output} would overwrite {given}; please choose another name.")


def _placed(keypoints: Tensor, motion: Motion) -> Tensor:
    pose = motion.pose
    return place(keypoints, pose.rotation, motion.expression, pose.translation, pose.scale)
