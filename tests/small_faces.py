"""Small face networks and points for their tests."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from playmate_core.face import FaceConfig, FaceModel


@pytest.fixture(scope="module")
def small() -> FaceModel:
    torch.manual_seed(0)
    return FaceModel(FaceConfig.small()).eval().requires_grad_(False)


def tiny(seed: int = 0) -> FaceModel:
    torch.manual_seed(seed)
    return FaceModel(FaceConfig.tiny())


def points(batch: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 21, 3, generator=torch.Generator().manual_seed(seed)) - 0.5
