"""Whose picture it is: a detector's word outweighs doubtful weights; without one, what is no face is refused."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from playmate_core.detection import detectors
from playmate_core.detection.detect import Pick
from playmate_core.detection.detectors import Face
from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.rendering.portrait import FaceLimits
from playmate_core.rendering.source_image import read_source_portrait

NEVER = FaceLimits(reconstruction=1000.0)


@pytest.fixture(scope="module")
def face() -> FaceModel:
    torch.manual_seed(0)
    return FaceModel(FaceConfig.tiny()).eval()


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """A picture in which a detector sees two meshes, the left one small."""
    mesh = torch.rand(478, 2, generator=torch.Generator().manual_seed(1))
    mesh[[473, 468, 14]] = torch.tensor([[0.7, 0.3], [0.3, 0.3], [0.5, 0.8]])
    pair = (Face.of(mesh * 40 + torch.tensor([90.0, 30.0])), Face.of(mesh * 20 + torch.tensor([20.0, 40.0])))
    monkeypatch.setitem(detectors.DETECTORS, "pair", lambda: lambda image: pair)
    return torch.rand(100, 160, 3, generator=torch.Generator().manual_seed(2))


def test_what_a_detector_found_is_let_through_with_a_warning(
    face: FaceModel, image: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        subject = read_source_portrait(face, image, "pair", limits=NEVER)
    assert not subject.portrait.familiar
    warnings = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(warnings) == 1 and "--expression" in warnings[0] and "No face" not in warnings[0]
    assert subject.openings is not None and subject.openings.eyes.shape == (1, 2)
    for where in ("whole", (90.0, 30.0, 130.0, 70.0)):
        with pytest.raises(UserError, match="No face was recognised"):
            read_source_portrait(face, image, where, limits=NEVER)
        plain: Any = read_source_portrait(face, image, where)
        assert plain.openings is None and plain.portrait.keypoints.shape == (21, 3)


def test_the_face_that_is_meant_is_cropped(face: FaceModel, image: Tensor) -> None:
    large, small = (read_source_portrait(face, image, "pair", Pick.read(words)).portrait for words in ("largest", "0"))
    centre = torch.tensor([32.0, 32.0, 1.0])
    assert float(large.crop_to_image[0] @ centre) > 85 > 45 > float(small.crop_to_image[0] @ centre)
    ratio = torch.linalg.det(large.crop_to_image[:, :2]) / torch.linalg.det(small.crop_to_image[:, :2])
    assert float(ratio) == pytest.approx(4.0, rel=1e-3)
