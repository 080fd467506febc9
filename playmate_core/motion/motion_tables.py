"""Motions as tables for other programs: CSV and JSON with every number, and ARKit's 52 blend shapes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..atomic_file import write_atomically
from ..errors import UserError
from ..keypoint_space import UNKNOWN
from ..values import KEYPOINTS, Motion, Pose
from .arkit_tables import ShapeClip, shapes_of_csv, shapes_of_json
from .liveportrait_template import TEMPLATE_SUFFIXES
from .motion_file import SUFFIX, MotionClip, load_motion_clip, save_motion_clip

FORMATS = ("csv", "json", "arkit", "arkit-json")
TABLE_SUFFIXES = (".csv", ".json")
#: Suffixes of all files that hold a motion.
MOTION_SUFFIXES = (SUFFIX, *TEMPLATE_SUFFIXES, *TABLE_SUFFIXES)
#: A table larger than this is none of ours: about an hour.
_LARGEST = 200_000_000
_MARK, _VERSION = "playmate motion", 1
_POSE = ("pitch", "yaw", "roll", "x", "y", "z", "scale")
_COLUMNS = (*_POSE, *(f"point{k}_{axis}" for k in range(KEYPOINTS) for axis in "xyz"))


def suffix_of(form: str) -> str:
    """The file suffix of one of FORMATS. Raises UserError for another word."""
    if form not in FORMATS:
        raise UserError(f"Unknown motion format {form!r}; please choose one of {', '.join(FORMATS)}.")
    return ".json" if form in ("json", "arkit-json") else ".csv"


def save_motion_table(motion: Motion, path: Path, form: str) -> None:
    """Write a table, whole or not at all. Raises UserError for an unknown format, or for ARKit from other keypoints.

    csv, json: every number of the motion, exactly. arkit, arkit-json: ARKit's 52 shapes and the head in radians, in the
    columns of Live Link Face or the keys of Audio2Face, as near as the sliders of :mod:`directions` come.
    """
    suffix_of(form)
    write: dict[str, Callable[[], str]] = {
        "csv": lambda: _csv(motion),
        "json": lambda: _json(motion),
        "arkit": lambda: ShapeClip.of(motion).csv(),
        "arkit-json": lambda: ShapeClip.of(motion).json(),
    }
    write_atomically(path, write[form]().encode("utf-8"))


def load_motion_table(path: Path, space: str = UNKNOWN) -> Motion:
    """The motion in a table that :func:`save_motion_table` or another program wrote.

    ``space``: the keypoints that blend shapes are to move, which such a table does not say. Raises UserError for any
    other file, and for blend shapes that are to move keypoints without directions.
    """
    found = _read_table(path)
    return found if isinstance(found, Motion) else found.motion(space)


def holds_shapes(path: Path) -> bool:
    """Whether a motion file is a table of blend shapes, which say nothing of keypoints. Raises UserError as above."""
    return path.suffix.lower() in TABLE_SUFFIXES and isinstance(_read_table(path), ShapeClip)


def _read_table(path: Path) -> Motion | ShapeClip:
    if path.stat().st_size > _LARGEST:
        raise UserError(f"{path} is too large for a motion table; please name the right file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _parsed_json(path, json.loads(text)) if path.suffix.lower() == ".json" else _parsed_csv(path, text)
    except UserError as problem:
        raise UserError(f"{path}: {problem}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, csv.Error):
        raise UserError(f"{path} is no motion table; please export one with Export Motion.") from None


def _parsed_json(path: Path, document: Any) -> Motion | ShapeClip:
    if isinstance(document, Mapping) and document.get("playmate") == _MARK:
        return _motion(path, *_from_json(document))
    return shapes_of_json(document)


def _parsed_csv(path: Path, text: str) -> Motion | ShapeClip:
    return _motion(path, *_from_csv(text)) if text.startswith(f"# {_MARK} ") else shapes_of_csv(text)


def _motion(path: Path, found: Mapping[str, Any], rows: list[list[float]]) -> Motion:
    values = np.array(rows, dtype=np.float64)
    fps, space = float(found["fps"]), str(found.get("keypoints", UNKNOWN))
    if values.ndim != 2 or values.shape[1:] != (len(_COLUMNS),) or not len(values):
        raise ValueError("no motion table")
    if not np.isfinite(values).all() or not 0 < fps <= 1000:
        raise UserError("it holds numbers that are none, or no rate; please export it again.")
    table = torch.from_numpy(values).float()
    pose = Pose(table[:, :3], table[:, 3:6], table[:, 6:7], fps)
    return Motion(pose, table[:, 7:].unflatten(1, (KEYPOINTS, 3)).contiguous(), space)


def read_motion_clip(path: Path, space: str = UNKNOWN) -> MotionClip:
    """The motion in any of MOTION_SUFFIXES; ``space`` as in :func:`load_motion_table`.

    Raises UserError for a file that is none.
    """
    table = path.suffix.lower() in TABLE_SUFFIXES
    return MotionClip(load_motion_table(path, space)) if table else load_motion_clip(path)


def write_motion_clip(clip: MotionClip, path: Path, arkit: bool = False) -> None:
    """Write a motion file, or a table where ``path`` ends as one; a table holds the motion alone, or, with ``arkit``,
    its blend shapes."""
    if path.suffix.lower() in TABLE_SUFFIXES:
        form = path.suffix.lower()[1:]
        return save_motion_table(clip.motion, path, {"csv": "arkit", "json": "arkit-json"}[form] if arkit else form)
    save_motion_clip(clip, path)


def _rows(motion: Motion) -> Tensor:
    pose = motion.pose
    return torch.cat([pose.rotation, pose.translation, pose.scale, motion.expression.flatten(1)], 1).float()


def _written(value: np.float32) -> str:
    """The shortest decimal that reads back as the same float32."""
    return np.format_float_positional(value, unique=True, trim="0") if math.isfinite(value) else str(value)


def _csv(motion: Motion) -> str:
    out = io.StringIO()
    out.write(f"# {_MARK} {_VERSION}, fps={motion.fps!r}, keypoints={motion.keypoint_space}\n")
    write = csv.writer(out, lineterminator="\n")
    write.writerow(("seconds", *_COLUMNS))
    for frame, row in enumerate(_rows(motion).numpy()):
        write.writerow((f"{frame / motion.fps:.6f}", *map(_written, row)))
    return out.getvalue()


def _json(motion: Motion) -> str:
    head: dict[str, Any] = {"playmate": _MARK, "version": _VERSION, "fps": motion.fps}
    head |= {"keypoints": motion.keypoint_space, "columns": list(_COLUMNS)}
    rows = ",\n  ".join(f"[{', '.join(map(_written, row))}]" for row in _rows(motion).numpy())
    return json.dumps(head)[:-1] + f', "frames": [\n  {rows}\n]}}\n'


def _from_csv(text: str) -> tuple[Mapping[str, Any], list[list[float]]]:
    first, _, table = text.partition("\n")
    facts = dict(part.strip().partition("=")[::2] for part in first.split(",")[1:])
    rows = csv.reader(io.StringIO(table))
    columns = next(rows, [])
    return facts, list(_numbers(rows, columns))


def _numbers(rows: Iterator[list[str]], columns: list[str]) -> Iterator[list[float]]:
    at = [columns.index(name) for name in _COLUMNS]
    for row in rows:
        if row:
            yield [float(row[place]) for place in at]


def _from_json(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[list[float]]]:
    if tuple(document["columns"]) != _COLUMNS:
        raise ValueError("no motion table")
    return document, document["frames"]
