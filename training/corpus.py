"""``python -m training corpus``: make the synthetic talking heads, in parallel, resumable, one seed one corpus."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from playmate_core.atomic_file import remove_stale, write_atomically
from playmate_core.errors import UserError
from training.config import parse
from training.config_files import from_mapping
from training.data import shard_path, write_clips, write_manifest, write_sessions
from training.synthetic.clips import SPLITS, make_clip
from training.synthetic.sessions import make_session
from training.synthetic.speech import BACKENDS, VOICES, synthesise_speech
from training.workers import worker_pool

logger = logging.getLogger(__name__)
#: One in this many goes to validation, and as many to the test.
HELD_OUT = 18
_SEEDS_PER_CORPUS = 1_000_003
#: What may differ when a command is given again; counts may also grow from 0.
_FREE, _COUNTS = ("out", "workers"), ("clips", "sessions", "judges")


@dataclass(frozen=True)
class CorpusConfig:
    """What to make. Clips are motion and sound with ground truth; sessions are pictures for the face networks.

    ``judges``: sessions of identities used for nothing else, on whom the probes of `evaluate` are trained.
    """

    out: str = "data/corpus"
    clips: int = 900
    sessions: int = 684
    judges: int = 0
    frames_per_session: int = 12
    size: int = 256
    seed: int = 1
    workers: int = 2
    speech: str = "espeak"
    shortest: float = 4.0  # seconds a clip aims for
    longest: float = 10.0
    shard_clips: int = 50
    shard_sessions: int = 20


@dataclass(frozen=True)
class Shard:
    """One file to make; it depends on nothing but these values."""

    path: Path
    kind: str
    split: str
    first: int
    count: int


def split_counts(total: int) -> dict[str, int]:
    """Shares of ``total``: one in 18, but at least one, to val and as many to test, the rest to train."""
    if total == 0:
        return dict.fromkeys(SPLITS, 0)
    held = max(1, round(total / HELD_OUT))
    return {"train": total - 2 * held, "val": held, "test": held}


def plan(config: CorpusConfig) -> Iterator[Shard]:
    """Every shard of the corpus, in order."""
    for kind, counts, size in (
        ("clips", split_counts(config.clips), config.shard_clips),
        ("sessions", {**split_counts(config.sessions), "judge": config.judges}, config.shard_sessions),
    ):
        for split, count in counts.items():
            for index, first in enumerate(range(0, count, size)):
                path = shard_path(Path(config.out), split, kind, index)
                yield Shard(path, kind, split, first, min(size, count - first))


def make_shard(config: CorpusConfig, shard: Shard) -> Shard:
    """Make one shard and write it, whole or not at all."""
    items = range(shard.first, shard.first + shard.count)
    if shard.kind == "clips":
        seeds = [config.seed * _SEEDS_PER_CORPUS * len(SPLITS) + index for index in items]
        length = (config.shortest, config.longest)
        write_clips(shard.path, [make_clip(seed, shard.split, length, config.speech) for seed in seeds])
    else:
        made = [make_session(config.seed, i, shard.split, config.frames_per_session, config.size) for i in items]
        write_sessions(shard.path, made)
    return shard


def make_corpus(config: CorpusConfig) -> str:
    """Make what is missing of the corpus and return its hash.

    Raises UserError for invalid values, a folder that holds another corpus, a missing espeak-ng.
    """
    _check(config)
    out = Path(config.out)
    _record_config(config, out)
    remove_stale(out)
    shards = list(plan(config))
    missing = [shard for shard in shards if not shard.path.exists()]
    if any(shard.kind == "clips" for shard in missing):
        synthesise_speech(
            "Hello.", VOICES["train"][0], 0, config.speech
        )  # a missing package is told before the slow work
    total = sum(shard.count for shard in shards)
    done = total - sum(shard.count for shard in missing)
    with tqdm(total=total, initial=done, desc="corpus", unit="item", smoothing=0.05) as bar:
        for shard in _made(config, missing):
            bar.update(shard.count)
    return write_manifest(out)


def _made(config: CorpusConfig, missing: Sequence[Shard]) -> Iterator[Shard]:
    """Shards as they are finished, by one process or several; the files are the same."""
    if config.workers == 1 or len(missing) < 2:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for shard in missing:
                yield make_shard(config, shard)
        finally:
            torch.set_num_threads(threads)
        return
    with worker_pool(min(config.workers, len(missing))) as pool:
        futures = [pool.submit(make_shard, config, shard) for shard in missing]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _check(config: CorpusConfig) -> None:
    if config.speech not in BACKENDS:
        raise UserError(f"--speech is {config.speech!r}, expected one of {', '.join(BACKENDS)}.")
    for name in _COUNTS:
        value = getattr(config, name)
        if value < 0 or 0 < value < len(SPLITS):
            raise UserError(f"--{name} is {value}, expected 0 or at least {len(SPLITS)}, one for each split.")
    for name in ("workers", "frames_per_session", "shard_clips", "shard_sessions"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(config, name)}, expected at least 1.")
    if not 16 <= config.size <= 1024:
        raise UserError(f"--size is {config.size}, expected 16 to 1024 pixels.")
    if not 1.0 <= config.shortest <= config.longest:
        raise UserError(
            f"Clips of {config.shortest:g} to {config.longest:g} seconds: expected 1 <= shortest <= longest."
        )


def _record_config(config: CorpusConfig, out: Path) -> None:
    """Write the resolved config into ``out``; refuse a folder that was made with other values."""
    path = out / "config.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        before = from_mapping(CorpusConfig(), json.loads(path.read_text()), str(path)) if path.exists() else config
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot use {out} for a corpus ({error}); give another --out.") from error
    for name in (field.name for field in dataclasses.fields(config)):
        old, new = getattr(before, name), getattr(config, name)
        if old != new and name not in _FREE and not (name in _COUNTS and old == 0):
            flag = name.replace("_", "-")
            raise UserError(f"{out} was made with --{flag} {old}, not {new}; give that, or another --out.")
    write_atomically(path, json.dumps(dataclasses.asdict(config), indent=1).encode())


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m training corpus``: resolve the config, show it, make the corpus, say where it is."""
    config = parse(CorpusConfig, argv, __doc__ or "")
    sys.stdout.write(json.dumps(dataclasses.asdict(config), indent=1) + "\n")
    sys.stdout.flush()
    begin = time.monotonic()
    digest = make_corpus(config)
    logger.info("corpus %s in %s, %.0f s", digest[:12], config.out, time.monotonic() - begin)
