"""LivePortrait's motion templates: pickles of numbers, read without letting a pickle do anything.

A template is a dict: ``n_frames``, ``output_fps``, ``motion`` (a list of dicts ``scale`` (1, 1), ``R`` (1, 3, 3),
``exp`` (1, 21, 3), ``t`` (1, 3)) and maybe ``c_eyes_lst`` (1, 2) and ``c_lip_lst`` (1, 1) for every frame; older ones
write ``R_d``, ``c_d_eyes_lst``, ``c_d_lip_lst`` (docs/liveportrait.md 7).
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..detection.landmarks import Openings
from ..errors import UserError
from ..geometry import euler_degrees
from ..keypoint_space import LIVEPORTRAIT
from ..media.images import read_bytes
from ..values import KEYPOINTS, Motion, Pose

TEMPLATE_SUFFIXES = (".pkl", ".pickle")
#: Everything a pickle of dicts, lists, numbers, strings and arrays is made of; what else there is can call and import.
_HARMLESS = frozenset(
    "PROTO FRAME STOP MARK MEMOIZE BINGET LONG_BINGET BINPUT LONG_BINPUT NONE NEWTRUE NEWFALSE BININT BININT1 BININT2"
    " LONG1 BINFLOAT SHORT_BINUNICODE BINUNICODE SHORT_BINBYTES BINBYTES EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1"
    " TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS GLOBAL STACK_GLOBAL REDUCE BUILD".split()
)
_FLOATS = {"f2": np.float16, "f4": np.float32, "f8": np.float64}


def read_template(path: Path) -> tuple[Motion, Openings | None]:
    """The motion of a template, and how open its eyes and lips are where it says so. Raises UserError otherwise."""
    data = read_bytes(path, "motion template")
    try:
        content = _unpickled(data)
        return _motion(content), _openings(content)
    except (
        pickle.UnpicklingError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        EOFError,
        OverflowError,
    ) as problem:
        raise UserError(
            f"{path.name} is no LivePortrait motion template that can be read safely ({problem}); please make it again"
            " with `playmate motion`."
        ) from problem


def _unpickled(data: bytes) -> Any:
    """The dicts, lists, numbers and arrays of a pickle. Nothing it names is imported or called: what an array needs is
    answered by stand-ins of ours, and anything else is refused before the first step is taken."""
    for operation, argument, _ in pickletools.genops(data):
        if operation.name not in _HARMLESS:
            raise pickle.UnpicklingError(f"it holds the instruction {operation.name}")
        if operation.name == "LONG_BINPUT" and int(argument or 0) > len(data):  # would make the memo as long as it says
            raise pickle.UnpicklingError("it is damaged")
    return _Reader(io.BytesIO(data), _stand_ins()).load()


class _Reader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, known: dict[tuple[str, str], Any]) -> None:
        super().__init__(file)
        self._known = known

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._known[module.replace("numpy._core", "numpy.core"), name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def _stand_ins() -> dict[tuple[str, str], Any]:
    """What the pickle of an array names, made anew for each file so that none can change another's."""

    class Kind:
        """In place of numpy.dtype: a float of two, four or eight bytes, little-endian."""

        def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
            if code not in _FLOATS:
                raise ValueError(f"it holds an array of {code}")
            self.code = code

        def __setstate__(self, state: tuple) -> None:
            if state[1] != "<":
                raise ValueError("its numbers are in foreign byte order")

    class Array:
        """In place of numpy.ndarray: numbers without behaviour."""

        value: NDArray[np.float32]

        def __setstate__(self, state: tuple) -> None:
            _, shape, kind, fortran, content = state
            flat = np.frombuffer(content, _FLOATS[kind.code])
            if math.prod(shape) != len(flat):
                raise ValueError("an array is not as long as it says")
            self.value = flat.reshape(shape, order="F" if fortran else "C").astype(np.float32)

    def reconstruct(kind: Any, shape: tuple, code: bytes) -> Array:
        return Array()

    def encode(text: str, encoding: str) -> bytes:
        return text.encode("latin1")  # how older pickles write bytes

    stand_ins: dict[tuple[str, str], Callable] = {
        ("numpy.core.multiarray", "_reconstruct"): reconstruct,
        ("numpy", "ndarray"): Array,
        ("numpy", "dtype"): Kind,
        ("_codecs", "encode"): encode,
    }
    return stand_ins


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
