"""Folders of inputs as a batch: every portrait with every second input; one bad file costs only its own videos."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..media.account import read_account
from ..media.output_file import check_folder
from ..media.provenance import NAME
from .recipe import changed_setting
from .stages import JobReport

log = logging.getLogger(__name__)

#: Whether a file of a folder is taken, by its name.
Kind = Callable[[Path], bool]


@dataclass(frozen=True)
class BatchJob:
    """One video of a batch: the two inputs and where it is written."""

    first: Path
    second: Path
    output: Path


@dataclass(frozen=True)
class BatchResult:
    """What became of a job: its report, or the sentence that says why there is none. ``changed``: a setting for which
    a finished video was made again."""

    job: BatchJob
    report: JobReport | None
    problem: str = ""
    changed: str = ""


def batch_jobs(
    first: Path, second: Path, folder: Path, kinds: tuple[Kind, Kind], suffix: str = ".mp4"
) -> list[BatchJob]:
    """The jobs of a batch, at least one of whose inputs is a folder, named after the files of the folders.

    ``kinds`` say which files of a folder are taken; hidden ones are not. Two inputs with one stem, such as a.png and
    a.jpg, keep their suffix in the name. Raises UserError where a folder holds no input, or ``folder`` is none.
    """
    if not folder.exists() and folder.parent.is_dir():
        folder.mkdir()
    check_folder(folder)
    inputs = [_files(given, kind) for given, kind in zip((first, second), kinds, strict=True)]
    names = [_names(files, given.is_dir()) for files, given in zip(inputs, (first, second), strict=True)]
    jobs = []
    for one in inputs[0]:
        for other in inputs[1]:
            name = "_".join(filter(None, (names[0][one], names[1][other])))
            jobs.append(BatchJob(one, other, folder / f"{name}{suffix}"))
    return jobs


def run_batch(
    jobs: Sequence[BatchJob],
    make: Callable[[BatchJob], JobReport],
    told: Callable[[int, BatchResult], None],
    finished: Callable[[BatchJob], object] | None = None,
) -> list[BatchResult]:
    """Run every job with ``make``; ``told(number, result)`` is called after each.

    A file that is there already is only replaced if it is a video that Playmate made of the same two inputs. Where
    ``finished`` gives the request of a job, such a one is kept as it is if its recipe holds the same settings. Mistakes
    in one job do not stop the others.
    """
    results = []
    for number, job in enumerate(jobs):
        results.append(_run(job, make, finished))
        told(number, results[-1])
    return results


def _run(
    job: BatchJob, make: Callable[[BatchJob], JobReport], finished: Callable[[BatchJob], object] | None
) -> BatchResult:
    changed = ""
    if job.output.exists():
        made = _request_of(job)
        if made is None:
            what = "is there already and was not made of these inputs; please move it or choose another folder"
            return BatchResult(job, None, f"{job.output} {what}.")
        if finished is not None:
            changed = changed_setting(made, finished(job))
            if not changed:
                return BatchResult(job, None)
    try:
        return BatchResult(job, make(job), changed=changed)
    except UserError as problem:
        return BatchResult(job, None, str(problem))
    except OSError as problem:  # a file that vanished, a full disk
        where = problem.filename or job.first
        return BatchResult(job, None, f"{problem.strerror or problem}: {where}.")
    except Exception as problem:  # a file that nobody thought of must not cost the others their videos
        log.debug("%s and %s", job.first, job.second, exc_info=True)
        return BatchResult(job, None, f"{job.first} and {job.second}: {type(problem).__name__}: {problem}")


def _request_of(job: BatchJob) -> dict[str, Any] | None:
    """The request in the recipe of the file at the output; None unless we made it of the job's inputs, as its mark
    says."""
    try:
        account = read_account(job.output)
        request: dict[str, Any] = json.loads(account.recipe)["request"]
        names = {value for value in request.values() if isinstance(value, str)}
    except (UserError, ValueError, KeyError, TypeError, AttributeError):
        return None
    ours = account.software.startswith(NAME) and {job.first.name, job.second.name} <= names
    return request if ours else None


def _files(given: Path, kind: Kind) -> list[Path]:
    """The file itself, or those of a folder, by name. Raises UserError where a folder holds none."""
    if not given.is_dir():
        return [given]
    found = sorted(path for path in given.iterdir() if _is_input(path, kind))
    if not found:
        raise UserError(f"The folder {given} holds no file that can be used here; please check it.")
    return found


def _is_input(path: Path, kind: Kind) -> bool:
    return not path.name.startswith(".") and path.is_file() and kind(path)


def _names(files: Sequence[Path], several: bool) -> dict[Path, str]:
    """What each file is called in the names of the videos, "" unless it is one of ``several``."""
    count = Counter(path.stem.casefold() for path in files)
    unlike = {path: path.stem for path in files if count[path.stem.casefold()] == 1}
    alike = {path: f"{path.stem}_{path.suffix.removeprefix('.')}" for path in files if path not in unlike}
    return unlike | alike if several else dict.fromkeys(files, "")


def failures(results: Sequence[BatchResult]) -> Iterator[BatchResult]:
    """The jobs that made no video because of a mistake."""
    return (result for result in results if result.problem)
