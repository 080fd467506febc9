"""What loading LivePortrait's files costs, against building the networks and reading every file first.

``python -m benchmarks.load [FOLDER] [--runs 3]``; without a folder, files of random numbers in the published sizes are
written and removed again. Each load has a process of its own; the two ways alternate, medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.weights.liveportrait import GROUPS, PARTS, STITCHING, find_parts, load_published, read_tensors

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Cost:
    """``peak``: memory at its highest, over the size of the model that was loaded; ``seconds`` it took."""

    peak: float
    seconds: float


def naive(folder: Path, config: FaceConfig) -> FaceModel:
    """Networks with their first random weights, every file in memory, then a copy from one to the other."""
    model = FaceModel(config)
    read = {name: read_tensors(file) for name, file in find_parts(folder).items()}
    for name, tensors in read.items():
        model.get_submodule(PARTS[name][0]).load_state_dict(tensors, strict=False)
    return model


def ours(folder: Path, config: FaceConfig) -> FaceModel:
    """As the program does it."""
    return load_published(folder, config)


WAYS: dict[str, Callable[[Path, FaceConfig], FaceModel]] = {"naive": naive, "ours": ours}


def cost_of(way: str, folder: Path, config: FaceConfig) -> Cost:
    """Load once in this process, which should have loaded nothing before."""
    with torch.device("meta"):
        FaceModel(config)  # the first use of this device imports 60 MB of code, which is not the load's
    before = status_bytes("VmRSS")
    start = time.perf_counter()
    model = WAYS[way](folder, config)
    seconds = time.perf_counter() - start
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    return Cost((status_bytes("VmHWM") - before) / size, seconds)


def status_bytes(name: str) -> int:
    """What the kernel (Linux) says of this process: VmRSS the memory it has, VmHWM the most it ever had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def in_its_own_process(way: str, folder: Path, config: FaceConfig) -> Cost:
    """:func:`cost_of` in a fresh interpreter."""
    words = [sys.executable, "-m", "benchmarks.load", str(folder), "--only", way]
    words += ["--config", json.dumps(asdict(config))]
    # An allocator told to keep what is freed would hide what a load gives back.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=kept)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Cost(**json.loads(done.stdout))


def write_random(folder: Path, config: FaceConfig) -> Path:
    """The five files, ``.pth``, of networks as they are made."""
    model = FaceModel(config)
    theirs = {ours: name for name, ours in GROUPS.items()}
    for name, (where, _) in PARTS.items():
        state = dict(model.get_submodule(where).state_dict())
        if name == STITCHING:
            state = {f"{theirs[k.partition('.')[0]]}_module.{k.partition('.')[2]}": v for k, v in state.items()}
        torch.save(state, folder / f"{name}.pth")
    return folder


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("folder", type=Path, nargs="?")
    words.add_argument("--runs", type=int, default=3)
    words.add_argument("--only", choices=tuple(WAYS), help=argparse.SUPPRESS)
    words.add_argument("--config", default="{}", help=argparse.SUPPRESS)
    options = words.parse_args()
    config = FaceConfig(**json.loads(options.config))
    if options.only:
        sys.stdout.write(json.dumps(asdict(cost_of(options.only, options.folder, config))))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or write_random(Path(made), config)
        costs = {way: [] for way in WAYS}
        for _ in range(options.runs):
            for way, seen in costs.items():
                seen.append(in_its_own_process(way, folder, config))
    sys.stdout.write("| way | peak memory / model | seconds |\n|---|---|---|\n")
    for way, seen in costs.items():
        peak, seconds = (statistics.median(getattr(cost, name) for cost in seen) for name in ("peak", "seconds"))
        sys.stdout.write(f"| {way} | {peak:.2f} | {seconds:.2f} |\n")


if __name__ == "__main__":
    main()
