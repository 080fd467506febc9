"""The stages of speech to video, shared by the command line and the nodes, which only convert and report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..diffusion.emotion_schedule import EmotionSchedule
from ..diffusion.options import SamplingOptions
from ..diffusion.request import GenerationRequest, MotionGenerator
from ..face import FaceModel
from ..keypoint_space import PLAYMATE_DEMO, keep_expression, require_keypoints, same_keypoints
from ..media.video_reader import Frame
from ..motion.edit import resample_motion
from ..motion.emotion_by import EmotionBy, require_own_emotion, sample_with_emotion
from ..motion.pose import ALL_AXES, ROTATION_ONLY, apply_pose, choose_axes, fit, resample_pose, still
from ..motion.pose_sources import FollowOptions, follow_pose
from ..progress import Progress, StageProgress
from ..rendering.timed_motion import read_timed_motion
from ..values import FPS, AudioFeatures, EmotionCurve, Motion, Portrait, Pose, row_blocks
from ..weights.files import tensor_hash


def check_generator(generator: MotionGenerator, face_space: str) -> None:
    """Raise UserError where a generator cannot drive faces of ``face_space``, before any slow work.

    The demo's generator can drive the pose of any face (:mod:`keypoint_space`); the others support one space only.
    """
    if generator.keypoint_space != PLAYMATE_DEMO:
        require_keypoints(generator.name, generator.keypoint_space, face_space)


def check_emotion(
    generator: MotionGenerator, face_space: str, emotion: EmotionSchedule, frames: int, by: EmotionBy
) -> None:
    """Raise UserError where the emotion of a speech of ``frames`` is left to a generator without one, before it is
    encoded."""
    curve = emotion.curve(frames, FPS)
    require_own_emotion(curve, by, has_own_emotion(generator, face_space))


def has_own_emotion(generator: MotionGenerator, face_space: str) -> bool:
    """Whether a generator shows emotions by itself on faces of ``face_space``."""
    return same_keypoints(generator.keypoint_space, face_space) and bool(generator.emotions)


def sample_motion(
    generator: MotionGenerator,
    portrait: Portrait,
    audio: AudioFeatures,
    emotion: EmotionSchedule | None = None,
    options: SamplingOptions | None = None,
    previous: Motion | None = None,
    by: EmotionBy = EmotionBy.BOTH,
    progress: Progress | None = None,
) -> Iterator[Motion]:
    """The motion for a whole speech, window by window, in the keypoint space of ``portrait``.

    ``previous`` is a motion of any rate to continue. ``options`` None are the generator's defaults. ``by`` says what
    produces the emotion (:mod:`emotion_by`). Raises UserError, before the first window, for inputs that do not fit.
    """
    check_generator(generator, portrait.keypoint_space)
    shared = same_keypoints(generator.keypoint_space, portrait.keypoint_space)
    curve = None if emotion is None else emotion.curve(len(audio), audio.fps)
    origin = motion_origin(generator, audio, emotion, options or generator.defaults)
    past = None if previous is None else resample_motion(previous, audio.fps)

    def sample(own: EmotionCurve | None) -> Iterator[Motion]:
        request = GenerationRequest(portrait.keypoints, portrait.rest, audio, own, options, past, portrait.details)
        pieces = (replace(piece, origin=origin) for piece in generator.iterate(request, progress))
        return pieces if shared else (keep_expression(piece, portrait.rest) for piece in pieces)

    return sample_with_emotion(sample, curve, by, has_own=has_own_emotion(generator, portrait.keypoint_space))


def motion_origin(
    generator: MotionGenerator, audio: AudioFeatures, emotion: EmotionSchedule | None, options: SamplingOptions
) -> tuple[tuple[str, str], ...]:
    """What makes a motion again, by name: hashes of the model and of the features of the voice, emotion, seed, sampler
    and rate."""
    digest = hashlib.sha256()
    for module in generator.modules:
        digest.update(tensor_hash(module).encode())
    voice = hashlib.sha256()
    for rows in row_blocks(audio.features):
        voice.update(rows.contiguous().numpy().tobytes())
    return (
        ("emotion", "none" if emotion is None else emotion.summary()),
        ("generator", generator.name),
        ("model", digest.hexdigest()[:16]),
        ("rate", f"{audio.fps:g}"),
        ("sampler", f"{options.sampler}, {options.steps} steps"),
        ("seed", str(options.seed)),
        ("voice", voice.hexdigest()[:16]),
    )


def follow_video(
    face: FaceModel,
    seen: Iterable[Frame],
    fps: float,
    rest: Pose,
    how: FollowOptions,
    frames: int,
    known: int = 0,
    progress: Progress | None = None,
) -> Pose:
    """The pose of a portrait at ``rest`` that follows the head in a video of ``fps``, for ``frames`` frames at 25 fps.

    Videos of variable rate are resampled by their timestamps. The video is only read as far as needed; ``known`` is its
    number of frames, 0 where unknown.
    """
    needed = int(frames / FPS * fps) + 2
    beyond = frames / FPS + 2 / fps
    motion = read_timed_motion(face, _until(seen, beyond), fps, total=min(needed, known or needed), progress=progress)
    return follow_pose(motion.pose, rest, how)


def _until(seen: Iterable[Frame], seconds: float) -> Iterator[Frame]:
    """The frames up to the first at or after ``seconds``: the one before it may be shown for long."""
    for frame in seen:
        yield frame
        if frame.time >= seconds:
            return


def with_fitted_pose(motion: Motion, pose: Pose | None, rest: Pose, how: str) -> Motion:
    """``motion`` with the rotation of ``pose``, fitted to the motion's rate and length (:func:`pose.fit`), and
    translation and scale of ``rest``, one frame. None leaves the motion unchanged."""
    return next(fitted_pieces(iter([motion]), pose, rest, how, len(motion)))


def fitted_pieces(pieces: Iterator[Motion], pose: Pose | None, rest: Pose, how: str, frames: int) -> Iterator[Motion]:
    """:func:`with_fitted_pose` for the pieces of a motion of ``frames`` frames, as they come."""
    if pose is None:
        yield from pieces
        return
    turned: Pose | None = None
    begin = 0
    for piece in pieces:
        turned = turned or fit(resample_pose(pose, piece.fps), frames, how)
        held = still(rest, len(piece), piece.fps)
        yield apply_pose(piece, choose_axes(turned[begin : begin + len(piece)], held, ROTATION_ONLY), axes=ALL_AXES)
        begin += len(piece)


@dataclass(frozen=True)
class JobReport:
    """The result of a job: the file, its ``frames`` at ``fps``, and the duration of each stage in seconds."""

    path: Path
    frames: int
    fps: float
    stages: tuple[tuple[str, float], ...]

    @property
    def seconds(self) -> float:
        """Duration of the video."""
        return self.frames / self.fps


class StageClock:
    """Times the stages of a job and passes their progress on under their names."""

    def __init__(self, progress: StageProgress | None) -> None:
        self.stages: list[tuple[str, float]] = []
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Time the block as stage ``name``; yields its progress callback ``(done, total)``."""
        running = True

        def step(done: int, total: int) -> None:
            if self._progress and running:  # what began in a stage may go on in the next
                self._progress(name, done, total)

        start = time.perf_counter()
        yield step
        running = False
        self.stages.append((name, time.perf_counter() - start))
