"""How fast W and G draw: ``python -m benchmarks.render [--reference DIR] [--weights PATH] [--out STEM]``.

Without a reference, ours and the share of this machine's measured peak; with one, the ratio, and the error beside it.
``--exact`` also tells how far everybody is from the same networks in float64, of which all are roundings. On a card
(``--device cuda --batch 8``) a frame ends as bytes on the host, and ratios are against the reference under autocast, as
its users run it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.fast import PROFILES
from playmate_core.media.images import to_bytes
from playmate_core.rendering.device import multiplies_bf16, require_device
from playmate_core.rendering.portrait import exact_to, move_to
from playmate_core.rendering.render import RenderOptions, driving_keypoints

from .clock import Times, alternate, load_average, measured_peak
from .contenders import TITLES, contenders
from .costs import gigabytes, products_of
from .engines import ENGINES
from .exact import exactly
from .machine import command_of, machine_of, sources
from .outside import outside_share
from .reference import sizes_file
from .report import Pace, ProfileTiming, Report, markdown
from .report_files import write_report
from .subject import SEEDED, BenchmarkCase, make_case


def main(words: list[str] | None = None) -> int:
    options = _options(words)
    torch.set_num_threads(options.threads)
    try:
        if options.reference:
            sizes_file(options.reference)  # before the networks are made
        elif options.contenders:
            raise UserError("--contenders run the reference's networks; please name a checkout with --reference DIR.")
        if options.contenders and options.device != "cpu":
            raise UserError(f"--contenders run on a processor, got --device {options.device}; please leave either out.")
        require_device(options.device)
        subject = make_case(options.weights, max(options.turns * options.batch, options.video), options.device)
        report = measure(subject, options)
    except UserError as problem:
        sys.stderr.write(f"benchmarks.render: {problem}\n")
        return 2
    text = markdown(report)
    sys.stdout.write(text)
    if options.out:
        write_report(options.out, asdict(report), text)
    return 0


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__)
    parser.add_argument("--reference", type=Path, help="a checkout of LivePortrait")
    parser.add_argument(
        "--weights", default=SEEDED, help="seeded, bundled, a folder of LivePortrait's files, or a recipe (%(default)s)"
    )
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=PROFILES, help="of ours (all)")
    parser.add_argument(
        "--contenders", nargs="*", choices=ENGINES, default=(), help="further engines for the reference (none)"
    )
    parser.add_argument("--turns", type=int, default=5, help="how often each contender draws a frame (%(default)s)")
    parser.add_argument(
        "--video", "--film", type=int, default=8, help="frames of the video that paste-back is timed on (%(default)s)"
    )
    parser.add_argument("--exact", action="store_true", help="compare with float64 too; takes minutes and 8 GB")
    parser.add_argument("--device", default="cpu", help="where all of it runs (%(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="frames a turn, which ours draws at once (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="for PyTorch, all contenders alike (%(default)s)")
    parser.add_argument("--out", type=Path, help="write STEM.json and STEM.md")
    options = parser.parse_args(words)
    options.command = command_of("render", sys.argv[1:] if words is None else words)
    return options


@torch.inference_mode()
def measure(subject: BenchmarkCase, options: argparse.Namespace) -> Report:
    """Time every contender and compare its pictures with the first one's."""
    before, face, device = load_average(), subject.face, torch.device(options.device)
    volume = move_to(face, subject.portrait.appearance[None])
    x_s, x_d = driving_keypoints(face, subject.portrait, subject.motion, RenderOptions(stitching=False))
    x_s, places = exact_to(face, x_s), exact_to(face, x_d).split(options.batch)
    field, left_out = contenders(face, options, (volume, x_s, places[0][:1]))
    seen: dict[str, dict[int, list[Tensor]]] = {name: {} for name in field}

    def turn(name: str, i: int) -> None:
        one, mine = field[name], seen[name].setdefault(i, [])
        mine.clear()
        for some in places[i].split(one.batch):
            mine.append(one.draw(volume, x_s, some))
            one.deliver(mine[-1])

    times = alternate({name: partial(turn, name) for name, one in field.items() if one.timed}, options.turns)
    for name, one in field.items():
        for i in range(0 if one.timed else options.turns):
            turn(name, i)
    drawn = {name: [torch.cat(turns[i]).float().cpu() for i in sorted(turns)] for name, turns in seen.items()}
    peak, flop = measured_peak(device), flop_per_frame(face.config)
    half_peak = measured_peak(device, dtype=torch.bfloat16) if device.type == "cpu" and multiplies_bf16() else None
    first = next(iter(field))
    wrapper = device.type == "cuda" and "autocast" in times  # what the reference's users run on a card
    base = "autocast" if wrapper else first
    fastest = min((name for name in options.profiles if name in times), key=lambda name: times[name].wall_median)
    outside = outside_share(subject, options.video, fastest)
    truth = exactly(face, volume, x_s, torch.cat(places[: options.turns])) if options.exact else None
    rows = []
    for name, one in field.items():
        pace = None
        if one.timed:
            reached = half_peak if half_peak and name in ("half", "autocast") else peak
            done = products_of(partial(one.draw, volume, x_s, places[0][:1])) if one.counted else None
            pace = _pace(times[name], times[base], options.batch, device, done, reached)
        inexact = None if truth is None else compare(truth, list(torch.cat(drawn[name]).split(1)))[0]
        rows.append(ProfileTiming(one.title, pace, *compare(drawn[first], drawn[name]), inexact))
    return Report(
        options.command,
        machine_of(device),
        torch.__version__,
        options.threads,
        before,
        load_average(),
        sources(),
        subject.name,
        flop / 1e9,
        peak / 1e9,
        half_peak and half_peak / 1e9,
        {TITLES[name]: gigabytes(face, name) for name in options.profiles},
        options.turns,
        options.batch,
        field[base].title,
        tuple(rows),
        outside,
        fastest,
        left_out,
    )


def _pace(mine: Times, base: Times, frames: int, device: torch.device, flop: int | None, reached: float) -> Pace:
    """Of turns of ``frames`` frames of ``flop`` each, where ``reached`` FLOP a second are the peak."""
    own = mine.median if device.type == "cpu" else mine.wall_median
    return Pace(
        mine.median / frames,
        mine.wall_median / frames,
        base.median / mine.median,
        base.wall_median / mine.wall_median,
        None if flop is None else flop * frames / reached / own,
        None if flop is None else flop / 1e9,
    )


def flop_per_frame(config: FaceConfig) -> int:
    """What the plain W and G, hence the reference, compute for a frame; savings are to count as gains."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        face = FaceModel(config).train(False)
        side, points = config.image_size, torch.zeros(1, 21, 3)
        volume = face.appearance(torch.zeros(1, 3, side, side))
        before = counter.get_total_flops()
        face.draw(volume, points, points)
    return counter.get_total_flops() - before


def compare(wanted: list[Tensor], got: list[Tensor]) -> tuple[float, float, int, float]:
    """Worst error, PSNR in dB, worst difference in grey levels, share of samples with any."""
    one, other = torch.cat(wanted), torch.cat(got)
    levels = (to_bytes(one).int() - to_bytes(other).int()).abs()
    error = (one - other).double().square().mean()
    psnr = float(-10 * error.clamp_min(1e-20).log10())
    return float((one - other).abs().max()), psnr, int(levels.max()), float((levels > 0).float().mean())


if __name__ == "__main__":
    sys.exit(main())
