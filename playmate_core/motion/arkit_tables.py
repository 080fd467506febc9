"""Tables of ARKit's 52 blend shapes: the CSV of Live Link Face, and JSON, that of Audio2Face or a list of frames."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..values import FPS, Motion
from .arkit import ARKIT_SHAPES, arkit_shapes
from .arkit_import import motion_from_shapes

_HEAD = ("headyaw", "headpitch", "headroll")
#: Columns of Rotation (pitch, yaw, roll) in the order of _HEAD, and back.
_ORDER = [1, 0, 2]
#: A table with fewer of the 52 shapes is taken for none.
_LEAST_SHAPES = 8
#: Rates that a recording of less than a second may have.
_RATES = (24.0, 25.0, 30.0, 50.0, 60.0, 120.0, 240.0)
#: Frames that may be missing in a row before a table is refused.
_LONGEST_GAP = 10_000
_TIMECODE = re.compile(r"(\d+):(\d\d):(\d\d)[:;](\d+)(?:\.\d+)?")


@dataclass(frozen=True)
class ShapeClip:
    """``shapes`` (T, 52) in the order of ARKIT_SHAPES and ``rotation`` (T, 3) in degrees at ``fps`` frames a second."""

    shapes: Tensor
    rotation: Tensor
    fps: float

    def __post_init__(self) -> None:
        if not bool(self.shapes.isfinite().all() and self.rotation.isfinite().all()):
            raise UserError("The blend shapes hold NaN or infinite numbers; please export them again.")
        if not 0 < self.fps <= 1000:
            raise UserError(f"The blend shapes run at {self.fps:g} frames a second; please give a rate up to 1000.")

    @staticmethod
    def of(motion: Motion) -> ShapeClip:
        """The shapes that come nearest to a motion."""
        return ShapeClip(arkit_shapes(motion), motion.pose.rotation.double(), motion.fps)

    def spread(self, at: Sequence[int], frames: int) -> ShapeClip:
        """The clip with ``frames`` frames, of which ``at`` are known; others lie on straight lines between them."""
        known = torch.cat([self.shapes.double(), self.rotation.double()], 1).numpy()
        table = torch.from_numpy(np.stack([np.interp(np.arange(frames), at, column) for column in known.T], 1))
        return ShapeClip(table[:, : len(ARKIT_SHAPES)], table[:, len(ARKIT_SHAPES) :], self.fps)

    def motion(self, space: str) -> Motion:
        """The motion of a face with the keypoints ``space``."""
        return motion_from_shapes(self.shapes, self.rotation, self.fps, space)

    def csv(self) -> str:
        """The columns of Live Link Face, the head in radians, and then the rate, which timecodes only hint at."""
        names = tuple(name[0].upper() + name[1:] for name in ARKIT_SHAPES)
        out = io.StringIO()
        write = csv.writer(out, lineterminator="\n")
        write.writerow(("Timecode", "BlendShapeCount", *names, "HeadYaw", "HeadPitch", "HeadRoll", "FrameRate"))
        for frame, row in enumerate(self._rows()):
            values = (f"{value:.6f}" for value in row)
            write.writerow((_timecode(frame, self.fps), len(names), *values, repr(self.fps)))
        return out.getvalue()

    def json(self) -> str:
        """The keys of Audio2Face, and ``headRotation`` as yaw, pitch and roll in radians."""
        rows = [[round(value, 6) for value in row] for row in self._rows()]
        table = {
            "exportFps": self.fps,
            "numPoses": len(ARKIT_SHAPES),
            "numFrames": len(rows),
            "facsNames": list(ARKIT_SHAPES),
            "weightMat": [row[: len(ARKIT_SHAPES)] for row in rows],
            "headRotation": [row[len(ARKIT_SHAPES) :] for row in rows],
        }
        return json.dumps(table) + "\n"

    def _rows(self) -> list[list[float]]:
        rows: list[list[float]] = torch.cat([self.shapes, torch.deg2rad(self.rotation.double())[:, _ORDER]], 1).tolist()
        return rows


def shapes_of_csv(text: str) -> ShapeClip:
    """The shapes in a table with the columns of Live Link Face. Raises ValueError for another table."""
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    columns = [_plain(name) for name in rows[0]] if rows else []
    table = rows[1:]
    clip_rows = _values([dict(zip(columns, row, strict=False)) for row in table], columns)
    if "framerate" in columns:  # ours
        return _clip(clip_rows, float(table[0][columns.index("framerate")]))
    if "timecode" not in columns:
        return _clip(clip_rows, FPS)
    at, fps = _frames([row[columns.index("timecode")] for row in table])
    clip = _clip(clip_rows, fps)
    return clip if at[-1] + 1 == len(at) else clip.spread(at, at[-1] + 1)  # the recording dropped some


def shapes_of_json(document: Any) -> ShapeClip:
    """The shapes in Audio2Face's keys, or in a list of frames with a number by name. Raises ValueError for others."""
    if isinstance(document, Mapping) and "weightMat" in document:
        names = [_plain(name) for name in document["facsNames"]]
        rows = [dict(zip(names, row, strict=True)) for row in document["weightMat"]]
        for row, head in zip(rows, document.get("headRotation", []), strict=False):
            row |= dict(zip(_HEAD, head, strict=True))
        return _clip(_values(rows, [*names, *_HEAD]), float(document.get("exportFps", FPS)))
    frames = document["frames"] if isinstance(document, Mapping) else document
    fps = float(document.get("fps", FPS)) if isinstance(document, Mapping) else FPS
    rows = [_named(frame) for frame in frames]
    return _clip(_values(rows, list(rows[0]) if rows else []), fps)


def shapes_of_names(frames: Sequence[Mapping[str, float]], rotation: Tensor, fps: float) -> ShapeClip:
    """The shapes of ``frames`` by name, as face landmarkers answer, and the ``rotation`` (T, 3) of the head in degrees.

    Raises UserError where these are no blend shapes.
    """
    rows = [{_plain(name): value for name, value in frame.items()} for frame in frames]
    try:
        found = _values(rows, list(rows[0]) if rows else [])
    except (ValueError, TypeError):
        raise UserError(
            "The landmarks hold no blend shapes; please connect those of ComfyUI's MediaPipe Face Landmarker."
        ) from None
    return ShapeClip(torch.from_numpy(found[:, : len(ARKIT_SHAPES)]), rotation.double(), fps)


def _named(frame: Any) -> dict[str, Any]:
    """The numbers of one frame by name: itself, what stands under ``blendShapes``, or MediaPipe's categories."""
    if isinstance(frame, Mapping):
        kinds = (value for key, value in frame.items() if _plain(key) == "blendshapes")
        frame = next(kinds, frame.get("categories", frame))
    if isinstance(frame, Mapping):
        return {_plain(name): value for name, value in frame.items()}
    return {_plain(one["categoryName"]): one["score"] for one in frame}


def _values(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> np.ndarray:
    """(T, 55) the 52 shapes and yaw, pitch and roll; 0 for what has no column. Raises ValueError for another table."""
    wanted = [name.lower() for name in ARKIT_SHAPES]
    if not rows or sum(name in columns for name in wanted) < _LEAST_SHAPES:
        raise ValueError("no blend shapes")
    return np.array([[float(row.get(name, 0.0)) for name in (*wanted, *_HEAD)] for row in rows], dtype=np.float64)


def _clip(values: np.ndarray, fps: float) -> ShapeClip:
    table = torch.from_numpy(np.ascontiguousarray(values))
    heads = torch.rad2deg(table[:, len(ARKIT_SHAPES) :])[:, _ORDER]
    return ShapeClip(table[:, : len(ARKIT_SHAPES)], heads, fps)


def _plain(name: Any) -> str:
    """A name as all programs agree on it: ``EyeBlinkLeft``, ``eyeBlink_L`` and ``eyeBlinkLeft`` are one shape."""
    word = str(name).strip()
    for short, long in (("_L", "left"), ("_R", "right")):
        if word.endswith(short):
            word = word[:-2] + long
    return word.replace("_", "").lower()


def _frames(codes: Sequence[str]) -> tuple[list[int], float]:
    """The frame that every timecode stands for, from 0 on, and the rate they tell. Raises ValueError for other text."""
    found = [_TIMECODE.fullmatch(code.strip()) for code in codes]
    if not found or any(one is None for one in found):
        raise ValueError("no timecodes")
    seconds, within = list[int](), list[int]()
    for one in found:
        assert one is not None
        hours, minutes, second, frame = (int(part) for part in one.groups())
        seconds.append(3600 * hours + 60 * minutes + second)
        within.append(frame)
    most = max(within) + 1
    whole = seconds[-1] - seconds[0] >= 2  # at least one second was recorded from end to end
    stamps = list(zip(seconds, within, strict=True))
    follows = [b == (a + 1 if one == other else 0) for (one, a), (other, b) in pairwise(stamps)]
    if whole and all(follows):
        between = sum(seconds[0] < second < seconds[-1] for second in seconds)
        return list(range(len(seconds))), between / (seconds[-1] - seconds[0] - 1)
    nominal = float(most) if whole else next((rate for rate in _RATES if rate >= most), float(most))
    first = seconds[0] * nominal + within[0]
    at = [round(second * nominal + frame - first) for second, frame in zip(seconds, within, strict=True)]
    steps = np.diff(at)
    if (steps <= 0).any() or (steps > _LONGEST_GAP).any():
        raise ValueError("timecodes that do not rise")
    return at, nominal


def _timecode(frame: int, fps: float) -> str:
    seconds = frame / fps
    whole = int(seconds + 1e-9)
    within = frame - math.ceil(whole * fps - 1e-9)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{within:02d}"
