"""The talk pipeline: a portrait and speech become a talking video."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from ..atomic_file import AtomicFile
from ..detection.crop import CropOptions
from ..detection.detect import FaceSource, Pick
from ..detection.paste_options import PasteOptions
from ..diffusion.emotion_schedule import NO_EMOTION
from ..diffusion.model_controls import ModelControls
from ..diffusion.options import SamplingChanges, SamplingOptions
from ..diffusion.request import MotionGenerator
from ..errors import UserError, suggestion
from ..face import FaceModel
from ..interpolation import FITS
from ..media.audio_files import store_speech
from ..media.credentials import Signing, check_signing
from ..media.images import check_file, from_bytes
from ..media.output_file import OutputLock, check_output
from ..media.provenance import COMPOSITE, DRAWN
from ..media.sound_source import SoundSource, find_sound
from ..media.transparency import read_colour
from ..media.video_options import VideoOptions
from ..media.video_reader import read_frames, video_facts
from ..motion.emotion_by import EmotionBy
from ..motion.motion_file import SUFFIX, MotionClip, save_motion_clip
from ..motion.stream import MotionStream
from ..motion.takes import Takes
from ..progress import StageProgress
from ..ranges import check_ranges, ranged
from ..rendering.device import AUTO, require_device
from ..rendering.portrait import FaceLimits
from ..rendering.render import RenderOptions
from ..rendering.segments import RenderJob, VideoOutput, segments_folder, write_video
from ..rendering.source_image import read_source_portrait
from ..rendering.source_video import FaceVideoOptions, SourceVideo, read_source_video
from ..rendering.write_video import Composition, portrait_job
from ..speech import SAMPLE_RATE, frame_count
from ..values import Portrait, Transparency
from .input_kinds import is_video
from .models import Weights, load_talk_models
from .over_video import OverVideo, motion_over_video, over_video_job
from .pictures import write_plot
from .portrait_picture import composition_of, read_portrait_picture
from .pose_source import GENERATED, STILL, PoseSource, read_pose
from .recipe import recipe_mark
from .stages import (
    JobReport,
    StageClock,
    check_emotion,
    fitted_pieces,
    sample_motion,
    with_fitted_pose,
)
from .takes import asked_takes, draw_preview, refuse_unseen_takes, sample_takes
from .told_emotion import told_emotion, with_loudness


@dataclass(frozen=True)
class TalkRequest:
    """All inputs and options of a talking video. ``emotion``: a name, "none", or a timeline (:mod:`emotion_schedule`);
    ``emotion_tags`` and ``emotion_quiet`` as in :mod:`told_emotion`. ``preview`` shows ``takes``, or ``all_emotions``.

    ``crop``, ``crop_options``, ``face`` and ``threshold`` as in :func:`detect.select_face`; ``limits`` None skips the
    face check; ``plot``, ``preview`` and ``save_motion`` are paths, None for none: a plot of the motion, a contact
    sheet, made instead of the video, and a motion file; ``over`` is for a ``portrait`` that is a video; ``sampling``
    None are the generator's defaults, changed by ``sampling_changes``; ``controls`` change how else the generator is
    run; ``resume`` keeps finished segments when the job is stopped, and resumes from them when it runs again;
    ``keep_parts`` keeps them after the end too, so that the next run renders only those that changed.
    ``audio_track`` None as :func:`find_sound`; ``longest_side`` limits the whole picture with ``paste_back``, ``mask``
    and ``paste`` say where and how softly the face shows in it; ``background`` is the colour behind a transparent
    picture. ``fps`` None is the rate of the motion, or of a video given as the portrait.
    """

    portrait: Path
    speech: Path
    output: Path
    emotion: str = "neutral"
    intensity: float = ranged(1.0, 0.0, 1.0)
    emotion_by: EmotionBy = EmotionBy.BOTH
    emotion_tags: Path | None = None
    emotion_quiet: float = ranged(1.0, 0.0, 2.0)
    pose: PoseSource = field(default_factory=PoseSource)
    sampling: SamplingOptions | None = None
    sampling_changes: SamplingChanges = SamplingChanges()
    controls: ModelControls = ModelControls()
    rendering: RenderOptions = field(default_factory=RenderOptions)
    weights: Weights = field(default_factory=Weights)
    crop: FaceSource = "auto"
    crop_options: CropOptions = CropOptions()
    face: Pick | None = None
    threshold: float | None = ranged(None, 0.01, 0.99, "of certainty")
    limits: FaceLimits | None = field(default_factory=FaceLimits)
    paste_back: bool = False
    mask: Path | None = None
    paste: PasteOptions = field(default_factory=PasteOptions)
    background: str = "white"
    fps: float | None = ranged(None, 1.0, 240.0, "frames a second")
    encoding: VideoOptions = field(default_factory=VideoOptions)
    longest_side: int = ranged(4096, 64, 16384, "pixels")
    audio_track: int | None = ranged(None, 0, 999, whole=True)
    resume: bool = False
    keep_parts: bool = False
    device: str = "cpu"
    precision: str = AUTO
    plot: Path | None = None
    preview: Path | None = None
    takes: int = ranged(1, 1, 32)
    all_emotions: bool = False
    save_motion: Path | None = None
    over: OverVideo = OverVideo()
    mark: bool = True
    sign: Signing | None = None

    def __post_init__(self) -> None:
        check_ranges(self)


def talk(
    request: TalkRequest,
    progress: StageProgress | None = None,
    models: tuple[FaceModel, MotionGenerator] | None = None,
) -> JobReport:
    """Make the video. Raises UserError for anything a user can correct, before the slow part wherever possible.

    ``request.output`` and ``request.plot`` are only written if the video is complete. Memory does not grow with the
    number of frames. Quick checks come first: the speech is decoded only after the portrait was accepted. ``models``:
    those of :func:`load_models`, where they are loaded already.
    """
    check(request)
    with OutputLock(request.output):
        return _talk(request, models, StageClock(progress))


def _talk(request: TalkRequest, models: tuple[FaceModel, MotionGenerator] | None, clock: StageClock) -> JobReport:
    speech = find_sound(request.speech, request.audio_track, keep_lead=True)
    with clock.stage("read picture"):
        picture, transparency = read_picture_of(request)
    with clock.stage("load models"):
        face, generator = models or load_models(request)
    with clock.stage("read portrait"):
        portrait = read_source_portrait(
            face,
            picture,
            request.crop,
            request.face,
            request.crop_options,
            request.limits,
            request.threshold,
        ).portrait
        portrait = replace(portrait, transparency=transparency)
        composition = composition_of(
            portrait, request.paste_back, request.mask, request.paste, request.output, request.encoding
        )
    with clock.stage("read speech"):
        samples = store_speech(speech)
    emotion = told_emotion(request.emotion, request.intensity, request.emotion_tags)
    check_emotion(
        generator, portrait.keypoint_space, emotion, frame_count(len(samples), SAMPLE_RATE), request.emotion_by
    )
    with clock.stage("listen") as step:
        encoder = generator.encoder(request.weights.audio, request.device)
        audio = encoder.listen(samples, SAMPLE_RATE, step)
    with clock.stage("read pose") as step:
        pose = read_pose(face, request.pose, portrait, len(audio), step)
    schedule = with_loudness(emotion, audio, request.emotion_quiet)
    told = as_told(request, generator)
    sampling = told.sampling or generator.defaults
    if request.preview and (request.takes > 1 or request.all_emotions):
        with clock.stage("generate takes") as step:
            moods = request.intensity if request.all_emotions else None
            asked = asked_takes(request.takes, moods, schedule, sampling)
            takes = sample_takes(generator, portrait, audio, asked, request.emotion_by, step)
        takes = takes.edited(lambda one: with_fitted_pose(one, pose, portrait.rest.pose, request.pose.fit))
        return _preview(request, request.preview, face, portrait, takes, clock)
    with clock.stage("generate motion") as step:
        pieces = sample_motion(generator, portrait, audio, schedule, sampling, by=request.emotion_by, progress=step)
        fitted = fitted_pieces(pieces, pose, portrait.rest.pose, request.pose.fit, len(audio))
        motion = MotionStream(fitted, len(audio), audio.fps)
        motion.first_frame()  # the first window; the others follow while frames are drawn
    if request.save_motion:
        save_motion_clip(MotionClip(motion.whole()), request.save_motion)
    if request.preview:
        return _preview(request, request.preview, face, portrait, Takes.one(motion.whole()), clock)
    with AtomicFile(request.plot) if request.plot else nullcontext() as plot:
        if plot:
            write_plot(plot, motion.whole(), audio)
        job = _job(request, face, portrait, motion, composition, clock)
        return _write(request, told, speech, job, clock)


def _write(
    request: TalkRequest, told: TalkRequest, speech: SoundSource, job: RenderJob, clock: StageClock
) -> JobReport:
    """Render and encode the video, whose recipe is ``told``."""
    with clock.stage("render and encode") as step:
        kind = COMPOSITE if request.paste_back or is_video(request.portrait) else DRAWN
        encoding = replace(request.encoding, mark=recipe_mark("talk", told, kind), signing=request.sign)
        parts = segments_folder(request.output) if request.keep_parts else None
        output = VideoOutput(request.output, replace(speech, reported=True), request.resume, encoding, parts)
        frames = write_video(job, output, step)
    return JobReport(request.output, frames, job.fps, tuple(clock.stages))


def as_told(request: TalkRequest, generator: MotionGenerator) -> TalkRequest:
    """The request as the recipe of its video tells it: with the sampling options that ``generator`` really has."""
    return replace(request, sampling=request.sampling or request.sampling_changes.on(generator.defaults))


def _job(
    request: TalkRequest,
    face: FaceModel,
    portrait: Portrait,
    stream: MotionStream,
    composition: Composition,
    clock: StageClock,
) -> RenderJob:
    """The job that renders the portrait, or the video that is given as one."""
    if not is_video(request.portrait):
        if request.fps is not None:
            stream = stream.resampled(request.fps)
        return portrait_job(face, portrait, stream, request.rendering, composition)
    source, spoken = motion_over_video(_portrait_video(request, face, clock), stream.whole(), request.over)
    return over_video_job(face, source, spoken, request.rendering.batch)


def _portrait_video(request: TalkRequest, face: FaceModel, clock: StageClock) -> SourceVideo:
    options = FaceVideoOptions(request.crop, request.face, request.crop_options, threshold=request.threshold)
    with clock.stage("read portrait video") as step:
        return read_source_video(face, request.portrait, options, request.fps, step)


def _preview(
    request: TalkRequest, path: Path, face: FaceModel, portrait: Portrait, takes: Takes, clock: StageClock
) -> JobReport:
    """Some frames of every take, over a video with what it keeps of the video's own motion."""
    if is_video(request.portrait):
        source = _portrait_video(request, face, clock)
        takes = takes.edited(lambda one: motion_over_video(source, one, request.over)[1])
    return draw_preview(path, face, portrait, takes, request.rendering, clock)


def read_picture_of(request: TalkRequest) -> tuple[Tensor, Transparency | None]:
    """The portrait picture, at full size only if ``paste_back`` shows more than the crop; a video's first frame."""
    if is_video(request.portrait):
        return from_bytes(next(read_frames(request.portrait)).picture), None
    longest = request.longest_side if request.paste_back else None
    return read_portrait_picture(request.portrait, longest, request.background, request.paste)


def check(request: TalkRequest) -> None:
    """Raise UserError for any error that can be found before slow work."""
    replace(request.encoding, signing=request.sign if request.mark else None).check(request.output, request.fps)
    read_colour(request.background)
    if request.mask is not None and (not request.paste_back or is_video(request.portrait)):
        raise UserError("A mask is for a picture that the face is put back into; please add --paste-back.")
    for picture in (request.plot, request.preview):
        if picture:
            check_output(picture, ".png")
    if request.save_motion:
        check_output(request.save_motion, SUFFIX)
    inputs = [(request.portrait, "portrait"), (request.speech, "speech")]
    inputs += [] if request.mask is None else [(request.mask, "mask")]
    if request.pose.source not in (GENERATED, STILL):
        if not Path(request.pose.source).exists():
            named = repr(request.pose.source)
            raise UserError(
                f"The pose {named}{suggestion(named, (GENERATED, STILL))} is neither {GENERATED} nor {STILL}, nor a"
                " video file that exists; please check the path."
            )
        inputs.append((Path(request.pose.source), "pose video"))
    for path, what in inputs:
        check_file(path, what)
        for target in (request.output, request.plot, request.preview, request.save_motion):
            if target and target.exists() and path.samefile(target):
                raise UserError(f"The output {target} would overwrite the {what}; please choose another name.")
    told_emotion(request.emotion, request.intensity, request.emotion_tags)
    refuse_unseen_takes(request.preview, request.takes > 1 or request.all_emotions)
    if request.pose.fit not in FITS:
        raise UserError(f"Unknown pose fit {request.pose.fit!r}; please choose one of {', '.join(FITS)}.")
    for path, what in inputs:
        if what == "pose video" or (what == "portrait" and is_video(path)):
            video_facts(path)
    require_device(request.device, request.precision)
    check_signing(request.sign, request.mark)


def load_models(request: TalkRequest) -> tuple[FaceModel, MotionGenerator]:
    """The models of a request; see :func:`load_talk_models`. Playmate's own emotion model is left out for "none"."""
    emotional = request.emotion_tags is not None or request.emotion.strip().lower() != NO_EMOTION
    return load_talk_models(request.weights, emotional, request.controls, request.device, request.precision)
