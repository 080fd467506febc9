"""Face meshes: made up, and the packaged one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from shared_facts import MESH
from torch import Tensor

from playmate_core.detection import detectors


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without a single model file."""
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("INSIGHTFACE_HOME", str(tmp_path / "insightface"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "models"


def mesh_at(x: float, y: float, size: float) -> Tensor:
    """478 points of which only those that are asked for lie where a face has them."""
    points = torch.full((478, 2), 0.5)
    points[:, 1] = torch.linspace(0, 1, 478)
    points[[162, 389]] = torch.tensor([[0.0, 0.4], [1.0, 0.4]])
    points[[33, 133, 362, 263]] = torch.tensor([[0.2, 0.5], [0.4, 0.5], [0.6, 0.5], [0.8, 0.5]])
    points[[159, 145, 386, 374]] = torch.tensor([[0.3, 0.48], [0.3, 0.52], [0.7, 0.47], [0.7, 0.53]])
    points[[61, 291, 13, 14]] = torch.tensor([[0.3, 0.8], [0.7, 0.8], [0.5, 0.78], [0.5, 0.86]])
    return points * size + torch.tensor([x, y])


@pytest.fixture
def mesh_model(no_models: Path) -> Iterator[None]:
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed")
    if not MESH.is_file():
        pytest.skip(f"MediaPipe's model is not at {MESH}")
    (no_models / "detection").mkdir(parents=True)
    (no_models / "detection" / "face_landmarker.task").symlink_to(MESH)
    detectors.DETECTORS["mediapipe"].cache_clear()  # type: ignore[attr-defined]
    yield
    detectors.DETECTORS["mediapipe"].cache_clear()  # type: ignore[attr-defined]
