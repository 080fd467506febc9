"""``python -m training prepare SOURCE --layout NAME --out DATA``: real videos become clips to train on.

Videos -> shots -> face tracks -> filters -> 25 fps and 16 kHz -> fixed crop -> motion by a frozen M -> sync check and
shift -> manifest and shards (docs/method.md 2). Every step is kept by content hash and version: the same command goes
on after any kill, and other limits recompute nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from playmate_core.atomic_file import remove_stale, write_atomically
from playmate_core.errors import UserError
from training.config import parse
from training.data import MANIFEST as CORPUS

from .config import PrepareConfig, check, make_plan
from .corpus import judge
from .engine import Plan, run_in_pool, run_on_ray
from .entry import Item
from .layouts import LAYOUTS, read_layout
from .manifest import write_manifest
from .shards import Placed, write_shards
from .store import Store
from .summary import Summary, write_summary
from .tracks import MakeDetector

logger = logging.getLogger(__name__)


def prepare(config: PrepareConfig, make_detector: MakeDetector | None = None) -> Summary:
    """Prepare a corpus, or go on with one -> what came of it. ``make_detector`` as of :func:`config.make_plan`.

    Raises UserError for a source that is not laid out as said, a missing model or package, a folder that holds another
    corpus; never for a bad video.
    """
    check(config)
    out = Path(config.out)
    labels = Path(config.labels) if config.labels else None
    entries = read_layout(config.layout, Path(config.source), labels, config.license)
    plan = make_plan(config, make_detector)
    _record_config(config, out)
    remove_stale(out)
    items = [Item(entry, reason=entry.problem) for entry in entries]
    clips = judge(_done(config, plan, items), Store(plan.store), plan.limits)
    placed = write_shards(out, clips, Store(plan.store), config.shard_clips, config.shard_megabytes)
    write_manifest(out, clips, placed)
    summary = write_summary(out, clips, plan.limits)
    write_atomically(out / CORPUS, json.dumps(_card(config, summary, placed), indent=1).encode())
    return summary


def _done(config: PrepareConfig, plan: Plan, items: Sequence[Item]) -> list[Item]:
    """Every item through every step, by the engine that was asked for."""
    if config.engine == "ray":
        results = run_on_ray(plan, items, config.workers, config.gpus, config.ray_address)
    else:
        results = run_in_pool(plan, items, config.workers)
    done: list[Item] = []
    with tqdm(total=len(items), desc="prepare", unit="video", smoothing=0.05) as bar:
        for result in results:
            done += result
            bar.update(1)
    return done


def _record_config(config: PrepareConfig, out: Path) -> None:
    """Write the resolved config into ``out``; refuse a folder that holds another corpus."""
    path = out / "config.json"
    values = asdict(config)
    try:
        out.mkdir(parents=True, exist_ok=True)
        before = json.loads(path.read_text()) if path.exists() else values
    except (OSError, ValueError) as problem:
        raise UserError(f"Cannot use {out} for a corpus ({problem}); give another --out.") from problem
    for name in ("source", "layout"):
        if before.get(name) != values[name]:
            raise UserError(
                f"{out} holds a corpus of the {name} {before.get(name)!r}, not {values[name]!r}; give another --out."
            )
    write_atomically(path, json.dumps(values, indent=1).encode())


def _card(config: PrepareConfig, summary: Summary, placed: Mapping[str, Placed]) -> dict[str, object]:
    """What models trained on this corpus say of it; the hash is that of every clip, wherever it lies."""
    lines = "".join(f"{key} {one.shard} {one.sha256}\n" for key, one in sorted(placed.items()))
    title = LAYOUTS[config.layout].title
    return {
        "hash": hashlib.sha256(lines.encode()).hexdigest(),
        "description": config.description or f"recorded people: {title}, made by `python -m training prepare`",
        "hours": summary.hours,
        "speakers": summary.speakers,
        "license_tags": list(summary.license_tags),
        "sync_by": list(summary.sync_by),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Resolve the config, prepare, print the summary."""
    config = parse(PrepareConfig, argv, __doc__ or "", positional="source")
    begin = time.monotonic()
    summary = prepare(config)
    sys.stdout.write(str(summary))
    logger.info("%s, %.0f s; summary.png shows every score.", config.out, time.monotonic() - begin)
