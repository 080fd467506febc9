"""The command line: words in, one call of :func:`talk.talk`, words out."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from ..diffusion.emotion_schedule import NO_EMOTION
from ..diffusion.options import POSE_ANCHORS, POSE_MEANS, STARTS, GuidanceKeys, SamplingOptions
from ..diffusion.samplers import SAMPLERS, SPACINGS
from ..errors import UserError
from ..interpolation import FITS
from ..media.provenance import read_account
from ..motion.pose import REFERENCES
from ..pipelines.animate import is_video
from ..pipelines.stages import JobReport
from ..pipelines.talk import PoseSource, TalkRequest, Weights, talk
from ..rendering.portrait import FaceLimits
from ..rendering.render import RenderOptions
from ..values import EMOTIONS
from ..weights.files import describe
from ..weights.folders import bundled
from .animate import add_animate_commands
from .terminal import (
    Bars,
    Parser,
    choice,
    close_streams,
    device_flag,
    face_flags,
    flag,
    mark_flag,
    open_streams,
    precision_flag,
    say,
)
from .weights import add_models_flag, register, resolved, search_first

#: Exit codes: a person's mistake, as argparse has it, and Ctrl-C, as shells have it.
MISTAKE, INTERRUPTED = 2, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. A person's mistake is one sentence on stderr, never a traceback."""
    open_streams()
    try:
        return _run(words)
    finally:
        close_streams()


def _stop_when_told() -> None:
    """Being told to end, or the terminal being closed, is Ctrl-C too; a second such signal does not stop the tidying.

    `nohup` says that a closed terminal shall not matter.
    """
    told = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    told = [one for one in told if signal.getsignal(one) != signal.SIG_IGN]

    def stop(number: int, frame: object) -> NoReturn:
        for one in told:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in told:
        signal.signal(one, stop)


def _run(words: Sequence[str] | None) -> int:
    options = argparse.Namespace()
    try:
        if threading.current_thread() is threading.main_thread():
            _stop_when_told()
        options = parser().parse_args(words)
        search_first(options)
        options.run(options)
    except UserError as problem:
        say(f"playmate: {problem}", sys.stderr)
        return MISTAKE
    except OSError as problem:  # a full disk, a file that vanished
        say(f"playmate: {problem.strerror or problem}: {problem.filename or 'while reading or writing'}.", sys.stderr)
        return MISTAKE
    except MemoryError:
        say("playmate: The memory is full; please take a smaller --batch or split the speech.", sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        left = "what is drawn is kept for --resume" if getattr(options, "resume", False) else "nothing was left behind"
        say(f"playmate: stopped; {left}.", sys.stderr)
        return INTERRUPTED
    return 0


def parser() -> argparse.ArgumentParser:
    """The commands and their flags; every default is read from the dataclass it belongs to."""
    top = Parser(prog="playmate", description="A still portrait and a voice become a talking video.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    one = commands.add_parser("talk", help="make a talking video", formatter_class=argparse.RawTextHelpFormatter)
    one.add_argument("portrait", metavar="PORTRAIT", type=Path, help="a picture of a face")
    one.add_argument("speech", metavar="SPEECH", type=Path, help="any audio or video file with speech in it")
    one.add_argument("-o", "--output", metavar="OUT.mp4", type=Path, required=True)
    add_talk_flags(one)
    one.set_defaults(run=run_talk)
    demo = commands.add_parser("demo", help="make a video from the portrait and the speech that come with playmate")
    demo.add_argument("-o", "--output", metavar="OUT.mp4", type=Path, default=Path("playmate_demo.mp4"))
    add_talk_flags(demo)
    demo.set_defaults(run=run_demo)
    add_animate_commands(commands)
    about = commands.add_parser(
        "describe", help="say what a model file is and its licence, or who made a video and how"
    )
    about.add_argument("file", metavar="FILE", type=Path)
    about.set_defaults(run=run_describe)
    register(commands)
    return top


def add_talk_flags(to: argparse.ArgumentParser) -> None:
    """What a talking video can be told."""
    request, pose = TalkRequest(Path(), Path(), Path()), PoseSource()
    names = ", ".join((*EMOTIONS, NO_EMOTION))
    look = to.add_argument_group("what is seen")
    flag(look, "--emotion", request.emotion, f"{names}; or a timeline: 0:neutral,2.5:happy@0.8")
    flag(look, "--intensity", request.intensity, "of the emotion, 0 to 1")
    look.add_argument("--pose", default=pose.source, help=f"generated, still, or a VIDEO to follow ({pose.source})")
    choice(look, "--pose-reference", pose.reference, REFERENCES, "which frame of that video is its rest")
    choice(look, "--pose-fit", pose.fit, FITS, "what that video does when the speech is longer")
    face_flags(look, "portrait")
    look.add_argument("--any-picture", action="store_true", help="do not ask whether the picture shows a face")
    look.add_argument("--paste-back", action="store_true", help="put the face back into the whole picture")
    flag(look, "--expression", request.rendering.expression, "absolute, or relative to the portrait's own")
    add_sampling_flags(to)
    run = to.add_argument_group("how it is run")
    flag(run, "--batch", request.rendering.batch, "frames drawn at once")
    run.add_argument(
        "--resume", action="store_true", help="keep what is drawn when stopped; given again, go on from it"
    )
    device_flag(run, request.device)
    precision_flag(run)
    mark_flag(run)
    for name in ("face", "motion", "emotion"):
        run.add_argument(f"--{name}-weights", metavar="FILE", type=Path, help="instead of the bundled ones")
    add_models_flag(run)
    run.add_argument("--audio-weights", metavar="FOLDER", help="of the audio encoder, for models that need one")
    run.add_argument("--plot", metavar="PNG", type=Path, help="also draw the motion's curves")


def add_sampling_flags(to: argparse.ArgumentParser) -> None:
    """One flag for each choice of SamplingOptions."""
    sampling = SamplingOptions()
    how = to.add_argument_group("how the motion is sampled")
    for name, default, what in (
        (
            "--cfg-audio",
            sampling.cfg_audio,
            "how closely to follow the voice: a number, or a timeline like 0:1.5,2.5:3",
        ),
        ("--cfg-audio-pose", sampling.cfg_audio_pose, "the same for the head pose"),
        ("--cfg-emotion", sampling.cfg_emotion, "how closely to follow the emotion, likewise"),
    ):
        how.add_argument(name, type=guidance, default=default, metavar="SCALE", help=f"{what} ({default})")
    flag(how, "--steps", sampling.steps, "evaluations of the network for each window")
    choice(how, "--sampler", sampling.sampler, SAMPLERS, "of the diffusion")
    choice(how, "--spacing", sampling.spacing, SPACINGS, "of its steps")
    flag(how, "--seed", sampling.seed, "another seed, another performance")
    amplitude = sampling.pose_amplitude
    what = f"how much the head moves: a number, or six for pitch,yaw,roll,x,y,scale ({amplitude})"
    how.add_argument("--pose-amplitude", type=amplitudes, default=amplitude, help=what)
    choice(how, "--pose-mean", sampling.pose_mean, POSE_MEANS, "around the portrait's pose, or facing the camera")
    choice(how, "--pose-anchor", sampling.pose_anchor, POSE_ANCHORS, "what stands in that pose: mean or first frame")
    choice(how, "--start", sampling.start, STARTS, "begin anywhere, or from the portrait's own face and pose")


def guidance(text: str) -> float | GuidanceKeys:
    """A number, or numbers from given seconds on."""
    try:
        return GuidanceKeys.written(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def amplitudes(text: str) -> float | tuple[float, ...]:
    """One number, or several with commas between."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, or six of them with commas") from None
    return numbers if len(numbers) > 1 else numbers[0]


def request_from(options: argparse.Namespace, portrait: Path, speech: Path) -> TalkRequest:
    """The job that the words describe. Raises UserError where a choice is refused."""
    names = ["steps", "sampler", "spacing", "cfg_audio", "cfg_audio_pose", "cfg_emotion", "seed"]
    names += ["pose_amplitude", "pose_mean", "pose_anchor", "start"]
    try:
        sampling = replace(SamplingOptions(), **{name: getattr(options, name) for name in names})
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
        sampling=sampling,
        rendering=rendering,
        weights=named_weights(options),
        crop=options.crop,
        face=options.face,
        limits=None if options.any_picture else FaceLimits(),
        paste_back=options.paste_back,
        resume=options.resume,
        device=options.device,
        precision=options.precision,
        plot=options.plot,
        mark=not options.no_mark,
    )


def named_weights(options: argparse.Namespace) -> Weights:
    """The models that the words name, by path or by where they lie below a models folder."""
    face, motion, emotion = map(resolved, (options.face_weights, options.motion_weights, options.emotion_weights))
    audio = options.audio_weights
    if audio and (found := resolved(Path(audio))) and found.exists():
        audio = str(found)
    return Weights(face, motion, emotion, audio)


def run_talk(options: argparse.Namespace) -> None:
    make(request_from(options, options.portrait, options.speech))


def run_demo(options: argparse.Namespace) -> None:
    make(request_from(options, bundled("portrait.png"), bundled("speech.wav")))


def run_describe(options: argparse.Namespace) -> None:
    say(str(read_account(options.file) if is_video(options.file) else describe(options.file)))


def make(request: TalkRequest) -> None:
    """Run the job under progress bars and tell what came of it."""
    with Bars() as bars:
        report = talk(request, bars)
    say(summary(report))


def summary(report: JobReport) -> str:
    """Where the file is, how long it is, and how long each stage took."""
    lines = [
        f"video    {report.path.resolve()}",
        f"length   {report.seconds:.2f} s, {report.frames} frames",
        f"took     {sum(seconds for _, seconds in report.stages):.1f} s:",
    ]
    return "\n".join(lines + [f"  {seconds:7.1f} s  {name}" for name, seconds in report.stages])
