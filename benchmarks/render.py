"""How fast W and G draw: ``python -m benchmarks.render [--reference DIR] [--weights PATH] [--out STEM]``.

Without a reference, ours and the share of this machine's measured peak; with one, the ratio, and the error beside it.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.prepared import PROFILES, prepare
from playmate_core.pictures import to_bytes
from playmate_core.portrait import move_to
from playmate_core.render import RenderOptions, driving_keypoints, paste_back, render
from playmate_core.writer import VideoWriter

from .clock import alternate, load_average, measured_peak
from .reference import Draw, load_reference
from .subject import Subject, make_subject

#: What a profile is called in the table of the issue.
TITLES = {
    "reference": "reference, eager fp32",
    "plain": "ours, plain modules",
    "structure": "ours, structure only",
    "transforms": "ours, with Winograd and FFT",
}


@dataclass(frozen=True)
class Row:
    """One contender: seconds a frame, how many times faster than the first row, and how far its pictures are from the
    first row's: the worst error in [0, 1], in grey levels, and the share of samples that differ by one."""

    name: str
    processor_seconds: float
    wall_seconds: float
    ratio: float
    wall_ratio: float
    share_of_peak: float
    worst_error: float
    worst_levels: int
    levels_differ: float


@dataclass(frozen=True)
class Report:
    """Everything that was measured, and on what."""

    command: str
    machine: str
    torch: str
    threads: int
    load_before: float
    load_after: float
    commit: str
    weights: str
    gflop_per_frame: float
    peak_gflop_per_second: float
    turns: int
    rows: tuple[Row, ...]
    outside_share: float
    outside_profile: str


def main(words: list[str] | None = None) -> int:
    options = _options(words)
    torch.set_num_threads(options.threads)
    try:
        subject = make_subject(options.weights, max(options.turns, options.film))
        report = measure(subject, options)
    except UserError as problem:
        sys.stderr.write(f"benchmarks.render: {problem}\n")
        return 2
    text = markdown(report)
    sys.stdout.write(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.with_suffix(".json").write_text(json.dumps(asdict(report), indent=1) + "\n")
        options.out.with_suffix(".md").write_text(text)
    return 0


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__)
    parser.add_argument("--reference", type=Path, help="a checkout of LivePortrait")
    parser.add_argument("--weights", type=Path, help="a folder of its weights, or a recipe; else the bundled model")
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=PROFILES, help="of ours (all)")
    parser.add_argument("--turns", type=int, default=5, help="how often each contender draws a frame (%(default)s)")
    parser.add_argument(
        "--film", type=int, default=8, help="frames of the film that paste-back is timed on (%(default)s)"
    )
    parser.add_argument("--threads", type=int, default=1, help="for PyTorch, all contenders alike (%(default)s)")
    parser.add_argument("--out", type=Path, help="write STEM.json and STEM.md")
    options = parser.parse_args(words)
    given = words if words is not None else sys.argv[1:]
    # Where this machine keeps a checkout is nobody's business: absolute paths are told by their last name.
    told = [Path(word).name if Path(word).is_absolute() else word for word in given]
    options.command = "python -m benchmarks.render " + shlex.join(told)
    return options


@torch.inference_mode()
def measure(subject: Subject, options: argparse.Namespace) -> Report:
    """Time every contender and compare its pictures with the first one's."""
    before, face = load_average(), subject.face
    volume = move_to(face, subject.portrait.appearance[None])
    x_s, x_d = driving_keypoints(face, subject.portrait, subject.motion, RenderOptions(stitching=False))
    draws: dict[str, Draw] = {}
    if options.reference:
        draws["reference"] = load_reference(options.reference, face)
    for profile in options.profiles:
        draws[profile] = prepare(face, profile).draw
    seen: dict[str, dict[int, Tensor]] = {name: {} for name in draws}

    def contender(name: str) -> Callable[[int], None]:
        def turn(i: int) -> None:
            seen[name][i] = draws[name](volume, x_s, x_d[i : i + 1])

        return turn

    times = alternate({name: contender(name) for name in draws}, options.turns)
    peak, flop = measured_peak(), flop_per_frame(face.config)
    first = next(iter(draws))
    rows = []
    for name in draws:
        error, levels, differ = compare(list(seen[first].values()), list(seen[name].values()))
        rows.append(
            Row(
                TITLES[name],
                times[name].median,
                times[name].wall_median,
                times[first].median / times[name].median,
                times[first].wall_median / times[name].wall_median,
                flop / times[name].median / peak,
                error,
                levels,
                differ,
            )
        )
    profile = min(options.profiles, key=lambda one: times[one].median)
    return Report(
        options.command,
        f"{_processor()}, {platform.system()}, {torch.backends.cpu.get_cpu_capability()}",
        torch.__version__,
        options.threads,
        before,
        load_average(),
        _commit(),
        subject.name,
        flop / 1e9,
        peak / 1e9,
        options.turns,
        tuple(rows),
        outside_share(subject, options.film, profile),
        profile,
    )


def flop_per_frame(config: FaceConfig) -> int:
    """What the plain W and G, hence the reference, compute for a frame; savings are to count as gains."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        face = FaceModel(config).eval()
        side, points = config.image_size, torch.zeros(1, 21, 3)
        volume = face.appearance(torch.zeros(1, 3, side, side))
        before = counter.get_total_flops()
        face.draw(volume, points, points)
    return counter.get_total_flops() - before


def compare(wanted: list[Tensor], got: list[Tensor]) -> tuple[float, int, float]:
    """Worst error, worst difference in grey levels, share of samples with any."""
    one, other = torch.cat(wanted), torch.cat(got)
    levels = (to_bytes(one).int() - to_bytes(other).int()).abs()
    return float((one - other).abs().max()), int(levels.max()), float((levels > 0).float().mean())


def outside_share(subject: Subject, frames: int, profile: str) -> float:
    """The share of the wall time that a pasted-back film spends on anything but W and G, encoding included."""
    options = RenderOptions(stitching=False, batch=1, profile=profile)
    batches = render(subject.face, subject.portrait, subject.motion[:frames], options)
    clock: list[float] = []
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "film.mp4") as video:
        pasted = paste_back(subject.portrait, _timed(batches, clock.append))
        for whole in pasted:
            video.write(whole)
    return 1 - sum(clock) / (time.perf_counter() - begun)


def _timed(batches: Iterator[Tensor], tell: Callable[[float], None]) -> Iterator[Tensor]:
    """Pass on the batches and tell how long each was waited for."""
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        tell(time.perf_counter() - started)
        if batch is None:
            return
        yield batch


def markdown(report: Report) -> str:
    """The report as a table."""
    lines = [
        "| one frame, W and G | processor, s | wall, s | ratio | wall ratio | of peak | worst error | grey levels |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report.rows:
        lines.append(
            f"| {row.name} | {row.processor_seconds:.3f} | {row.wall_seconds:.3f} | {row.ratio:.2f}x |"
            f" {row.wall_ratio:.2f}x | {row.share_of_peak:.0%} | {row.worst_error:.1e} |"
            f" {row.worst_levels}, {row.levels_differ:.2%} of samples |"
        )
    lines += [
        "",
        f"Outside W and G (copies, paste-back, encoding): {report.outside_share:.1%} of the wall time of a pasted-back"
        f" film, profile {report.outside_profile}.",
        "",
        f"Medians of {report.turns} alternating turns in one process; ratios and errors against the first row; share of"
        f" the peak by the first row's {report.gflop_per_frame:.0f} GFLOP and the {report.peak_gflop_per_second:.0f}"
        f" GFLOP/s a thread reached here. Weights: {report.weights}. {report.machine}, torch {report.torch},"
        f" {report.threads} thread(s); load average {report.load_before:.1f} before, {report.load_after:.1f} after:"
        " other processes shared the machine, hence processor time. Commit " + report.commit + ".",
        "",
        f"`{report.command}`",
        "",
    ]
    return "\n".join(lines)


def _processor() -> str:
    names = Path("/proc/cpuinfo")
    if names.is_file():
        for line in names.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
