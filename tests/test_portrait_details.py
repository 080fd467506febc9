"""What a portrait knows beyond its motion: logits of its angles, and its eyes where a mesh with depth was seen."""

from __future__ import annotations

import torch

from playmate_core.detection.crop import CropOptions, crop_to_image, square_from_box
from playmate_core.detection.detect import FaceSelection
from playmate_core.detection.detectors import Face
from playmate_core.detection.tiling import TiledDetector
from playmate_core.diffusion.ditto.eyes import eye_features
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.geometry import degrees_from_bins
from playmate_core.rendering.portrait import read_crop
from playmate_core.rendering.portrait_details import in_crop
from playmate_core.values import FaceCrop


def mesh(seed: int = 0) -> torch.Tensor:
    """478 points of a face about (300, 200), 120 pixels wide, with depth."""
    spread = torch.rand(478, 3, generator=torch.Generator().manual_seed(seed)) - 0.5
    return spread * 120 + torch.tensor([300.0, 200.0, 0.0])


def face_of(points: torch.Tensor) -> Face:
    flat = Face.of(points[:, :2])
    return Face(flat.box, flat.landmarks, mesh=points)


def test_a_portrait_keeps_the_logits_that_its_rotation_came_from() -> None:
    torch.manual_seed(0)
    model = FaceModel(FaceConfig.tiny()).eval()
    crop = FaceSelection(None, whole=True).crop(torch.rand(96, 96, 3), 96)
    portrait = read_crop(model, crop)
    assert portrait.details is not None and portrait.details.angle_logits is not None
    torch.testing.assert_close(degrees_from_bins(portrait.details.angle_logits), portrait.rest.pose.rotation)
    assert portrait.details.eyes_open is None and portrait.details.eye_balls is None


def test_eyes_are_measured_on_the_mesh_in_units_of_the_crop_however_large_the_picture_is() -> None:
    torch.manual_seed(0)
    model = FaceModel(FaceConfig.tiny()).eval()
    details = []
    for size in (1, 3):  # the same picture three times as large
        crop = FaceSelection(face_of(mesh() * size), detected=True).crop(torch.rand(400 * size, 600 * size, 3), 512)
        details.append(read_crop(model, crop).details)
    small, large = details
    assert small is not None and large is not None
    torch.testing.assert_close(small.eyes_open, large.eyes_open, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(small.eye_balls, large.eye_balls, atol=1e-4, rtol=1e-4)
    assert float(small.eye_balls.abs().max()) < 1  # a share of the crop, not pixels


def test_a_crop_that_is_turned_keeps_openings_and_depth() -> None:
    square = square_from_box((240.0, 140.0, 360.0, 260.0), CropOptions())
    affine = crop_to_image(square, 512)
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    turned = torch.cat([affine[:, :2] @ turn, affine[:, 2:]], -1)
    straight, tilted = (in_crop(FaceCrop(torch.zeros(4, 4, 3), a, 512), mesh()) for a in (affine, turned))
    torch.testing.assert_close(straight[:, 2], tilted[:, 2])
    torch.testing.assert_close(eye_features(straight[None])[0], eye_features(tilted[None])[0], atol=1e-4, rtol=1e-4)


def test_a_mesh_found_in_a_window_lies_where_it_is_in_the_picture() -> None:
    small = mesh() * torch.tensor([0.2, 0.2, 0.2])

    def look(image: torch.Tensor) -> tuple[Face, ...]:
        return (face_of(small),) if image.shape[0] < 400 else ()

    for face in TiledDetector(look).search(torch.zeros(400, 800, 3)):
        assert face.mesh is not None and face.landmarks is not None
        assert torch.equal(face.mesh[:, :2], face.landmarks) and torch.equal(face.mesh[:, 2], small[:, 2])
