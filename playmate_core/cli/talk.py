"""The commands talk and demo: parse arguments, call :mod:`talk`, print the result."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

from ..detection.crop import CropOptions
from ..diffusion.emotion_schedule import NO_EMOTION
from ..diffusion.options import JOINTS, POSE_ANCHORS, POSE_MEANS, STARTS, SamplingChanges, SamplingOptions
from ..diffusion.samplers import SAMPLERS, SPACINGS
from ..errors import UserError
from ..interpolation import FITS
from ..motion.emotion_by import EmotionBy
from ..motion.pose import REFERENCES
from ..pipelines.batch import BatchJob
from ..pipelines.input_kinds import is_portrait, is_speech
from ..pipelines.models import Weights
from ..pipelines.over_video import REPLACED, OverVideo
from ..pipelines.pose_source import GENERATED, STILL, PoseSource
from ..pipelines.talk import TalkRequest, as_told, load_models, talk
from ..rendering.portrait import FaceLimits
from ..rendering.render import EXPRESSIONS, RenderOptions
from ..rendering.video_order import VIDEO_FITS
from ..values import EMOTIONS
from ..weights.folders import bundled
from .animate import summary
from .arguments import EXPLICIT, StoreExplicit, amplitudes, choice, emotion, not_blank, number, numbers_over_time, path
from .batch import is_batch, jobs_of, run_jobs
from .controls import add_control_flags, controls_from
from .output import encoding, encoding_flags, output_flag, paste, paste_flags
from .terminal import (
    Bars,
    audio_track_flag,
    command,
    device_flag,
    face_flags,
    mark_flags,
    precision_flag,
    resume_flag,
    say,
    signing,
    weights_flag,
)
from .weights import add_models_flag, resolved

TALK_EXAMPLES = (
    "playmate talk me.png speech.wav -o out.mp4",
    "playmate talk me.png speech.wav -o out.mp4 --emotion happy --intensity 0.8 --seed 7",
    "playmate talk me.png speech.wav -o out.mp4 --emotion 0:neutral,2.5:happy@0.8 --pose nod.mp4",
    "playmate talk group.jpg speech.mp3 -o out.mp4 --crop 310,80,420,200 --paste-back",
    "playmate talk portraits/ speeches/ -o videos/",
)


def add_talk_commands(commands: argparse._SubParsersAction) -> None:
    """Register talk and demo."""
    one = command(commands, "talk", "make a talking video", *TALK_EXAMPLES)
    one.add_argument(
        "portrait",
        metavar="PORTRAIT",
        type=path,
        help="a picture of a face, or a video of somebody, or a folder of them",
    )
    what = "any audio or video file with speech in it, or a folder of them"
    one.add_argument("speech", metavar="SPEECH", type=path, help=what)
    output_flag(one, required=True)
    add_result_flags(add_talk_flags(one))
    one.set_defaults(run=run_talk)
    what = "make a video from the portrait and the speech that come with playmate"
    demo = command(commands, "demo", what, "playmate demo", "playmate demo -o sad.mp4 --emotion sad")
    output_flag(demo, default=Path("playmate_demo.mp4"))
    add_result_flags(add_talk_flags(demo))
    demo.set_defaults(run=run_demo)


def add_talk_flags(to: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Flags of talking videos; returns the group of those that say how it is run."""
    request, pose = TalkRequest(Path(), Path(), Path()), PoseSource()
    names = ", ".join((*EMOTIONS, NO_EMOTION))
    look = to.add_argument_group("what is seen")
    what = f"{names}; or a timeline: 0:neutral,2.5:happy@0.8, times in seconds, m:ss or frames ({request.emotion})"
    look.add_argument("--emotion", type=emotion, default=request.emotion, metavar="EMOTION", help=what)
    number(look, "--intensity", TalkRequest, "intensity", "how strong the emotion is")
    what = "SubRip, WebVTT or LRC text with tags such as [happy] or [sad@0.6], instead of --emotion"
    look.add_argument("--emotion-tags", metavar="FILE", type=path, help=what)
    what = "times the emotion's intensity where the voice is quiet; 1 takes no notice of the loudness"
    number(look, "--emotion-quiet", TalkRequest, "emotion_quiet", what)
    choice(look, "--emotion-by", request.emotion_by.value, [by.value for by in EmotionBy], "who shows the emotion")
    what = f"where the head goes: {GENERATED}, {STILL}, or a VIDEO to follow ({pose.source})"
    look.add_argument("--pose", type=not_blank, default=pose.source, metavar="POSE", help=what)
    choice(look, "--pose-reference", pose.reference, REFERENCES, "which frame of that video is its rest")
    choice(look, "--pose-fit", pose.fit, FITS, "what that video does when the speech is longer")
    face_flags(look, "portrait")
    what = "how much to take around the face; JoyVASA's command line takes 3, its web form and Ditto 2.3"
    number(look, "--crop-scale", CropOptions, "scale", what)
    look.add_argument("--any-picture", action="store_true", help="do not ask whether the picture shows a face")
    look.add_argument("--paste-back", action="store_true", help="put the face back into the whole picture")
    paste_flags(look)
    what = "take the motion's expression as it is, or its change on top of the portrait's own; auto as suits the face"
    choice(look, "--expression", request.rendering.expression, EXPRESSIONS, what)
    number(
        look, "--longest-side", TalkRequest, "longest_side", "longest side of the whole picture; larger ones are shrunk"
    )
    what = "the motion is interpolated to it; 25, or as many as a video given as the portrait has, unless given"
    number(look, "--fps", TalkRequest, "fps", what)
    audio_track_flag(look, TalkRequest, "the speech")
    what = "what of a video given as the portrait follows the speech; all else stays as it is in the video"
    choice(look, "--over", request.over.replaced, REPLACED, what)
    choice(look, "--video-fit", request.over.fit, VIDEO_FITS, "what that video does when the speech is longer")
    add_sampling_flags(to)
    add_control_flags(to)
    encoding_flags(to)
    run = to.add_argument_group("how it is run")
    number(run, "--batch", RenderOptions, "batch", "frames drawn at once, halved when memory runs out")
    resume_flag(run)
    device_flag(run, request.device)
    precision_flag(run)
    mark_flags(run)
    for name in ("face", "motion", "emotion"):
        weights_flag(run, name)
    add_models_flag(run)
    what = "folder of the audio encoder, for motion models that need one"
    run.add_argument("--audio-weights", metavar="FOLDER", type=path, help=what)
    return run


def add_result_flags(to: argparse._ActionsContainer) -> None:
    """Flags of other files that a talking video may leave."""
    to.add_argument("--plot", metavar="PNG", type=path, help="also draw the motion's curves into this picture")
    to.add_argument(
        "--save-motion", metavar="OUT.safetensors", type=path, help="also save the motion, for `playmate render`"
    )
    to.add_argument(
        "--preview", metavar="PNG", type=path, help="draw some frames of the motion into this picture, and no video"
    )
    number(to, "--takes", TalkRequest, "takes", "how many takes the preview shows: the seed and those after it")
    to.add_argument("--all-emotions", action="store_true", help="show a take in each emotion in the preview")


def add_sampling_flags(to: argparse.ArgumentParser) -> None:
    """One flag for each choice of SamplingOptions."""
    sampling, of = SamplingOptions(), SamplingOptions
    to.register("action", None, StoreExplicit)
    how = to.add_argument_group("how the motion is sampled")
    over_time = "a number, or a timeline like 0:1.5,2.5:3, times in seconds, m:ss or frames"
    numbers_over_time(how, "--cfg-audio", of, "cfg_audio", f"how closely to follow the voice: {over_time}")
    numbers_over_time(how, "--cfg-audio-pose", of, "cfg_audio_pose", "the same for the head pose")
    numbers_over_time(how, "--cfg-emotion", of, "cfg_emotion", "how closely to follow the emotion, likewise")
    number(
        how,
        "--steps",
        of,
        "steps",
        "evaluations of the network for each window; 30 of dpm++2m come within 1 %% of many",
    )
    choice(how, "--sampler", sampling.sampler, SAMPLERS, "of the diffusion")
    choice(how, "--spacing", sampling.spacing, SPACINGS, "of its steps")
    number(how, "--seed", of, "seed", "another seed gives another motion, the same seed the same")
    what = "how much the head moves, 1 as usual: one, or six for pitch,yaw,roll,x,y,scale"
    amplitudes(how, "--pose-amplitude", of, "pose_amplitude", what)
    choice(how, "--pose-mean", sampling.pose_mean, POSE_MEANS, "around the portrait's pose, or facing the camera")
    choice(how, "--pose-anchor", sampling.pose_anchor, POSE_ANCHORS, "what stands in that pose: mean or first frame")
    choice(how, "--start", sampling.start, STARTS, "begin anywhere, or from the portrait's own face and pose")
    choice(how, "--joint", sampling.joint, JOINTS, "hold the frames that two windows share, or fade between them")
    number(how, "--eye-movement", of, "eye_movement", "blinks and looks up and down that are added, 0 to 1")
    number(how, "--lip-step", of, "lip_step", "how far the lips may part or close within one frame, 0: no limit")
    what = "move the head as without the emotion, in every bit; samples twice"
    how.add_argument("--lock-pose", action="store_true", help=what)


def request_from(options: argparse.Namespace, portrait: Path, speech: Path) -> TalkRequest:
    """The job for parsed arguments. Raises UserError for invalid combinations."""
    try:
        explicit: frozenset[str] = getattr(options, EXPLICIT, frozenset())
        names = (field.name for field in fields(SamplingChanges) if field.name in explicit)
        changed = {name: getattr(options, name) for name in names}
        changes = SamplingChanges(**changed | ({"lock_pose": True} if options.lock_pose else {}))
        rendering = replace(RenderOptions(), expression=options.expression, batch=options.batch)
    except ValueError as problem:
        raise UserError(str(problem)) from problem
    return TalkRequest(
        portrait=portrait,
        speech=speech,
        output=options.output,
        emotion=options.emotion,
        intensity=options.intensity,
        pose=replace(PoseSource(), source=options.pose, reference=options.pose_reference, fit=options.pose_fit),
        emotion_by=EmotionBy(options.emotion_by),
        emotion_tags=options.emotion_tags,
        emotion_quiet=options.emotion_quiet,
        sampling_changes=changes,
        controls=controls_from(options),
        rendering=rendering,
        weights=named_weights(options),
        crop=options.crop,
        crop_options=CropOptions(scale=options.crop_scale),
        face=options.face,
        threshold=options.threshold,
        limits=None if options.any_picture else FaceLimits(),
        paste_back=options.paste_back,
        mask=options.mask,
        paste=paste(options),
        background=options.background,
        fps=options.fps,
        encoding=encoding(options),
        longest_side=options.longest_side,
        audio_track=options.audio_track,
        resume=options.resume,
        keep_parts=options.keep_parts,
        device=options.device,
        precision=options.precision,
        plot=options.plot,
        preview=options.preview,
        takes=options.takes,
        all_emotions=options.all_emotions,
        save_motion=options.save_motion,
        over=OverVideo(options.over, options.video_fit),
        mark=not options.no_mark,
        sign=signing(options),
    )


def named_weights(options: argparse.Namespace) -> Weights:
    """The model files in the arguments, by path or by name below a models folder."""
    face, emotion_file = map(resolved, (options.face_weights, options.emotion_weights))
    audio = resolved(options.audio_weights)
    if audio is not None and not audio.is_dir():
        raise UserError(f"There is no folder {audio} with an audio encoder; please check --audio-weights.")
    return Weights(face, options.motion_weights, emotion_file, None if audio is None else str(audio))


def run_talk(options: argparse.Namespace) -> int:
    """Run ``playmate talk``; returns the exit code. Raises UserError."""
    if not is_batch(options.portrait, options.speech):
        make(request_from(options, options.portrait, options.speech))
        return 0
    jobs = jobs_of(options, options.portrait, options.speech, (is_portrait, is_speech))
    request = request_from(options, jobs[0].first, jobs[0].second)
    models = load_models(request)

    def of(job: BatchJob) -> TalkRequest:
        return replace(request, portrait=job.first, speech=job.second, output=job.output)

    def told(job: BatchJob) -> TalkRequest:
        return as_told(of(job), models[1])

    return run_jobs(jobs, lambda job, bars: talk(of(job), bars, models), told if options.resume else None)


def run_demo(options: argparse.Namespace) -> None:
    """Run ``playmate demo``: the bundled portrait and speech."""
    make(request_from(options, bundled("portrait.png"), bundled("speech.wav")))


def make(request: TalkRequest) -> None:
    """Run the job with progress bars and print a summary."""
    with Bars() as bars:
        report = talk(request, bars)
    say(summary("video", report))
