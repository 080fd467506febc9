"""The face networks: published keys and shapes, the cost of the small ones, and what must hold of any weights."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_faces import (
    points,
    small,  # noqa: F401
    tiny,
)
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.generator import Spade
from playmate_core.face.layers import SpectralConv2d
from playmate_core.face.motion import CoarseToFineMotionExtractor, ResponseNorm
from playmate_core.face.warping import (
    DenseMotion,
    blend_to_origin,
    common_rotation,
    heatmaps,
    identity_grid,
    sample_volume,
)
from playmate_core.geometry import place

KEYS = json.loads((Path(__file__).parent / "data" / "liveportrait_keys.json").read_text())


@pytest.fixture(scope="module")
def published() -> FaceModel:
    with torch.device("meta"):
        return FaceModel(FaceConfig())


def gmacs(call: object) -> float:
    with FlopCounterMode(display=False) as counter:
        call()  # type: ignore[operator]
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize("name", sorted(KEYS))
def test_default_is_the_published_network_key_for_key(published: FaceModel, name: str) -> None:
    net, facts = published.get_submodule(name), KEYS[name]
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == facts["shapes"]
    assert sum(p.numel() for p in net.parameters()) == facts["parameters"]
    counters = [key for key, value in net.state_dict().items() if value.dtype == torch.int64]
    assert all(key.endswith("num_batches_tracked") for key in counters)


@pytest.mark.parametrize("side", [64, 128])
def test_small_runs_at_full_and_half_resolution(small: FaceModel, side: int) -> None:
    image, cells = torch.rand(2, 3, side, side), side // 8
    volume, reading = small.appearance(image), small.read(image)
    assert volume.shape == (2, 12 + 24, 8, cells, cells)  # the picture's 192 folded channels fill 24 of depth 8
    assert reading.keypoints.shape == reading.expression.shape == (2, 21, 3)
    assert (reading.rotation.shape, reading.translation.shape, reading.scale.shape) == ((2, 3), (2, 3), (2, 1))
    assert reading.angle_logits.shape == (2, 3, 66)
    warped = small.warping(volume, reading.keypoints, points(2))
    assert warped.features.shape == (2, 48 + 2 * 48, cells, cells) and warped.occlusion.shape == (2, 1, cells, cells)
    assert warped.deformation.shape == (2, 8, cells, cells, 3) and warped.mask.shape == (2, 23, 8, cells, cells)
    drawn = small.draw(volume, reading.keypoints, points(2))
    assert drawn.shape == (2, 3, 2 * side, 2 * side)
    assert 0 <= float(drawn.min()) and float(drawn.max()) <= 1


def test_small_stays_within_its_budget(small: FaceModel) -> None:
    image = torch.rand(1, 3, 128, 128)
    volume = small.appearance(image)
    assert gmacs(lambda: small.appearance(image)) < 0.2
    assert gmacs(lambda: small.read(image)) < 0.5
    assert gmacs(lambda: small.draw(volume, points(1), points(1, 1))) < 1.6
    assert sum(v.numel() for v in small.state_dict().values()) * 2 < 12e6  # bytes, stored as float16


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_every_parameter_learns_and_training_goes_down(spectral_norm: bool) -> None:
    torch.manual_seed(0)
    model = FaceModel(replace(FaceConfig.tiny(), spectral_norm=spectral_norm)).train()
    image, x_s, x_d = torch.rand(4, 3, 32, 32), points(4), points(4, 1)
    wanted = torch.tensor([0.9, 0.2, 0.6])[:, None, None]
    assert model.stitching is not None
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(8):
        reading = model.read(image)
        values = (reading.keypoints, reading.rotation, reading.translation, reading.scale - 1, reading.expression)
        stitched = model.stitching(x_s, x_d) + model.stitching.lip_offset(x_s, x_s[:, 0, :2])
        stitched = stitched + model.stitching.eye_offset(x_s, x_s[:, 0])
        drawn = model.draw(model.appearance(image), x_s + reading.keypoints, x_d)
        loss = (drawn - wanted).square().mean() + 0.01 * sum(v.square().mean() for v in (*values, stitched))
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        idle = [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
        assert not idle
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_one_portrait_serves_many_frames(small: FaceModel) -> None:
    volume, x_s, x_d = small.appearance(torch.rand(1, 3, 64, 64)), points(1), points(3, 1)
    together = small.draw(volume, x_s, x_d)
    alone = torch.cat([small.draw(volume, x_s, x_d[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_a_face_that_does_not_move_is_not_deformed(small: FaceModel) -> None:
    volume = small.appearance(torch.rand(1, 3, 64, 64))
    warped = small.warping(volume, points(1), points(1))
    torch.testing.assert_close(warped.deformation[0], identity_grid(8, 8, 8, volume), atol=1e-5, rtol=0)
    torch.testing.assert_close(warped.mask.sum(1), torch.ones(1, 8, 8, 8))


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-1, 1)] * 3), st.integers(0, 1000))
def test_deformation_is_the_mask_weighted_mean_of_the_candidates(shift: tuple[float, ...], seed: int) -> None:
    model = tiny(seed).eval().requires_grad_(False)
    x_d = points(2, seed)
    x_s = x_d + torch.tensor(shift) + 0.1 * points(2, seed + 1)
    warped = model.warping(torch.rand(2, 4, 4, 8, 8), x_s, x_d)
    grid = identity_grid(4, 8, 8, x_d)
    moves = torch.cat([torch.zeros(2, 1, 3), x_s - x_d], 1)[:, :, None, None, None]
    written_out = (warped.mask[..., None] * (grid + moves)).sum(1)
    torch.testing.assert_close(warped.deformation, written_out, atol=2e-6, rtol=0)


def test_heatmaps_are_the_gaussian_written_out() -> None:
    p, grid = points(2), identity_grid(4, 6, 8, points(2))
    distance = (grid[None, None] - p[:, :, None, None, None]).square().sum(-1)
    torch.testing.assert_close(heatmaps(p, 4, 6, 8), torch.exp(-0.5 * distance / 0.01), atol=1e-6, rtol=0)


def test_sampling_keeps_the_published_pair_of_conventions() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 4, 8, 8)
    column = sample_volume(ramp, identity_grid(4, 8, 8, ramp)[None])[0, 0, 1, 4]
    # ends fall half a cell outside: x = -1 reads -0.5, half of it in the zero padding
    torch.testing.assert_close(column[1:-1], torch.linspace(-0.5, 7.5, 8)[1:-1])
    assert column[-1] == pytest.approx(3.5)
    half = sample_volume(ramp.half(), identity_grid(4, 8, 8, ramp)[None])
    assert half.dtype == torch.float16


def test_spectral_convolution_is_torchs_in_training_and_in_eval() -> None:
    torch.manual_seed(0)
    ours = SpectralConv2d(3, 5, 3)
    theirs = torch.nn.utils.spectral_norm(nn.Conv2d(3, 5, 3, padding=1))
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(2, 3, 6, 6)
    for training in (False, True, True, False):
        ours.train(training), theirs.train(training)
        torch.testing.assert_close(ours(x), theirs(x))
        torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))


def test_response_norm_and_spade_do_nothing_when_told_nothing() -> None:
    x = torch.rand(2, 4, 4, 6)
    assert torch.equal(ResponseNorm(6)(x), x)
    spade, label = Spade(3, 2, 4), torch.rand(1, 2, 4, 4)
    for parameter in spade.parameters():
        nn.init.zeros_(parameter)
    seen = spade(7 + 3 * torch.randn(1, 3, 8, 8), label)
    torch.testing.assert_close(seen.mean((2, 3)), torch.zeros(1, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.std((2, 3), correction=0), torch.ones(1, 3), atol=1e-4, rtol=0)


def test_the_second_look_mends_the_first_and_sees_the_head_from_the_front(small: FaceModel) -> None:
    detector = copy.deepcopy(small.motion.detector)
    assert isinstance(detector, CoarseToFineMotionExtractor)
    image = torch.rand(2, 3, 256, 256)
    where, _ = detector.coarse(image)
    for head in (detector.close_pose, detector.close_kp, detector.close_exp):
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    plain = detector(image)
    assert torch.equal(plain.rotation, where.rotation) and torch.equal(plain.scale, where.scale)
    assert torch.equal(plain.keypoints.flatten(1), detector.keypoint_mean.expand(2, -1))
    detector.close_pose.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 1.0]))
    mended = detector(image)
    torch.testing.assert_close(mended.rotation - where.rotation, torch.tensor([[4.0, 0.0, 0.0]]).expand(2, 3))
    torch.testing.assert_close(
        mended.translation - where.translation, torch.tensor([[0.0, 0.02, 0.0]]).expand(2, 3), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(mended.scale / where.scale, torch.full((2, 1), math.exp(0.04)))
    # Only what lies on the face is looked at a second time.
    *_, turned = small.motion.detector.fine(image, where)
    image[:, :, :20] = 0.0
    *_, again = small.motion.detector.fine(image, where)
    assert torch.equal(turned, again)


def test_an_untrained_reader_sees_a_still_frontal_face(small: FaceModel) -> None:
    reading = small.read(torch.rand(4, 3, 128, 128))
    assert float((reading.scale - 1.3).abs().max()) < 0.1
    assert float(reading.expression.abs().max()) < 0.1 and float(reading.translation.abs().max()) < 0.1
    assert float(reading.rotation.abs().max()) < 10
    assert float(torch.pdist(reading.keypoints[0]).min()) > 0.01


def test_stitching_moves_all_points_by_the_shared_offset_in_the_plane_only() -> None:
    model = tiny()
    assert model.stitching is not None
    last = model.stitching.stitching.mlp[-1]
    nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    last.bias.data.zero_()  # type: ignore[union-attr]
    last.bias.data[-2:] = torch.tensor([0.1, -0.2])  # type: ignore[union-attr, index]
    moved = model.stitching(points(2), points(2, 1)) - points(2, 1)
    torch.testing.assert_close(moved, torch.tensor([0.1, -0.2, 0.0]).expand(2, 21, 3))


def test_models_copy_and_configs_are_checked() -> None:
    model = tiny().eval()
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(copy.deepcopy(model).appearance(image), model.appearance(image))
    assert hash(FaceConfig.small()) == hash(FaceConfig.small())
    with pytest.raises(ValueError, match="odd"):
        replace(FaceConfig(), mask_kernel=4)
    with pytest.raises(ValueError, match="equally long"):
        replace(FaceConfig(), motion_depths=(1,))


def test_the_common_turn_is_the_rotation_and_scale_that_was_applied() -> None:
    from playmate_core.geometry import rotation_matrix

    first, angles = points(3, 7), torch.tensor([[10.0, -25.0, 8.0], [0.0, 0.0, 0.0], [-20.0, 35.0, 15.0]])
    wanted = 1.3 * rotation_matrix(angles)
    turn = common_rotation(first, first @ wanted + torch.tensor([0.1, -0.2, 0.0]))
    torch.testing.assert_close(turn, wanted, atol=1e-5, rtol=0)
    spoken = first.clone()
    spoken[:, 19, 1] += 0.1  # a dropped jaw turns nobody's head
    assert float((common_rotation(spoken, first @ wanted) - wanted).abs().max()) < 0.12


def test_turning_candidates_carry_a_rigid_motion_exactly_wherever_they_are_chosen(small: FaceModel) -> None:
    from playmate_core.geometry import rotation_matrix

    x_d = points(1, 3)
    turn = rotation_matrix(torch.tensor([[5.0, 20.0, -10.0]]))
    x_s = x_d @ turn + torch.tensor([0.05, 0.0, 0.0])
    warped = small.warping(small.appearance(torch.rand(1, 3, 64, 64)), x_s, x_d)
    grid = identity_grid(8, 8, 8, x_d)
    rigid, still, body = grid @ turn[0] + torch.tensor([0.05, 0.0, 0.0]), *warped.mask[0, [0, -1], ..., None]
    upright = small.warping.dense_motion_network.follow_body(grid, turn, x_s, x_d)[0]
    written_out = (1 - still - body) * rigid + still * grid + body * upright
    torch.testing.assert_close(warped.deformation[0], written_out, atol=1e-5, rtol=0)


def test_coordinates_keep_their_precision_where_the_networks_run_in_bfloat16(small: FaceModel) -> None:
    from playmate_core.geometry import rotation_matrix

    x_d, grid = points(1, 3), identity_grid(8, 8, 8, points(1))
    turn = rotation_matrix(torch.tensor([[5.0, 20.0, -10.0]]))
    x_s = x_d @ turn + torch.tensor([0.05, 0.0, 0.0])
    with torch.autocast("cpu", torch.bfloat16):
        warped = small.warping(small.appearance(torch.rand(1, 3, 64, 64)), x_s, x_d)
    assert warped.deformation.dtype == torch.float32 and warped.canvas is not None
    share = warped.mask[0, ..., None]
    rigid = grid @ turn[0] + torch.tensor([0.05, 0.0, 0.0])
    upright = small.warping.dense_motion_network.follow_body(grid, turn, x_s, x_d)[0]
    written_out = (1 - share[0] - share[-1]) * rigid + share[0] * grid + share[-1] * upright
    torch.testing.assert_close(warped.deformation[0], written_out, atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-30, 30)] * 3), st.tuples(*[st.floats(-0.2, 0.2)] * 2), st.floats(0.8, 1.7))
def test_the_body_follows_the_heads_place_and_size_but_not_its_turn(
    angles: tuple[float, ...], shift: tuple[float, ...], scale: float
) -> None:
    face = points(1, 5)
    model = DenseMotion(replace(FaceConfig.tiny(), body_candidate=True))
    model.origin.copy_(blend_to_origin(face[0]))
    still = torch.zeros(1, 3)
    moved = place(face, torch.tensor([angles]), 0 * face, torch.tensor([[*shift, 0.0]]), torch.tensor([[scale]]))
    first = place(face, still, 0 * face, still, torch.ones(1, 1))
    grid = identity_grid(2, 3, 3, face)
    got = model.follow_body(grid, common_rotation(moved, first), first, moved)[0]
    torch.testing.assert_close(got, (grid - torch.tensor([*shift, 0.0])) / scale, atol=2e-4, rtol=0)


def test_what_a_small_g_is_shown_once_more_is_at_half_of_the_full_size(small: FaceModel) -> None:
    seen: list[torch.Size] = []
    assert small.generator.fine is not None
    handle = small.generator.fine.register_forward_hook(lambda module, given, made: seen.append(made.shape))
    drawn = small.draw(small.appearance(torch.rand(1, 3, 64, 64)), points(1), points(1, 1))
    handle.remove()
    assert drawn.shape == (1, 3, 128, 128) and seen == [torch.Size([1, FaceConfig.small().generator_fine, 64, 64])]
    with pytest.raises(ValueError, match="generator_fine 8, expected 1 and 0"):
        replace(FaceConfig.tiny(), generator_fine=8)
