"""The stages of speech to video that the command line and the nodes share: each door only converts and reports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from ..diffusion.emotion_schedule import EmotionSchedule
from ..diffusion.options import SamplingOptions
from ..diffusion.request import GenerationRequest, MotionGenerator
from ..face import FaceModel
from ..keypoint_space import PLAYMATE_DEMO, keep_expression, require_keypoints, same_keypoints
from ..media.video_reader import Frame
from ..motion.edit import resample_motion
from ..motion.emotion_by import EmotionBy, sample_with_emotion
from ..motion.pose import ALL_AXES, TURNS, apply_pose, choose_axes, fit, resample_pose, still
from ..motion.pose_sources import Following, followed
from ..progress import Progress, StageProgress
from ..rendering.timed_motion import read_timed_motion
from ..values import FPS, AudioFeatures, EmotionCurve, Motion, Portrait, Pose


def check_generator(generator: MotionGenerator, face_space: str) -> None:
    """Raise UserError where a generator cannot drive faces of ``face_space``, before any slow work.

    The demo's generator can lend its pose to any face (:mod:`keypoint_space`); the others know one space only.
    """
    if generator.keypoint_space != PLAYMATE_DEMO:
        require_keypoints(generator.name, generator.keypoint_space, face_space)


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
    """The motion of a whole speech, window by window, as ``portrait`` can follow it.

    ``previous``, at any rate, is gone on from. ``options`` None are those the generator was published with. ``by`` says
    who shows the emotion (:mod:`emotion_by`). Raises UserError, before the first window, for what does not fit.
    """
    check_generator(generator, portrait.keypoint_space)
    shared = same_keypoints(generator.keypoint_space, portrait.keypoint_space)
    curve = None if emotion is None else emotion.curve(len(audio), audio.fps)
    past = None if previous is None else resample_motion(previous, audio.fps)

    def sample(own: EmotionCurve | None) -> Iterator[Motion]:
        request = GenerationRequest(portrait.keypoints, portrait.rest, audio, own, options, past, portrait.details)
        pieces = generator.iterate(request, progress)
        return pieces if shared else (keep_expression(piece, portrait.rest) for piece in pieces)

    return sample_with_emotion(sample, curve, by, has_own=shared and bool(generator.emotions))


def follow_video(
    face: FaceModel,
    seen: Iterable[Frame],
    fps: float,
    rest: Pose,
    how: Following,
    frames: int,
    known: int = 0,
    progress: Progress | None = None,
) -> Pose:
    """The pose of a portrait at ``rest`` that follows the head in a video of ``fps``, for ``frames`` frames at 25 fps.

    Where the video has no steady rate, what it shows is laid along its timestamps. What lies beyond those frames is not
    read; ``known`` is the video's own number of frames, 0 where unknown.
    """
    needed = int(frames / FPS * fps) + 2
    beyond = frames / FPS + 2 / fps
    wanted = takewhile(lambda frame: frame.time <= beyond, seen)
    motion = read_timed_motion(face, wanted, fps, total=min(needed, known or needed), progress=progress)
    return followed(motion.pose, rest, how)


def with_fitted_pose(motion: Motion, pose: Pose | None, rest: Pose, how: str) -> Motion:
    """``motion`` with its head turned as ``pose`` says, at the motion's rate and length (:func:`pose.fit`), in the
    place and at the size of ``rest``, one frame. None leaves the motion as it is."""
    if pose is None:
        return motion
    turned = fit(resample_pose(pose, motion.fps), len(motion), how)
    held = still(rest, len(motion), motion.fps)
    return apply_pose(motion, choose_axes(turned, held, TURNS), axes=ALL_AXES)


@dataclass(frozen=True)
class JobReport:
    """What was made: the file, its ``frames`` at ``fps``, and how long each stage took, in seconds."""

    path: Path
    frames: int
    fps: float
    stages: tuple[tuple[str, float], ...]

    @property
    def seconds(self) -> float:
        """How long the video is."""
        return self.frames / self.fps


class StageClock:
    """Times the stages of a job and passes their progress on under their names."""

    def __init__(self, progress: StageProgress | None) -> None:
        self.stages: list[tuple[str, float]] = []
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        def step(done: int, total: int) -> None:
            if self._progress:
                self._progress(name, done, total)

        start = time.perf_counter()
        yield step
        self.stages.append((name, time.perf_counter() - start))
