"""Folders of inputs: one video for each portrait and each second input, a line for each, a summary at the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError
from ..media.video_formats import format_named
from ..pipelines.batch import BatchJob, BatchResult, Kind, batch_jobs, failures, run_batch
from ..pipelines.stages import JobReport
from .terminal import Bars, say

#: Exit code where some videos of a batch could not be made.
INCOMPLETE = 1
#: Flags that name one file, which a batch would write again and again.
_ONE_FILE = ("plot", "preview", "save_motion")


def is_batch(*given: Path) -> bool:
    """Whether any input is a folder."""
    return any(path.is_dir() for path in given)


def jobs_of(options: argparse.Namespace, first: Path, second: Path, kinds: tuple[Kind, Kind]) -> list[BatchJob]:
    """The jobs of the command. Raises UserError for flags that do not go with folders."""
    for name in _ONE_FILE:
        if getattr(options, name, None):
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} names one file and a folder makes several videos; please leave it out.")
    options.output_is_folder = False  # it holds the videos, each of which is what the codec says
    suffix = format_named(options.codec).suffixes[0] if options.codec else ".mp4"
    return batch_jobs(first, second, options.output, kinds, suffix)


def run_jobs(
    jobs: list[BatchJob],
    make: Callable[[BatchJob, Bars], JobReport],
    finished: Callable[[BatchJob], object] | None = None,
) -> int:
    """Run the jobs; returns the exit code. Each is told when it ends, mistakes again at the end. ``finished``: see
    :func:`run_batch`."""
    with Bars() as bars:

        def told(number: int, result: BatchResult) -> None:
            bars.close()
            say(f"[{number + 1}/{len(jobs)}] {_line(result)}", sys.stderr if result.problem else sys.stdout)

        results = run_batch(jobs, lambda job: make(job, bars), told, finished)
    failed = list(failures(results))
    made = sum(result.report is not None for result in results)
    kept = len(results) - made - len(failed)
    told_kept = f", {kept} kept as they were" if kept else ""
    say(f"{made} of {len(results)} videos made in {jobs[0].output.parent.resolve()}{told_kept}, {len(failed)} failed")
    for result in failed:
        say(f"playmate: {_inputs(result)}: {result.problem}", sys.stderr)
    return INCOMPLETE if failed else 0


def _line(result: BatchResult) -> str:
    if result.problem:
        return f"{_inputs(result)}: {result.problem}"
    if result.report is None:
        return f"{result.job.output.name}: kept as it is"
    again = f", made again, for a setting changed: {result.changed}" if result.changed else ""
    return f"{result.job.output.name}: {result.report.seconds:.2f} s, {result.report.frames} frames{again}"


def _inputs(result: BatchResult) -> str:
    return f"{result.job.first.name} with {result.job.second.name}"
