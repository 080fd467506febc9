"""A face model whose F, W and G compute in half precision: what says where things are stays float32."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from float_frames import render_float
from torch import Tensor

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.rendering.portrait import exact_to, face_confidence, read_motion, read_portrait
from playmate_core.rendering.render import RenderOptions
from playmate_core.values import Motion, Pose

HALVES = (torch.bfloat16, torch.float16)
#: As the bundled weights: the picture is carried, candidates turn, one follows the body.
CARRIES = {"carry_picture": True, "turn_candidates": True, "body_candidate": True, "generator_fine": 4}
CONFIGS = {"published": FaceConfig.tiny(), "bundled": replace(FaceConfig.tiny(), with_stitching=False, **CARRIES)}


def model(name: str) -> FaceModel:
    torch.manual_seed(0)
    return FaceModel(CONFIGS[name]).eval().requires_grad_(False)


def picture() -> Tensor:
    return torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(1))


def wave(frames: int = 2) -> Motion:
    random = torch.Generator().manual_seed(2)
    pose = Pose(8 * torch.randn(frames, 3, generator=random), torch.zeros(frames, 3), torch.full((frames, 1), 1.3))
    return Motion(pose, 0.1 * torch.randn(frames, 21, 3, generator=random))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("half", HALVES, ids=str)
def test_pictures_are_nearly_those_of_full_precision_and_readings_are_the_same(name: str, half: torch.dtype) -> None:
    exact, fast = model(name), model(name).set_compute_dtype(half)
    portraits = [read_portrait(face, picture()) for face in (exact, fast)]
    assert torch.equal(portraits[0].rest.expression, portraits[1].rest.expression)
    assert torch.equal(read_motion(exact, [picture()]).pose.rotation, read_motion(fast, [picture()]).pose.rotation)
    plain = RenderOptions(profile="plain")
    wanted, got = (
        next(render_float(face, person, wave(), plain)) for face, person in zip((exact, fast), portraits, strict=True)
    )
    # bfloat16 keeps 8 bits: through the random layers of the tiny network that is a tenth of the range.
    assert 0 < float((wanted - got).abs().max()) < (0.02 if half == torch.float16 else 0.2)
    assert face_confidence(fast, portraits[1]).flip_degrees == face_confidence(exact, portraits[0]).flip_degrees


@pytest.mark.parametrize("name", CONFIGS)
def test_only_the_trunks_are_halved(name: str) -> None:
    face = model(name).set_compute_dtype(torch.bfloat16)
    kinds = {part: {p.dtype for p in child.parameters()} for part, child in face.named_children()}
    trunks = {"appearance", "warping", "generator"}
    assert {part for part, kind in kinds.items() if kind == {torch.bfloat16}} == trunks
    assert all(kind == {torch.float32} for part, kind in kinds.items() if part not in trunks and kind)
    dense = face.warping.dense_motion_network
    assert not dense.has_body or dense.origin.dtype == torch.float32


@pytest.mark.parametrize("name", CONFIGS)
def test_a_place_is_not_rounded_to_half_precision(name: str) -> None:
    """Two places that are one number in bfloat16 are two to W, and the grid it looks up is float32."""
    face = model(name).set_compute_dtype(torch.bfloat16)
    volume = read_portrait(face, picture()).appearance[None].bfloat16()
    somewhere = 0.5 + 0.25 * torch.rand(1, 21, 3, generator=torch.Generator().manual_seed(3))
    x = exact_to(face, somewhere.bfloat16().float())
    near = x + 2.0**-11
    assert torch.equal(x.bfloat16(), near.bfloat16()) and x.dtype == torch.float32
    first, second = (face.warping(volume, x, points) for points in (x, near))
    assert first.deformation.dtype == first.mask.dtype == torch.float32 and first.features.dtype == torch.bfloat16
    moved = (first.deformation - second.deformation).abs().max()
    assert 2.0**-13 < float(moved) < 2.0**-9


def test_places_follow_a_model_of_more_precision() -> None:
    assert exact_to(model("published").double(), torch.zeros(1, 21, 3)).dtype == torch.float64
    assert exact_to(model("published").half(), torch.zeros(1, 21, 3)).dtype == torch.float32
