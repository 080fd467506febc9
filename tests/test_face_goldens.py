"""Crops and openings are the reference's: every geometry golden."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden import Golden
from torch import Tensor

from playmate_core.detection.crop import (
    CropOptions,
    Paster,
    Square,
    crop_to_image,
    cut,
    inverse,
    move_points,
    shrink,
    square_from_landmarks,
)
from playmate_core.detection.landmarks import eye_ratios, lip_ratio
from playmate_core.detection.tracking import FaceTrack

SOURCE, NET = CropOptions(), CropOptions(scale=1.5, shift=-0.1)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return Golden().tensors


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    return Golden().facts


def close(got: Tensor, wanted: Tensor, atol: float) -> None:
    assert got.shape == wanted.shape
    assert float((got.double() - wanted.double()).abs().max()) <= atol


@pytest.mark.parametrize("count", [478, 203, 106, 101, 68, 9, 5])
def test_squares(golden: dict[str, Tensor], count: int) -> None:
    points = golden[f"input.landmarks.{count}"]
    options = {"2.3": CropOptions(aside=0.05 if count == 478 else 0.0), "1.5": CropOptions(1.5, -0.1, aside=0.04)}
    names = [name for name in options if f"crop.rect.{count}.{name}" in golden]
    assert names
    for name in names:
        square = square_from_landmarks(points, options[name])
        got = torch.tensor([square.x, square.y, square.side, square.side, square.angle])
        close(got, golden[f"crop.rect.{count}.{name}"], 0.005)


@pytest.mark.parametrize("name, size, options, step", [
    ("source", 512, SOURCE, 13), ("source_upright", 512, CropOptions(upright=True), 13), ("landmark_net", 224, NET, 7),
])  # fmt: skip
def test_crops(golden: dict[str, Tensor], name: str, size: int, options: CropOptions, step: int) -> None:
    points, photo = golden["input.landmarks.106"], golden["input.photo"]
    affine = crop_to_image(square_from_landmarks(points, options), size)
    for matrix, key in ((affine, "M_c2o"), (inverse(affine), "M_o2c")):
        wanted = golden[f"crop.{name}.{key}"][:2]
        close(matrix[:, :2], wanted[:, :2], 2e-4)
        close(matrix[:, 2], wanted[:, 2], 5e-3)
    close(move_points(points, inverse(affine))[::9], golden[f"crop.{name}.landmarks"], 0.005)
    crop = cut(photo, affine, size)
    same(crop[::step, ::step], golden[f"crop.{name}.image"])
    if name == "source":
        same(shrink(crop, 256)[::7, ::7], golden["crop.source.image_256"])


def test_the_driving_box(golden: dict[str, Tensor]) -> None:
    points = golden["input.landmarks.203"] + golden["input.driving_shift"][:, None]
    square = FaceTrack(points, torch.ones(3, dtype=torch.bool)).box()
    half = square.side / 2
    corners = [square.x - half, square.y - half, square.x + half, square.y + half]
    close(torch.tensor(corners), golden["crop.driving.box"], 0.005)
    affine = inverse(crop_to_image(square, 512))
    close(affine[:, :2], golden["crop.driving.M_o2c"][:2, :2], 2e-4)
    close(affine[:, 2], golden["crop.driving.M_o2c"][:2, 2], 5e-3)
    close(move_points(points[0], affine)[::9], golden["crop.driving.landmarks"], 0.005)


def test_one_driving_square(golden: dict[str, Tensor]) -> None:
    square = square_from_landmarks(golden["input.landmarks.203"], CropOptions(2.2, -0.1))
    for key, angle in (("bbox", 0.0), ("bbox_rotated", square.angle)):
        affine = crop_to_image(Square(square.x, square.y, square.side, angle), 2)
        close(move_points(torch.tensor([[0.0, 0], [2, 0], [2, 2], [0, 2]]), affine), golden[f"crop.{key}"], 0.005)


def test_openings(golden: dict[str, Tensor]) -> None:
    points = golden["input.landmarks.203"][None]
    close(eye_ratios(points), golden["ratio.eyes"], 1e-5)
    close(lip_ratio(points), golden["ratio.lip"], 1e-5)


def test_pasting_back(golden: dict[str, Tensor]) -> None:
    photo, affine = golden["input.photo"], golden["crop.source.M_c2o"][:2]
    frame = golden["input.animated"].repeat_interleave(2, 0).repeat_interleave(2, 1)
    same(Paster(photo, affine, 512).paste(frame[None])[0, ::5, ::5], golden["paste.image"])
    white = torch.full((512, 512, 3), 255, dtype=torch.uint8)
    share = Paster(torch.zeros_like(photo), affine, 512).paste(white[None])[0, ::7, ::7, 0].float() / 255
    close(share, golden["paste.mask"], 0.02)


def same(got: Tensor, wanted: Tensor) -> None:
    """Two pictures made by bilinear reading: within what OpenCV's own versions differ by."""
    difference = (got.float() - wanted.float()).abs()
    assert difference.max() <= 4 and difference.mean() <= 0.2


def test_every_golden_crop_has_its_test(facts: dict[str, Any]) -> None:
    covered = ("crop.rect.", "crop.source", "crop.landmark_net.", "crop.driving.", "crop.bbox", "ratio.", "paste.")
    assert [n for n, f in facts.items() if f.get("kind") == "geometry" and not n.startswith(covered)] == []
