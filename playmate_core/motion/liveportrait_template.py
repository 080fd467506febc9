"""Read LivePortrait's motion templates: pickles of plain data, read safely.

A template is a dict: ``n_frames``, ``output_fps``, ``motion`` (a list of dicts ``scale`` (1, 1), ``R`` (1, 3, 3),
``exp`` (1, 21, 3), ``t`` (1, 3)) and maybe ``c_eyes_lst`` (1, 2) and ``c_lip_lst`` (1, 1) for every frame; older ones
write ``R_d``, ``c_d_eyes_lst``, ``c_d_lip_lst`` (docs/liveportrait.md 7).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..detection.landmarks import Openings
from ..errors import UserError
from ..geometry import euler_degrees
from ..keypoint_space import LIVEPORTRAIT
from ..media.images import read_bytes
from ..values import KEYPOINTS, Motion, Pose
from ..weights.plain_pickle import PROBLEMS, unpickled

TEMPLATE_SUFFIXES = (".pkl", ".pickle")


def read_template(path: Path) -> tuple[Motion, Openings | None]:
    """The motion of a template, and its eye and lip openings if stored. Raises UserError for other files."""
    data = read_bytes(path, "motion template")
    try:
        content = unpickled(data)
        return _motion(content), _openings(content)
    except PROBLEMS as problem:
        raise UserError(
            f"{path.name} is no LivePortrait motion template that can be read safely ({problem}); please make it again"
            " with `playmate motion`."
        ) from problem


def _motion(content: dict) -> Motion:
    frames, fps = content["motion"], float(content["output_fps"])
    if not frames or not 0 < fps < 1000:
        raise ValueError(f"{len(frames)} frames at {fps:g} fps")
    rotation = "R" if "R" in frames[0] else "R_d"
    matrix = _stacked(frames, rotation, 3, 3)
    if not torch.allclose(matrix @ matrix.transpose(-1, -2), torch.eye(3), atol=0.05):
        raise ValueError("its rotations are none")
    pose = Pose(euler_degrees(matrix.double()).float(), _stacked(frames, "t", 3), _stacked(frames, "scale", 1), fps)
    return Motion(pose, _stacked(frames, "exp", KEYPOINTS, 3), LIVEPORTRAIT)


def _openings(content: dict) -> Openings | None:
    eyes, lips = (content.get(f"c_{n}_lst", content.get(f"c_d_{n}_lst")) for n in ("eyes", "lip"))
    if not eyes or not lips:
        return None
    return Openings(_joined(eyes, len(content["motion"]), 2), _joined(lips, len(content["motion"]), 1))


def _stacked(frames: list[dict], name: str, *shape: int) -> Tensor:
    return _joined([frame[name] for frame in frames], len(frames), *shape)


def _joined(arrays: list[Any], frames: int, *shape: int) -> Tensor:
    values = torch.from_numpy(np.stack([array.value.reshape(shape) for array in arrays]))
    if len(values) != frames or not bool(torch.isfinite(values).all()):
        raise ValueError("it is not whole")
    return values
