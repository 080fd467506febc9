"""The whole job as one function: a portrait and a speech become a talking video."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from ..detection.detect import Pick, Where
from ..diffusion.denoiser import MotionDenoiser
from ..diffusion.emotion import EmotionController
from ..diffusion.emotion_schedule import NO_EMOTION, emotion_curve, read_score
from ..diffusion.generate import generate
from ..diffusion.options import SamplingOptions
from ..diffusion.request import GenerationRequest
from ..errors import UserError
from ..face import FaceModel
from ..interpolation import FITS
from ..media.audio_files import Sound, read_sound
from ..media.images import check_file, read_picture
from ..media.prefetch import ahead
from ..media.video_reader import read_frames, video_facts
from ..media.video_writer import check_folder, check_output
from ..motion.plot import plot_motion
from ..motion.pose import TURNS, apply_pose, fit, still
from ..motion.pose_sources import Following, followed
from ..rendering.device import AUTO, require_device, settled
from ..rendering.portrait import FaceLimits, read_motion
from ..rendering.render import RenderOptions
from ..rendering.source_image import read_subject
from ..rendering.write_video import FilmRequest, write_film
from ..speech import make_encoder
from ..values import FPS, AudioFeatures, Motion, Portrait, Pose
from ..weights.files import load_emotion, load_face, load_motion
from ..weights.folders import bundled
from ..weights.liveportrait import POSE_ONLY, shares_keypoints

#: Sources of head pose that are no file.
GENERATED, STILL = "generated", "still"
#: Told the stage, the steps done in it and their number; may raise to cancel.
Progress = Callable[[str, int, int], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """Model files; None is the bundled one. ``audio``: a local folder with the audio encoder, where it has weights."""

    face: Path | None = None
    motion: Path | None = None
    emotion: Path | None = None
    audio: str | None = None


@dataclass(frozen=True)
class PoseSource:
    """Where the head pose comes from: "generated", "still" or a film, of which the movement is taken.

    ``reference`` and ``fit`` as in :mod:`pose` and :mod:`tracks`; ``smoothing`` the observation variance of the
    Kalman smoother that calms what the network reads from the film.
    """

    source: str = GENERATED
    reference: str = "first"
    fit: str = "bounce"
    smoothing: float = 3e-6


@dataclass(frozen=True)
class TalkRequest:
    """Everything that decides a talking video. ``emotion`` a name, "none", or a timeline (see :mod:`score`).

    ``crop`` and ``face`` as in :func:`detect.find_crop`; ``limits`` None takes any picture for a face; ``plot`` is
    where a picture of the motion goes, if anywhere; ``resume`` keeps what is drawn when the job is stopped, and goes on
    from it when the job is given again.
    """

    portrait: Path
    speech: Path
    output: Path
    emotion: str = "neutral"
    intensity: float = 1.0
    pose: PoseSource = field(default_factory=PoseSource)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    rendering: RenderOptions = field(default_factory=RenderOptions)
    weights: Weights = field(default_factory=Weights)
    crop: Where = "auto"
    face: Pick | None = None
    limits: FaceLimits | None = field(default_factory=FaceLimits)
    paste_back: bool = False
    resume: bool = False
    device: str = "cpu"
    precision: str = AUTO
    plot: Path | None = None


@dataclass(frozen=True)
class TalkReport:
    """What was made: the file, its ``frames`` and ``seconds``, and how long each stage took, in seconds."""

    path: Path
    frames: int
    seconds: float
    stages: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Models:
    """The networks of a job; ``emotion`` None leaves the emotion to the voice."""

    face: FaceModel
    motion: MotionDenoiser
    emotion: EmotionController | None


def talk(request: TalkRequest, progress: Progress | None = None) -> TalkReport:
    """Make the video. Raises UserError for anything a person can put right, before the slow part wherever possible.

    Nothing is left at ``request.output`` or ``request.plot`` unless the video is whole. Memory does not grow with
    the pictures. What is quick to refuse comes first: an hour of speech is read after the portrait is known to do.
    """
    clock = Clock(progress)
    check(request)
    with clock.stage("read picture"):
        picture = read_picture(request.portrait)
    with clock.stage("load models"):
        models = load_models(request)
    with clock.stage("read portrait"):
        subject = read_subject(models.face, picture, request.crop, request.face, limits=request.limits)
        portrait = subject.portrait
    with clock.stage("read speech"):
        sound = read_sound(request.speech)
    with clock.stage("listen") as step:
        audio = listen(models.motion, request.weights.audio, sound, request.device, step)
    with clock.stage("read pose") as step:
        pose = read_pose(models.face, request.pose, portrait, len(audio), step)
    with clock.stage("generate motion") as step:
        motion = move(models, request, portrait, audio, step)
    if pose is not None:
        motion = apply_pose(motion, pose)
    with _kept_if_whole(request.plot) as plot:
        if plot:
            write_plot(plot, motion, audio)
        with clock.stage("render and encode") as step:
            frames = write_video(models.face, request, portrait, motion, step)
    return TalkReport(request.output, frames, frames / FPS, tuple(clock.stages))


def check(request: TalkRequest) -> None:
    """Raise UserError for whatever can be known to be wrong before any slow work."""
    check_output(request.output)
    if request.plot:
        if request.plot.suffix.lower() != ".png" or request.plot.is_dir():
            raise UserError(f"The plot {request.plot} must be a .png; please rename it.")
        check_folder(request.plot.parent)
    inputs = [(request.portrait, "portrait"), (request.speech, "speech")]
    if request.pose.source not in (GENERATED, STILL):
        if not Path(request.pose.source).exists():
            raise UserError(
                f"The pose {request.pose.source!r} is neither {GENERATED} nor {STILL}, nor a video file that exists;"
                " please check the path."
            )
        inputs.append((Path(request.pose.source), "pose video"))
    for path, what in inputs:
        check_file(path, what)
        for target in (request.output, request.plot):
            if target and target.exists() and path.samefile(target):
                raise UserError(f"The output {target} would overwrite the {what}; please choose another name.")
    read_score(request.emotion, request.intensity)
    if not shares_keypoints(request.weights.face, request.weights.motion):
        log.warning(POSE_ONLY)
    if request.pose.fit not in FITS:
        raise UserError(f"Unknown pose fit {request.pose.fit!r}; please choose one of {', '.join(FITS)}.")
    if len(inputs) > 2:
        video_facts(request.pose.source)
    require_device(request.device, request.precision)


def load_models(request: TalkRequest) -> Models:
    """Load face, motion and, unless the emotion is "none", the emotion model onto the device."""
    chosen = request.weights
    face = load_face(chosen.face or bundled("face.safetensors"))
    motion = load_motion(chosen.motion or bundled("motion.safetensors"))
    emotion = None
    if request.emotion.strip().lower() != NO_EMOTION:
        emotion = load_emotion(chosen.emotion or bundled("emotion.safetensors"), motion)
        emotion = emotion.to(request.device)
    return Models(settled(face, request.device, request.precision), motion.to(request.device), emotion)


def listen(
    motion: MotionDenoiser, source: str | None, sound: Sound, device: str, step: Callable[[int, int], None]
) -> AudioFeatures:
    """The features that ``motion`` was trained on, one row a video frame: ceil(duration x 25) of them."""
    encoder = make_encoder(motion.config.audio_encoder, source, device=device)
    return encoder.listen(sound.waveform, sound.rate, step)


def read_pose(
    face: FaceModel, source: PoseSource, portrait: Portrait, frames: int, step: Callable[[int, int], None]
) -> Pose | None:
    """The pose that replaces the generated one, ``frames`` long at 25 fps, or None where it is generated.

    What a film asks for is held within the renderer's comfortable range, as generated poses are.
    """
    if source.source == GENERATED:
        return None
    if source.source == STILL:
        return still(portrait.rest.pose, frames)
    facts = video_facts(source.source)
    needed = int(frames / FPS * facts.fps) + 2  # what lies beyond the speech need not be read
    total = min(needed, facts.frames or needed)
    with closing(ahead(frame.picture for frame in islice(read_frames(source.source), needed))) as pictures:
        seen = read_motion(face, pictures, facts.fps, total=total, progress=step).pose
    pose = followed(seen, portrait.rest.pose, Following(source.reference, source.smoothing, TURNS))
    return fit(pose, frames, source.fit)


def move(
    models: Models, request: TalkRequest, portrait: Portrait, audio: AudioFeatures, step: Callable[[int, int], None]
) -> Motion:
    """Generate the motion of the whole speech: 280 bytes a frame, an hour is 25 MB."""
    curve = emotion_curve(read_score(request.emotion, request.intensity), len(audio), audio.fps)
    asked = GenerationRequest(portrait.keypoints, portrait.rest, audio, curve, request.sampling)
    motion = generate(models.motion, models.emotion, asked, step)
    if shares_keypoints(request.weights.face, request.weights.motion):
        return motion
    return replace(motion, expression=portrait.rest.expression.expand_as(motion.expression).clone())


def write_video(
    face: FaceModel, request: TalkRequest, portrait: Portrait, motion: Motion, step: Callable[[int, int], None]
) -> int:
    """Render and encode, with the speech as it was given; returns the number of frames."""
    film = FilmRequest(request.output, request.speech, request.paste_back, request.resume, request.rendering)
    return write_film(face, portrait, motion, film, step)


def write_plot(path: Path, motion: Motion, audio: AudioFeatures) -> None:
    """Save the curves of ``motion`` over the loudness of the voice as a PNG."""
    import cv2

    drawn = cv2.imencode(".png", plot_motion(motion, audio.energy)[..., ::-1])[1]
    path.write_bytes(drawn.tobytes())


@contextmanager
def _kept_if_whole(path: Path | None) -> Iterator[Path | None]:
    """A name beside ``path`` to write to, which becomes ``path`` unless the block is left by an exception."""
    if path is None:
        yield None
        return
    part = path.with_name(f".{path.stem}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class Clock:
    """Times the stages of a job and passes their progress on under their names."""

    def __init__(self, progress: Progress | None) -> None:
        self.stages: list[tuple[str, float]] = []
        self._progress = progress

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        def step(done: int, total: int) -> None:
            if self._progress:
                self._progress(name, done, total)

        start = time.perf_counter()
        yield step
        self.stages.append((name, time.perf_counter() - start))
