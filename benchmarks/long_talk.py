"""Does ``playmate talk`` cost as much a frame, and no more memory, for ten minutes as for half a minute?

``python -m benchmarks.long_talk [--seconds 30 120 600] [--out STEM] [-- FLAGS OF TALK]``: the bundled model and
speech, the speech repeated to each length; every length in a process of its own, one after another. Linux and macOS.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import wave
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from playmate_core.speech.waveform import SAMPLE_RATE
from playmate_core.weights.folders import bundled

from .clock import load_average
from .first_frame import speech_of
from .machine import command_of, machine_of
from .report_files import write_report

#: Of the bundled model's motion.
FPS = 25


@dataclass(frozen=True)
class LongTalk:
    """A run for ``seconds`` of speech: ``frames`` written, seconds of the processor in all, and the most memory that
    the process held at once, in bytes."""

    seconds: float
    frames: int
    processor: float
    peak: int


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_talk", description=__doc__)
    parser.add_argument(
        "--seconds", nargs="+", type=float, default=[30.0, 120.0, 600.0], help="of speech (%(default)s)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch (%(default)s)")
    parser.add_argument("--out", type=Path, help="write STEM.json and STEM.md")
    given = list(sys.argv[1:] if words is None else words)
    own, talk = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    options = parser.parse_args(own)
    before = load_average()
    runs = [measure(seconds, options.threads, talk) for seconds in options.seconds]
    command = command_of("long_talk", given)
    text = markdown(runs, before, options.threads, command)
    sys.stdout.write(text)
    if options.out:
        write_report(options.out, {"command": command, "runs": [asdict(run) for run in runs]}, text)
    return 0


def measure(seconds: float, threads: int, talk: list[str]) -> LongTalk:
    """One run of ``playmate talk`` with these further flags. Raises RuntimeError with its message if it fails."""
    with tempfile.TemporaryDirectory() as made:
        speech, video = Path(made) / "speech.wav", Path(made) / "talk.mp4"
        write_speech(speech, seconds)
        words = [sys.executable, "-m", "playmate_core", "talk", str(bundled("portrait.png")), str(speech)]
        words += ["-o", str(video), "--crop", "whole", *talk]
        # An allocator told to keep what is freed would hide what the program gives back.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        with (Path(made) / "log").open("w+b") as log:
            started = subprocess.Popen(words, stdout=log, stderr=log, env=kept | {"OMP_NUM_THREADS": str(threads)})
            _, status, usage = os.wait4(started.pid, 0)
            started.returncode = os.waitstatus_to_exitcode(status)
            if started.returncode:
                log.seek(0)
                raise RuntimeError(log.read().decode(errors="replace")[-2000:])
        unit = 1 if sys.platform == "darwin" else 1024
        return LongTalk(seconds, frames_of(video), usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def write_speech(path: Path, seconds: float) -> None:
    """The bundled speech repeated to this length, as 16-bit sound."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(speech_of(seconds), -1, 1) * 32767).astype("<i2").tobytes())


def frames_of(video: Path) -> int:
    """How many frames a video holds, counted by its packets."""
    import av

    with av.open(str(video)) as container:
        return sum(packet.size > 0 for packet in container.demux(video=0))


def marginal(runs: list[LongTalk]) -> list[float | None]:
    """Milliseconds of the processor for each frame that a run draws more than the one before; None for the first, whose
    start cannot be told from its frames."""
    more: list[float | None] = [None]
    for one, next_one in zip(runs, runs[1:], strict=False):
        more.append(1000 * (next_one.processor - one.processor) / (next_one.frames - one.frames))
    return more


def markdown(runs: list[LongTalk], load: float, threads: int, command: str) -> str:
    """A table of the runs, with what they were measured on."""
    lines = [
        "| speech, s | frames | processor, s | ms a frame, start included | ms for each frame more | peak memory, MB |"
        " of the first |",
        "|---|---|---|---|---|---|---|",
    ]
    for run, more in zip(runs, marginal(runs), strict=True):
        lines.append(
            f"| {run.seconds:g} | {run.frames} | {run.processor:.1f} | {1000 * run.processor / run.frames:.2f} |"
            f" {'' if more is None else f'{more:.2f}'} | {run.peak / 1e6:.0f} | {run.peak / runs[0].peak:.3f} |"
        )
    lines += [
        "",
        f"`playmate talk` with the bundled model, a process for each length. {machine_of(torch.device('cpu'))}, torch"
        f" {torch.__version__}, {threads} thread(s) of PyTorch; load average {load:.1f} before.",
        "",
        f"`{command}`",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
