"""The commands animate, motion and render: parse arguments, call :mod:`animate`, print the result."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace

from ..detection.crop import DRIVING_CROP, CropOptions
from ..detection.tracking import GapLimits
from ..errors import UserError
from ..motion.driving import ANIMAL, MODES, PRIORITIES, DrivingOptions
from ..motion.edit import Regions
from ..motion.pose import REFERENCES
from ..pipelines.animate import DRIVING, SOUND_FROM, AnimateRequest, animate, load
from ..pipelines.batch import BatchJob, Kind
from ..pipelines.extract import extract
from ..pipelines.input_kinds import is_driving, is_motion, is_portrait
from ..pipelines.stages import JobReport
from ..rendering.portrait import FaceLimits
from ..rendering.source_video import FaceVideoOptions
from .arguments import choice, number, path
from .batch import is_batch, jobs_of, run_jobs
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

MOTION_EXAMPLES = (
    "playmate motion dance.mp4 -o dance.safetensors",
    "playmate motion dance.safetensors -o dance.csv --arkit",
    "playmate motion iphone.csv -o acted.safetensors",
)
REGIONS = tuple(field.name for field in fields(Regions))
ANIMATE_EXAMPLES = (
    "playmate animate me.png dance.mp4 -o out.mp4",
    "playmate animate me.png dance.mp4 -o out.mp4 --pose 0.5 --smoothing 1e-5",
    "playmate animate group.jpg dance.mp4 -o out.mp4 --face 1 --driving-crop 310,80,420,200",
)


def add_animate_commands(commands: argparse._SubParsersAction) -> None:
    """Register the three commands."""
    one = command(commands, "animate", "let a portrait follow a video", *ANIMATE_EXAMPLES)
    one.add_argument(
        "portrait", metavar="PORTRAIT", type=path, help="a picture of a face, or a video of somebody, or a folder"
    )
    one.add_argument(
        "driving", metavar="VIDEO", type=path, help="what the face does: a video, a picture, a motion file, or a folder"
    )
    _add_flags(one)
    video = one.add_argument_group("how the driving video is read")
    face_flags(video, "driving video", "driving-")
    _driving_crop_flags(video, "driving-")
    _face_video_flags(video)
    one.set_defaults(run=_run_animate)
    what = "read the motion of a video into a file, or write a motion file as another kind"
    two = command(commands, "motion", what, *MOTION_EXAMPLES)
    two.add_argument(
        "video", metavar="VIDEO", type=path, help="a video of a face, or a motion file: a table of blend shapes as well"
    )
    what = "the file to write: .safetensors, or a .csv or .json table"
    two.add_argument("-o", "--output", metavar="OUT.safetensors", type=path, required=True, help=what)
    what = "write ARKit's 52 blend shapes: .csv as Live Link Face, .json as Audio2Face"
    two.add_argument("--arkit", action="store_true", help=what)
    video = two.add_argument_group("how the video is read")
    face_flags(video, "video")
    _driving_crop_flags(video, "crop-")
    _face_video_flags(video)
    number(two, "--fps", AnimateRequest, "fps", "rate to keep; as many as the video has unless given")
    _run_flags(two)
    two.set_defaults(run=_run_motion)
    what = "let a portrait follow a motion file"
    three = command(commands, "render", what, "playmate render me.png dance.safetensors -o out.mp4")
    three.add_argument(
        "portrait", metavar="PORTRAIT", type=path, help="a picture of a face, or a video of somebody, or a folder"
    )
    three.add_argument(
        "driving",
        metavar="MOTION",
        type=path,
        help="of `playmate motion`, a .csv or .json table, a LivePortrait .pkl, or a folder of them",
    )
    _add_flags(three)
    three.set_defaults(run=_run_render)


def _add_flags(to: argparse.ArgumentParser) -> None:
    output_flag(to, required=True)
    _look_flags(to.add_argument_group("what is seen"))
    _drive_flags(to.add_argument_group("how the face is driven"))
    encoding_flags(to)
    run = _run_flags(to)
    precision_flag(run)
    mark_flags(run)
    resume_flag(run)


def _look_flags(look: argparse._ArgumentGroup) -> None:
    face_flags(look, "portrait")
    number(look, "--crop-scale", CropOptions, "scale", "how much to take around the face")
    number(look, "--crop-shift", CropOptions, "shift", "how far down the face to move the crop")
    number(look, "--crop-aside", CropOptions, "aside", "how far across the face to move it")
    look.add_argument("--upright", action="store_true", help="do not turn the crop with a tilted head")
    look.add_argument("--any-picture", action="store_true", help="do not ask whether the picture shows a face")
    look.add_argument("--only-crop", action="store_true", help="show the face crop, not the whole picture")
    what = "how much to smooth the crops of a video portrait, an observation variance; 0 takes them as detected"
    number(look, "--crop-smoothing", FaceVideoOptions, "smoothing", what)
    look.add_argument("--side-by-side", action="store_true", help="show source, driving picture and result in a row")
    paste_flags(look)
    what = "longest side of the picture; larger ones are shrunk"
    number(look, "--longest-side", AnimateRequest, "longest_side", what)
    number(look, "--fps", AnimateRequest, "fps", "as many as the video or the motion has unless given")
    audio_track_flag(look, AnimateRequest, "the sound")
    look.add_argument("--sound", type=path, metavar="FILE", help="instead of the sound of either video")
    what = "whose sound, where the driving video and a video portrait both have one"
    choice(look, "--sound-from", DRIVING, SOUND_FROM, what)


def _drive_flags(moves: argparse._ArgumentGroup) -> None:
    how = DrivingOptions()
    ways = (*MODES, ANIMAL)
    choice(
        moves, "--mode", how.mode, ways, "add the change since the reference frame, take the values, or as for animals"
    )
    choice(moves, "--reference", how.reference, REFERENCES, "which frame of the driving video is its rest")
    for name in REGIONS:
        number(moves, f"--{name}", Regions, name, f"how much of the driving motion in the {name}, 1 all of it")
    number(moves, "--size", DrivingOptions, "size", "how much of its change in the head's size, 1 all of it")
    what = (
        "observation variance of a smoother: 3e-7 is LivePortrait's default for video portraits, 1e-3 plainly smooths"
    )
    number(moves, "--smoothing", DrivingOptions, "smoothing", what)
    choice(moves, "--priority", how.priority, PRIORITIES, "expression: damp the head's movement; pose: take it whole")
    number(moves, "--multiplier", DrivingOptions, "multiplier", "times every departure from the portrait")
    moves.add_argument("--no-stitching", action="store_true", help="let the shoulders move along")
    moves.add_argument("--retarget-eyes", action="store_true", help="open the eyes as the driving eyes are open")
    moves.add_argument("--retarget-lips", action="store_true", help="open the lips as the driving lips are open")
    moves.add_argument("--close-lips", action="store_true", help="start from a closed mouth")
    moves.add_argument("--hold-eyes", action="store_true", help="keep a video portrait's eyes as open as at its start")


def _driving_crop_flags(to: argparse._ArgumentGroup, prefix: str) -> None:
    crop = DRIVING_CROP
    number(to, f"--{prefix}scale", CropOptions, "scale", "how much to take around the face", crop.scale)
    number(to, f"--{prefix}shift", CropOptions, "shift", "how far down the picture to move the crop", crop.shift)
    number(to, f"--{prefix}aside", CropOptions, "aside", "how far across the picture to move it", crop.aside)


def _face_video_flags(to: argparse._ArgumentGroup) -> None:
    number(to, "--missing", GapLimits, "share", "share of the frames in which the face may be lost")
    number(to, "--longest-gap", GapLimits, "longest", "most frames in a row in which it may be")


def _run_flags(to: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    run = to.add_argument_group("how it is run")
    number(run, "--batch", AnimateRequest, "batch", "frames drawn at once, halved when memory runs out")
    device_flag(run, AnimateRequest.device)
    weights_flag(run, "face")
    add_models_flag(run)
    return run


def _request(options: argparse.Namespace, video: FaceVideoOptions) -> AnimateRequest:
    try:
        how = DrivingOptions(
            mode=options.mode,
            reference=options.reference,
            regions=Regions(**{name: getattr(options, name) for name in REGIONS}),
            size=options.size,
            smoothing=options.smoothing,
            priority=options.priority,
            multiplier=options.multiplier,
            stitching=not options.no_stitching,
            retarget_eyes=options.retarget_eyes,
            retarget_lips=options.retarget_lips,
            close_lips=options.close_lips,
            hold_eyes=options.hold_eyes,
        )
        around = CropOptions(options.crop_scale, options.crop_shift, options.upright, options.crop_aside)
    except ValueError as problem:
        raise UserError(str(problem)) from problem
    return AnimateRequest(
        portrait=options.portrait,
        driving=options.driving,
        output=options.output,
        how=how,
        fps=options.fps,
        crop=options.crop,
        face=options.face,
        threshold=options.threshold,
        around=around,
        video=video,
        paste_back=not options.only_crop,
        mask=options.mask,
        paste=paste(options),
        background=options.background,
        encoding=encoding(options),
        sound=options.sound,
        sound_from=options.sound_from,
        side_by_side=options.side_by_side,
        audio_track=options.audio_track,
        weights=resolved(options.face_weights),
        limits=None if options.any_picture else FaceLimits(),
        longest_side=options.longest_side,
        batch=options.batch,
        resume=options.resume,
        keep_parts=options.keep_parts,
        device=options.device,
        precision=options.precision,
        mark=not options.no_mark,
        sign=signing(options),
    )


def _run_animate(options: argparse.Namespace) -> int:
    video = FaceVideoOptions(
        options.driving_crop,
        options.driving_face,
        replace(DRIVING_CROP, scale=options.driving_scale, shift=options.driving_shift, aside=options.driving_aside),
        GapLimits(options.missing, options.longest_gap),
        options.batch,
        options.crop_smoothing,
        options.driving_threshold,
    )
    return _make(options, video, is_driving)


def _run_render(options: argparse.Namespace) -> int:
    if not (is_motion(options.driving) or options.driving.is_dir()):
        raise UserError(f"{options.driving} is no motion file; please read it with `playmate motion`, or use animate.")
    return _make(options, FaceVideoOptions(smoothing=options.crop_smoothing), is_motion)


def _make(options: argparse.Namespace, video: FaceVideoOptions, driving: Kind) -> int:
    """Make the video, or one for each file of a folder; returns the exit code."""
    if not is_batch(options.portrait, options.driving):
        with Bars() as bars:
            report = animate(_request(options, video), bars)
        say(summary("video", report))
        return 0
    jobs = jobs_of(options, options.portrait, options.driving, (is_portrait, driving))
    request = _request(options, video)
    face = load(request)

    def of(job: BatchJob) -> AnimateRequest:
        return replace(request, portrait=job.first, driving=job.second, output=job.output)

    return run_jobs(jobs, lambda job, bars: animate(of(job), bars, face), of if options.resume else None)


def _run_motion(options: argparse.Namespace) -> None:
    video = FaceVideoOptions(
        options.crop,
        options.face,
        replace(DRIVING_CROP, scale=options.crop_scale, shift=options.crop_shift, aside=options.crop_aside),
        GapLimits(options.missing, options.longest_gap),
        options.batch,
        threshold=options.threshold,
    )
    with Bars() as bars:
        weights = resolved(options.face_weights)
        report = extract(
            options.video, options.output, video, weights, options.fps, options.device, bars, options.arkit
        )
    say(summary("motion", report))


def summary(what: str, report: JobReport) -> str:
    """Path and length of the file, and the duration of each stage, as text."""
    lines = [
        f"{what:8} {report.path.resolve()}",
        f"length   {report.seconds:.2f} s, {report.frames} frames at {report.fps:g} fps",
        f"took     {sum(seconds for _, seconds in report.stages):.1f} s:",
    ]
    return "\n".join(lines + [f"  {seconds:7.1f} s  {name}" for name, seconds in report.stages])
