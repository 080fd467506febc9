"""What was measured on, and which code."""

from __future__ import annotations

import hashlib
import platform
import shlex
from pathlib import Path

import torch

import playmate_core


def machine_of(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}, {platform.system()}"
    return f"{_processor()}, {platform.system()}, {torch.backends.cpu.get_cpu_capability()}"


def command_of(module: str, words: list[str]) -> str:
    """The command line of a benchmark; absolute paths, which are this machine's affair, by their last name."""
    told = [Path(word).name if Path(word).is_absolute() else word for word in words]
    return f"python -m benchmarks.{module} {shlex.join(told)}".rstrip()


def _processor() -> str:
    names = Path("/proc/cpuinfo")
    if names.is_file():
        for line in names.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def sources() -> str:
    """A digest of the core's sources: which code was measured, committed or not."""
    digest = hashlib.sha256()
    for path in sorted(Path(playmate_core.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
