"""Motions as tables for other programs: CSV and JSON, which can be read back, and ARKit's 52 blend shapes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..atomic_file import write_atomically
from ..errors import UserError
from ..keypoint_space import UNKNOWN
from ..values import KEYPOINTS, Motion, Pose
from .arkit import ARKIT_SHAPES, arkit_shapes
from .liveportrait_template import TEMPLATE_SUFFIXES
from .motion_file import SUFFIX, MotionClip, load_motion_clip, save_motion_clip

FORMATS = ("csv", "json", "arkit")
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
    return ".json" if form == "json" else ".csv"


def save_motion_table(motion: Motion, path: Path, form: str) -> None:
    """Write a table, whole or not at all. Raises UserError for an unknown format, or for ARKit from other keypoints.

    csv, json: every number of the motion, exactly. arkit: ARKit's 52 shapes and the head in radians, in the columns of
    Live Link Face, as near as the sliders of :mod:`directions` come.
    """
    suffix_of(form)
    write = {"csv": _csv, "json": _json, "arkit": _arkit}[form]
    write_atomically(path, write(motion).encode("utf-8"))


def load_motion_table(path: Path) -> Motion:
    """Read a CSV or JSON table that :func:`save_motion_table` wrote. Raises UserError for any other file."""
    if path.stat().st_size > _LARGEST:
        raise UserError(f"{path} is too large for a motion table; please name the right file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        found, rows = _from_json(text) if path.suffix.lower() == ".json" else _from_csv(text)
        values = np.array(rows, dtype=np.float64)
        fps = float(found["fps"])
        space = str(found.get("keypoints", UNKNOWN))
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error):
        values, fps, space = np.zeros((0, 0)), 0.0, UNKNOWN
    if values.ndim != 2 or values.shape[1:] != (len(_COLUMNS),) or not len(values):
        raise UserError(f"{path} is no motion table; please export one with Export Motion.")
    if not np.isfinite(values).all() or not 0 < fps <= 1000:
        raise UserError(f"{path} holds numbers that are none, or no rate; please export it again.")
    table = torch.from_numpy(values).float()
    pose = Pose(table[:, :3], table[:, 3:6], table[:, 6:7], fps)
    return Motion(pose, table[:, 7:].unflatten(1, (KEYPOINTS, 3)).contiguous(), space)


def read_motion_clip(path: Path) -> MotionClip:
    """The motion in any of MOTION_SUFFIXES. Raises UserError for a file that is none."""
    table = path.suffix.lower() in TABLE_SUFFIXES
    return MotionClip(load_motion_table(path)) if table else load_motion_clip(path)


def write_motion_clip(clip: MotionClip, path: Path) -> None:
    """Write a motion file, or a table where ``path`` ends as one; a table holds the motion alone."""
    if path.suffix.lower() in TABLE_SUFFIXES:
        return save_motion_table(clip.motion, path, path.suffix.lower()[1:])
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


def _arkit(motion: Motion) -> str:
    shapes = arkit_shapes(motion)
    heads = torch.deg2rad(motion.pose.rotation.double())[:, [1, 0, 2]]
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n")
    names = tuple(name[0].upper() + name[1:] for name in ARKIT_SHAPES)
    write.writerow(("Timecode", "BlendShapeCount", *names, "HeadYaw", "HeadPitch", "HeadRoll"))
    for frame, (row, head) in enumerate(zip(shapes.tolist(), heads.tolist(), strict=True)):
        write.writerow((_timecode(frame, motion.fps), len(names), *(f"{value:.6f}" for value in (*row, *head))))
    return out.getvalue()


def _timecode(frame: int, fps: float) -> str:
    seconds = frame / fps
    whole = int(seconds + 1e-9)
    within = frame - math.ceil(whole * fps - 1e-9)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{within:02d}"


def _from_csv(text: str) -> tuple[Mapping[str, Any], list[list[float]]]:
    first, _, table = text.partition("\n")
    if not first.startswith(f"# {_MARK} "):
        raise ValueError("no motion table")
    facts = dict(part.strip().partition("=")[::2] for part in first.split(",")[1:])
    rows = csv.reader(io.StringIO(table))
    columns = next(rows, [])
    return facts, list(_numbers(rows, columns))


def _numbers(rows: Iterator[list[str]], columns: list[str]) -> Iterator[list[float]]:
    at = [columns.index(name) for name in _COLUMNS]
    for row in rows:
        if row:
            yield [float(row[place]) for place in at]


def _from_json(text: str) -> tuple[Mapping[str, Any], list[list[float]]]:
    document = json.loads(text)
    if document["playmate"] != _MARK or tuple(document["columns"]) != _COLUMNS:
        raise ValueError("no motion table")
    return document, document["frames"]
