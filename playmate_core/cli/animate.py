"""The commands animate, motion and render: words in, one call of :mod:`animate`, words out."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..detection.crop import CropOptions
from ..detection.tracking import GapLimits
from ..errors import UserError
from ..motion.driving import ANIMAL, MODES, PRIORITIES, DrivingOptions
from ..motion.edit import Regions
from ..motion.pose import REFERENCES
from ..pipelines.animate import AnimateRequest, JobReport, animate, extract, is_motion
from ..rendering.portrait import FaceLimits
from ..rendering.source_video import FaceVideoOptions
from .terminal import Bars, choice, device_flag, face_flags, flag, mark_flag, precision_flag, say
from .weights import add_models_flag, resolved

REGIONS = ("lips", "eyes", "expression", "pose")


def add_animate_commands(commands: argparse._SubParsersAction) -> None:
    """Register the three commands."""
    one = commands.add_parser("animate", help="let a portrait follow a video")
    one.add_argument("portrait", metavar="PORTRAIT", type=Path, help="a picture of a face, or a video of somebody")
    one.add_argument(
        "driving", metavar="VIDEO", type=Path, help="what the face does: a video, a picture, or a motion file"
    )
    _add_flags(one)
    film = one.add_argument_group("how the driving video is read")
    face_flags(film, "driving video", "driving-")
    _face_video_flags(film)
    one.set_defaults(run=_run_animate)
    two = commands.add_parser("motion", help="read the motion of a video into a file")
    two.add_argument("video", metavar="VIDEO", type=Path, help="a video of a face")
    two.add_argument("-o", "--output", metavar="OUT.safetensors", type=Path, required=True)
    film = two.add_argument_group("how the video is read")
    face_flags(film, "video")
    _face_video_flags(film)
    two.add_argument("--fps", type=float, help="frames a second to keep (as many as the video has)")
    _run_flags(two)
    two.set_defaults(run=_run_motion)
    three = commands.add_parser("render", help="let a portrait follow a motion file")
    three.add_argument("portrait", metavar="PORTRAIT", type=Path, help="a picture of a face, or a video of somebody")
    three.add_argument("driving", metavar="MOTION", type=Path, help="of `playmate motion`, or a LivePortrait .pkl")
    _add_flags(three)
    three.set_defaults(run=_run_render)


def _add_flags(to: argparse.ArgumentParser) -> None:
    request, how = AnimateRequest(Path(), Path(), Path()), DrivingOptions()
    to.add_argument("-o", "--output", metavar="OUT.mp4", type=Path, required=True)
    look = to.add_argument_group("what is seen")
    face_flags(look, "portrait")
    flag(look, "--crop-scale", request.around.scale, "how much to take around the face")
    flag(look, "--crop-shift", request.around.shift, "how far down the face to move the crop, in its sides")
    flag(look, "--crop-aside", request.around.aside, "how far across the face to move it")
    look.add_argument("--upright", action="store_true", help="do not turn the crop with a tilted head")
    look.add_argument("--any-picture", action="store_true", help="do not ask whether the picture shows a face")
    look.add_argument("--only-crop", action="store_true", help="show the face crop, not the whole picture")
    look.add_argument(
        "--mask", type=Path, metavar="PICTURE", help="as large as the portrait, white where it may change"
    )
    flag(look, "--longest-side", request.longest_side, "of the picture, in pixels; larger ones are shrunk")
    look.add_argument("--fps", type=float, help="frames a second (as many as the video or the motion has)")
    look.add_argument("--sound", type=Path, metavar="FILE", help="instead of that of the driving video")
    moves = to.add_argument_group("how the face is driven")
    ways = (*MODES, ANIMAL)
    choice(
        moves, "--mode", how.mode, ways, "add the change since the reference frame, take the values, or as for animals"
    )
    choice(moves, "--reference", how.reference, REFERENCES, "which frame of the driving video is its rest")
    for name in REGIONS:
        flag(moves, f"--{name}", getattr(how.regions, name), f"share of the driving motion in the {name}")
    flag(moves, "--size", how.size, "share of its change in the head's size")
    flag(moves, "--smoothing", how.smoothing, "observation variance of a smoother; 3e-7 hardly, 1e-3 plainly smooths")
    choice(moves, "--priority", how.priority, PRIORITIES, "expression: damp the head's movement; pose: take it whole")
    flag(moves, "--multiplier", how.multiplier, "of every departure from the portrait")
    moves.add_argument("--no-stitching", action="store_true", help="let the shoulders move along")
    moves.add_argument("--retarget-eyes", action="store_true", help="open the eyes as the driving eyes are open")
    moves.add_argument("--retarget-lips", action="store_true", help="open the lips as the driving lips are open")
    moves.add_argument("--close-lips", action="store_true", help="start from a closed mouth")
    moves.add_argument("--hold-eyes", action="store_true", help="keep a video portrait's eyes as open as at its start")
    run = _run_flags(to)
    precision_flag(run)
    mark_flag(run)
    run.add_argument(
        "--resume", action="store_true", help="keep what is drawn when stopped; given again, go on from it"
    )


def _face_video_flags(to: argparse._ArgumentGroup) -> None:
    film = FaceVideoOptions()
    flag(to, "--missing", film.limits.share, "share of the frames in which the face may be lost")
    flag(to, "--longest-gap", film.limits.longest, "most frames in a row in which it may be")


def _run_flags(to: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    request = AnimateRequest(Path(), Path(), Path())
    run = to.add_argument_group("how it is run")
    flag(run, "--batch", request.batch, "frames drawn at once")
    device_flag(run, request.device)
    run.add_argument("--face-weights", metavar="FILE", type=Path, help="instead of the bundled ones")
    add_models_flag(run)
    return run


def _request(options: argparse.Namespace, film: FaceVideoOptions) -> AnimateRequest:
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
    if options.batch < 1 or options.longest_side < 64:
        raise UserError("The batch must be at least 1 and the longest side at least 64; please choose larger ones.")
    return AnimateRequest(
        portrait=options.portrait,
        driving=options.driving,
        output=options.output,
        how=how,
        fps=options.fps,
        crop=options.crop,
        face=options.face,
        around=around,
        film=film,
        paste_back=not options.only_crop,
        mask=options.mask,
        sound=options.sound,
        weights=resolved(options.face_weights),
        limits=None if options.any_picture else FaceLimits(),
        longest_side=options.longest_side,
        batch=options.batch,
        resume=options.resume,
        device=options.device,
        precision=options.precision,
        mark=not options.no_mark,
    )


def _run_animate(options: argparse.Namespace) -> None:
    limits = GapLimits(options.missing, options.longest_gap)
    film = FaceVideoOptions(options.driving_crop, options.driving_face, limits=limits, batch=options.batch)
    request = _request(options, film)
    with Bars() as bars:
        report = animate(request, bars)
    say(summary("video", report))


def _run_render(options: argparse.Namespace) -> None:
    if not is_motion(options.driving):
        raise UserError(f"{options.driving} is no motion file; please read it with `playmate motion`, or use animate.")
    request = _request(options, FaceVideoOptions())
    with Bars() as bars:
        report = animate(request, bars)
    say(summary("video", report))


def _run_motion(options: argparse.Namespace) -> None:
    limits = GapLimits(options.missing, options.longest_gap)
    film = FaceVideoOptions(options.crop, options.face, limits=limits, batch=options.batch)
    with Bars() as bars:
        weights = resolved(options.face_weights)
        report = extract(options.video, options.output, film, weights, options.fps, options.device, bars)
    say(summary("motion", report))


def summary(what: str, report: JobReport) -> str:
    """Where the file is, how long it is, and how long each stage took."""
    lines = [
        f"{what:8} {report.path.resolve()}",
        f"length   {report.frames / report.fps:.2f} s, {report.frames} frames at {report.fps:g} fps",
        f"took     {sum(seconds for _, seconds in report.stages):.1f} s:",
    ]
    return "\n".join(lines + [f"  {seconds:7.1f} s  {name}" for name, seconds in report.stages])
