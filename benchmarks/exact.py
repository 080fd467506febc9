"""What W and G compute but for rounding: the same weights and inputs in float64."""

from __future__ import annotations

import copy

from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.face.fast import build_fast_face


def exactly(face: FaceModel, volume: Tensor, x_s: Tensor, x_d: Tensor) -> list[Tensor]:
    """Pictures (1, 3, H, W) of x_d (T, K, 3), one after another, float64.

    Drawn by the prepared form, which in float64 is the plain one to 1e-11 (tests/test_fast.py): the plain one's 3-D
    convolutions would take 25 GB in this precision.
    """
    draw = build_fast_face(copy.deepcopy(face).double(), "transforms").draw
    return [draw(volume.double(), x_s.double(), frame[None].double()) for frame in x_d]
