"""Training facts that are stored in a checkpoint."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from playmate_core.errors import UserError
from training.config import LoopConfig
from training.data import corpus_hash
from training.data_card import DataCard


def training_facts(
    config: LoopConfig, corpus: str, stage: str, run_dir: Path, step: int, seen: DataCard | None = None
) -> dict[str, Any]:
    """The resolved config, the command, the hardware, the time, the corpus hash and how much was ``seen`` of whom; no
    folder of this machine. The best state so far lies in a folder of its own, below that of the log."""
    log = next(
        (folder / "log.jsonl" for folder in (run_dir, run_dir.parent) if (folder / "log.jsonl").exists()), run_dir
    )
    last = log.read_text().splitlines()[-1:] if log.is_file() else []
    return portable(
        {
            **dataclasses.asdict(config),
            "stage": stage,
            "step": step,
            "seconds": round(json.loads(last[0])["seconds"]) if last else 0,
            "command": " ".join(["python -m training", *sys.argv[1:]]),
            "hardware": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
            "corpus_hash": hash_or_note(Path(corpus)),
            **(seen.facts() if seen else {}),
        }
    )


def hash_or_note(corpus: Path) -> str:
    """The corpus hash, or that there is none yet."""
    try:
        return corpus_hash(corpus)
    except UserError:
        return "not finished"


def portable(value: Any) -> Any:
    """``value`` with every absolute path in it, words of a command too, cut to its last two names.

    Paths of the training machine are left out.
    """
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item) for item in value]
    if isinstance(value, str):
        words = value.split(" ")
        return " ".join("/".join(Path(word).parts[-2:]).lstrip("/") if word.startswith("/") else word for word in words)
    return value
