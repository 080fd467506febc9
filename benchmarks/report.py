"""What :mod:`benchmarks.render` reports, and its table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Seconds a frame, of the processor and of the wall clock, the ratios to the base's, the share of its dtype's peak
    that the products reach which it really computes, and how many GFLOP they are: None where the engine does not tell
    them."""

    processor_seconds: float
    wall_seconds: float
    ratio: float
    wall_ratio: float
    share_of_peak: float | None
    gflop: float | None


@dataclass(frozen=True)
class ProfileTiming:
    """One contender: seconds a frame and how many times faster than the base, where it was timed; and how far its
    pictures are from the first row's: the worst error in [0, 1], the PSNR in dB, the worst in grey levels and the share
    of samples that differ by one; ``inexact`` is the worst error against float64, where that was asked for."""

    name: str
    pace: Pace | None
    worst_error: float
    psnr: float
    worst_levels: int
    levels_differ: float
    inexact: float | None


@dataclass(frozen=True)
class Report:
    """Everything that was measured, and on what; ``left_out`` names contenders that could not run, and why."""

    command: str
    machine: str
    torch: str
    threads: int
    load_before: float
    load_after: float
    sources: str
    weights: str
    gflop_per_frame: float
    peak_gflop_per_second: float
    half_peak_gflop_per_second: float | None
    gigabytes: dict[str, float]
    turns: int
    batch: int
    base: str
    rows: tuple[ProfileTiming, ...]
    outside_share: float
    outside_profile: str
    left_out: tuple[str, ...] = ()


def markdown(report: Report) -> str:
    """The report as a table."""
    lines = [
        "| one frame, W and G | processor, s | wall, s | ratio | wall ratio | GFLOP | of peak | worst error |"
        " PSNR, dB | grey levels | from float64 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report.rows:
        inexact = "" if row.inexact is None else f"{row.inexact:.1e}"
        paced = " | | | | |" if row.pace is None else _told(row.pace)
        lines.append(
            f"| {row.name} | {paced} | {row.worst_error:.1e} | {min(row.psnr, 200):.1f} |"
            f" {row.worst_levels}, {row.levels_differ:.2%} of samples | {inexact} |"
        )
    if report.left_out:
        lines += ["", f"Left out: {'; '.join(report.left_out)}."]
    lines += [
        "",
        f"Outside W and G (copies, paste-back, encoding): {report.outside_share:.1%} of the wall time of a pasted-back"
        f" video, profile {report.outside_profile}.",
        "",
        f"Medians of {report.turns} alternating turns of {report.batch} frame(s) in one process; ratios against"
        f' "{report.base}", errors against the first row; a row without times was computed for its errors on a'
        " machine that lacks the instructions; share of the peak by the products really computed and the"
        f" {report.peak_gflop_per_second:.0f} GFLOP/s that float32 reaches here{_half_peak(report)}; the plain networks"
        f" compute {report.gflop_per_frame:.0f} GFLOP. Memory of W and G: {_told_memory(report)}."
        f" Weights: {report.weights}. {report.machine}, torch {report.torch}, {report.threads} thread(s); load average"
        f" {report.load_before:.1f} before, {report.load_after:.1f} after: other processes shared the machine, hence"
        f" processor time. Sources of playmate_core: {report.sources}.",
        "",
        f"`{report.command}`",
        "",
    ]
    return "\n".join(lines)


def _half_peak(report: Report) -> str:
    if report.half_peak_gflop_per_second is None:
        return ""
    return f", for half precision the {report.half_peak_gflop_per_second:.0f} GFLOP/s of bfloat16"


def _told_memory(report: Report) -> str:
    return ", ".join(f"{title.removeprefix('ours, ')} {size:.2f} GB" for title, size in report.gigabytes.items())


def _told(pace: Pace) -> str:
    done = " | " if pace.gflop is None or pace.share_of_peak is None else f"{pace.gflop:.0f} | {pace.share_of_peak:.0%}"
    return (
        f"{pace.processor_seconds:.4g} | {pace.wall_seconds:.4g} | {pace.ratio:.2f}x | {pace.wall_ratio:.2f}x | {done}"
    )
