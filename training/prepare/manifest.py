"""The manifest: one Parquet row for every clip, the rejected ones with their reasons (docs/method.md 2.3)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from playmate_core.atomic_file import write_atomically
from playmate_core.errors import UserError

from .corpus import Judged
from .shards import Placed

MANIFEST = "manifest.parquet"
SCORES = (
    *("seconds", "peak", "vad", "snr", "coverage", "gap", "others", "face_px", "face_share", "blur", "frozen"),
    *("yaw_max", "yaw_p95", "pitch_max", "turn_p95", "sync_c", "sync_e", "sync_off", "sync_rest", "z", "jump"),
)


def row(clip: Judged, placed: Placed | None) -> dict[str, Any]:
    """A clip as a row."""
    item, entry = clip.item, clip.item.entry
    x, y, side = item.facts.get("crop", (None, None, None))
    corners = None if side is None else [x - side / 2, y - side / 2, x + side / 2, y + side / 2]
    return {
        "clip_id": item.id,
        "source": entry.name,
        "split": clip.split,
        "speaker_id": entry.speaker,
        "video_path": entry.video,
        "t0": item.begin,
        "t1": item.end,
        "fps_in": item.facts.get("fps"),
        "n_frames": item.frames if "motion" in item.keys else None,
        "crop": corners,
        "lang": entry.lang,
        "emotion": entry.emotion,
        "emotion_dist": list(entry.emotion_dist),
        "level": entry.level or None,
        "has_speech": item.facts.get("has_speech"),
        "scores": {name: item.scores.get(name) for name in SCORES},
        "sync_by": item.facts.get("sync_by", ""),
        "flags": list(clip.flags),
        "kept": clip.kept,
        "reason": item.reason,
        "detail": item.detail,
        "shard": placed.shard if placed else None,
        "shard_key": placed.key if placed else None,
        "sha256": placed.sha256 if placed else None,
        "source_sha256": item.digest,
        "step_versions": json.dumps({name: where.split("/")[0] for name, where in sorted(item.keys.items())}),
        "license_tag": entry.license_tag,
    }


def write_manifest(out: Path, clips: Sequence[Judged], placed: Mapping[str, Placed]) -> None:
    """Write ``manifest.parquet``, whole or not at all."""
    pa, parquet = _arrow()
    rows = [row(clip, placed.get(clip.item.id) if clip.kept else None) for clip in clips]
    blob = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema=_schema(pa)), blob, compression="zstd")
    write_atomically(out / MANIFEST, blob.getvalue())


def read_manifest(out: Path) -> list[dict[str, Any]]:
    """The rows. Raises UserError where there is no manifest."""
    _, parquet = _arrow()
    try:
        return list(parquet.read_table(Path(out) / MANIFEST).to_pylist())
    except (OSError, ValueError) as problem:
        raise UserError(f"{out} has no readable {MANIFEST} ({problem}); give its `prepare` command again.") from problem


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError("The manifest needs the package pyarrow; run `pip install pyarrow`.") from None
    return pyarrow, pyarrow.parquet


def _schema(pa: Any) -> Any:
    text, real, whole = pa.string(), pa.float64(), pa.int64()
    kinds: dict[str, Any] = {
        **dict.fromkeys(("clip_id", "source", "split", "speaker_id", "video_path"), text),
        **dict.fromkeys(("t0", "t1", "fps_in"), real),
        "n_frames": whole,
        "crop": pa.list_(real),
        **dict.fromkeys(("lang", "emotion"), text),
        "emotion_dist": pa.list_(real),
        "level": real,
        "has_speech": pa.bool_(),
        "scores": pa.struct([(name, real) for name in SCORES]),
        "sync_by": text,
        "flags": pa.list_(text),
        "kept": pa.bool_(),
        **dict.fromkeys(("reason", "detail", "shard", "shard_key", "sha256", "source_sha256"), text),
        **dict.fromkeys(("step_versions", "license_tag"), text),
    }
    return pa.schema(list(kinds.items()))
