"""Everything that is measured on a card, in one command: ``python -m benchmarks.device``, or ``benchmarks/device.sh``.

Each section runs in a process of its own, so that one that fails or takes too long leaves the others their time; the
tables are written after each. ``--device cpu --tiny`` runs the same sections on small networks, to test this script.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from .report_files import write_report

ROOT = Path(__file__).resolve().parent.parent
#: Sections in the order of their worth, with the most seconds that each may take.
SECTIONS = {"machine": 40, "networks": 110, "talk": 70, "outside": 40, "profile": 25, "compiled": 150}
BATCHES = (1, 4, 8, 16)


def main(words: list[str] | None = None) -> int:
    options = arguments(words)
    if options.section:
        from .device_sections import run_section

        options.into.write_text(json.dumps(run_section(options)))
        return 0
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.stderr.write(
            f"benchmarks.device: torch {torch.__version__} sees no NVIDIA card here; please install a build of torch"
            " that matches the driver.\n"
        )
        return 2
    stem = options.out or ROOT / "benchmarks" / "results" / f"render_cuda_{card_name(options.device)}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {
        "command": "bash benchmarks/device.sh " + " ".join(_told(word) for word in (words or sys.argv[1:])),
        "card": card_name(options.device),
        "torch": f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}",
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "tiny": options.tiny,
        "sections": {},
    }
    begun = time.monotonic()
    for name in options.sections:
        left = options.budget - (time.monotonic() - begun)
        told["sections"][name] = in_own_process(name, options, min(SECTIONS[name], left))
        told["seconds"] = round(time.monotonic() - begun, 1)
        write_report(stem, told, markdown(told))
    sys.stdout.write(markdown(told))
    return 0


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device", description=__doc__)
    parser.add_argument("--reference", type=Path, help="a checkout of LivePortrait; without one, ours alone")
    parser.add_argument("--device", default="cuda", help="where all of it runs (%(default)s)")
    parser.add_argument("--tiny", action="store_true", help="small networks and videos, to test this script")
    parser.add_argument("--budget", type=float, default=345.0, help="seconds for all of it (%(default)s)")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES, help="frames at once (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="of which the median is told (%(default)s)")
    parser.add_argument("--sections", nargs="+", choices=tuple(SECTIONS), default=tuple(SECTIONS))
    parser.add_argument("--out", type=Path, help="write STEM.json and STEM.md")
    parser.add_argument("--section", choices=tuple(SECTIONS), help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def in_own_process(name: str, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """What a section found; {"skipped": why} where it failed or took longer than ``seconds``."""
    if seconds < 5:
        return {"skipped": "no time was left"}
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "found.json"
        words = [sys.executable, "-m", "benchmarks.device", "--section", name, "--into", str(into)]
        words += ["--device", options.device, "--turns", str(options.turns)]
        words += ["--batches", *map(str, options.batches)] + (["--tiny"] if options.tiny else [])
        words += ["--reference", str(options.reference)] if options.reference else []
        try:
            done = subprocess.run(words, cwd=ROOT, timeout=seconds, capture_output=True, text=True)
        except subprocess.TimeoutExpired:
            return {"skipped": f"it took longer than {seconds:.0f} s"}
        if done.returncode:
            return {"skipped": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:300]}
        found: dict[str, Any] = json.loads(into.read_text())
        return found


def card_name(device: str) -> str:
    """The card's name as part of a file's: h200, rtx_4090."""
    if device != "cuda":
        return device
    name = torch.cuda.get_device_name().lower().replace("nvidia", "").replace("geforce", "")
    return re.sub(r"\W+", "_", name).strip("_")


def markdown(told: dict[str, Any]) -> str:
    """The tables of all sections."""
    lines = [f"# {told['card']}", "", f"torch {told['torch']}. {told['system']}. `{told['command']}`", ""]
    if told["tiny"]:
        lines += ["Small networks and videos: a test of the script, no measurement.", ""]
    for name, found in told["sections"].items():
        lines += [f"## {name}", ""]
        if "skipped" in found:
            lines += [f"Not measured: {found['skipped']}", ""]
            continue
        rows = found.get("rows", [])
        for key, value in found.items():
            if key != "rows":
                lines.append(f"* {key}: {_shown(value)}")
        if rows:
            columns = list(dict.fromkeys(key for row in rows for key in row))
            lines += ["", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
            lines += [f"| {' | '.join(_shown(row.get(column, '')) for column in columns)} |" for row in rows]
        lines.append("")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _told(word: str) -> str:
    """A word of the command without this machine's folders."""
    return Path(word).name if Path(word).is_absolute() else word


if __name__ == "__main__":
    sys.exit(main())
