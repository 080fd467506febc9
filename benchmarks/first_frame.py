"""How long until the first frame, with models loaded: ``python -m benchmarks.first_frame [--out STEM]``.

For the bundled face model and for one of LivePortrait's size with seeded weights: a speech that is there as a whole,
its motion sampled window by window or all of it first; and the same speech as it is recorded, for which the added
delay is the look-ahead plus the time computed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from playmate_core.diffusion.generate import PlaymateGenerator
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.motion.stream import MotionStream
from playmate_core.pipelines.live import LiveOptions, LiveTalk
from playmate_core.pipelines.stages import sample_motion
from playmate_core.rendering.render import RenderOptions
from playmate_core.rendering.write_video import portrait_job
from playmate_core.speech.live import SpeechLevel
from playmate_core.speech.waveform import SAMPLE_RATE, to_mono_16k
from playmate_core.weights.folders import bundled
from playmate_core.weights.generators import load_generator

from .clock import load_average
from .machine import command_of, machine_of
from .report_files import write_report
from .subject import BUNDLED, SEEDED, BenchmarkCase, make_case

#: Samples of a live push: 40 ms.
BLOCK = 640


@dataclass(frozen=True)
class FirstFrame:
    """Medians in seconds of the wall clock (of the processor in brackets where it is another number).

    ``streamed``: from the waveform to the first batch of frames, motion window by window; ``sampled_first``: the same
    with all motion sampled before; ``look_ahead``: speech that a live frame waits for at most, in seconds;
    ``computed``: seconds from the push that completes the first window to the first batch; ``motion_a_second``: seconds
    that listening and sampling take for a second of speech.
    """

    weights: str
    seconds_of_speech: float
    batch: int
    streamed: float
    streamed_processor: float
    sampled_first: float
    sampled_first_processor: float
    look_ahead: float
    computed: float
    computed_processor: float
    motion_a_second: float


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_frame", description=__doc__)
    parser.add_argument("--weights", nargs="+", default=[BUNDLED, SEEDED], help="as of benchmarks.render (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of speech (%(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="of which the median is told (%(default)s)")
    drawn = RenderOptions().batch
    parser.add_argument("--batch", type=int, default=drawn, help="frames drawn at once after the first (%(default)s)")
    parser.add_argument("--steps", type=int, default=SamplingOptions().steps, help="of the sampler (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where all of it runs (%(default)s)")
    parser.add_argument("--out", type=Path, help="write STEM.json and STEM.md")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    before = load_average()
    rows = [measure(make_case(name, 1, options.device), options) for name in options.weights]
    command = command_of("first_frame", sys.argv[1:] if words is None else words)
    text = markdown(rows, before, torch.device(options.device), command)
    sys.stdout.write(text)
    if options.out:
        write_report(options.out, [asdict(row) for row in rows], text)
    return 0


def speech_of(seconds: float) -> np.ndarray:
    """The bundled speech, 16 kHz mono, repeated to this length."""
    from playmate_core.media.audio_files import read_sound

    sound = read_sound(bundled("speech.wav"))
    samples = np.asarray(to_mono_16k(sound.waveform, sound.rate))
    return np.resize(samples, round(seconds * SAMPLE_RATE))


def measure(subject: BenchmarkCase, options: argparse.Namespace) -> FirstFrame:
    """Time every way in turn, after one run that is not counted."""
    generator = load_generator(bundled("motion.safetensors"))
    for module in generator.modules:
        module.to(options.device)
    if not isinstance(generator, PlaymateGenerator):
        raise TypeError("The bundled motion model is Playmate's own.")
    samples = speech_of(options.seconds)
    way = Ways(subject, generator, samples, options)
    jobs: dict[str, Callable[[], float]] = {
        "streamed": lambda: way.first_of(window_by_window=True),
        "sampled_first": lambda: way.first_of(window_by_window=False),
        "computed": way.live,
        "motion": way.motion_alone,
    }
    wall: dict[str, list[float]] = {name: [] for name in jobs}
    processor: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(options.turns + 1):
        for name, job in jobs.items():
            begun = time.process_time()
            taken = job()
            if turn:
                wall[name].append(taken)
                processor[name].append(time.process_time() - begun)
    medians = {name: statistics.median(values) for name, values in wall.items()}
    spent = {name: statistics.median(values) for name, values in processor.items()}
    return FirstFrame(
        subject.name,
        options.seconds,
        options.batch,
        medians["streamed"],
        spent["streamed"],
        medians["sampled_first"],
        spent["sampled_first"],
        way.look_ahead,
        medians["computed"],
        way.live_processor,
        medians["motion"] / options.seconds,
    )


class Ways:
    """The ways to the first batch of frames; each returns its seconds of the wall clock."""

    def __init__(
        self, subject: BenchmarkCase, generator: PlaymateGenerator, samples: np.ndarray, options: argparse.Namespace
    ) -> None:
        self._subject, self._generator, self._samples = subject, generator, samples
        self._sampling = replace(generator.defaults, steps=options.steps)
        self._rendering = RenderOptions(batch=options.batch)
        self.look_ahead, self.live_processor = 0.0, 0.0

    def first_of(self, window_by_window: bool) -> float:
        """From the waveform to the first batch."""
        begun = time.perf_counter()
        stream = self._stream()
        motion = stream if window_by_window else stream.whole()
        job = portrait_job(self._subject.face, self._subject.portrait, motion, self._rendering)
        drawn = job.pictures()
        next(drawn)
        return time.perf_counter() - begun

    def motion_alone(self) -> float:
        """All motion, without a picture."""
        begun = time.perf_counter()
        self._stream().whole()
        return time.perf_counter() - begun

    def live(self) -> float:
        """From the block of samples that completes the first window to the first batch."""
        options = LiveOptions(None, self._sampling, self._rendering, SpeechLevel.of(self._samples, SAMPLE_RATE))
        talk = LiveTalk(self._subject.face, self._generator, self._subject.portrait, options)
        self.look_ahead = (talk.look_ahead + 1) / 25
        for begin in range(0, len(self._samples), BLOCK):
            begun, spent = time.perf_counter(), time.process_time()
            frames = next(talk.push(self._samples[begin : begin + BLOCK]), None)
            if frames is not None:
                self.live_processor = time.process_time() - spent
                return time.perf_counter() - begun
        begun = time.perf_counter()
        next(talk.finish())
        return time.perf_counter() - begun

    def _stream(self) -> MotionStream:
        audio = self._generator.encoder().listen(self._samples, SAMPLE_RATE)
        pieces = sample_motion(self._generator, self._subject.portrait, audio, options=self._sampling)
        return MotionStream(pieces, len(audio), audio.fps)


def markdown(rows: list[FirstFrame], load: float, device: torch.device, command: str) -> str:
    """A table of the rows, with what it was measured on."""
    titles = [row.weights for row in rows]
    lines = [f"| seconds: wall (processor) | {' | '.join(titles)} |", "|---|" + "---|" * len(rows)]

    def line(name: str, cells: list[str]) -> None:
        lines.append(f"| {name} | {' | '.join(cells)} |")

    line("speech at hand, motion window by window", [f"{r.streamed:.2f} ({r.streamed_processor:.2f})" for r in rows])
    line("speech at hand, all motion first", [f"{r.sampled_first:.2f} ({r.sampled_first_processor:.2f})" for r in rows])
    line("live: look-ahead, at most", [f"{r.look_ahead:.2f}" for r in rows])
    line("live: computed after it", [f"{r.computed:.2f} ({r.computed_processor:.2f})" for r in rows])
    line("live: added delay, at most", [f"{r.look_ahead + r.computed:.2f}" for r in rows])
    line("listening and sampling, for a second of speech", [f"{r.motion_a_second:.3f}" for r in rows])
    lines += [
        "",
        f"To the first pictures, in batches of {rows[0].batch} at most (2 on a processor), models loaded,"
        f" {rows[0].seconds_of_speech:g} s of speech; medians."
        f" {machine_of(device)}, torch {torch.__version__}, 1 thread; load average {load:.1f} before.",
        "",
        f"`{command}`",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
