"""The terms that teach the face networks, on values worked out by hand; the pairs they are taken on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.face import FaceReading, Warped
from playmate_core.face.front import HEAD_HALF_AXES
from playmate_core.geometry import ANGLE_BINS, DEGREES_PER_BIN, ZERO_BIN_DEGREES, place, rotation_matrix
from training import face_losses as losses
from training.data import Sessions
from training.pairs import PARTLY_CLOSED, Truth, draw_pairs, images, one_pose, partly_closed, pose_gap_degrees, resized
from training.perceptual import VGG19_LAYERS, VGG19_TAPS, Vgg19Features, load_feature_net, perceptual_distance
from training.synthetic.rig import RIG


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_truth(rows: int = 3, seed: int = 0) -> Truth:
    g = generator(seed)
    return Truth(
        keypoints=0.3 * torch.randn(rows, 21, 3, generator=g),
        rotation=15.0 * torch.randn(rows, 3, generator=g),
        translation=0.1 * torch.randn(rows, 3, generator=g),
        scale=1.2 + 0.1 * torch.rand(rows, 1, generator=g),
        expression=0.02 * torch.randn(rows, 21, 3, generator=g),
    )


def reading_of(truth: Truth) -> FaceReading:
    """A reading without error; its bins share their weight between the two around each angle."""
    position = (truth.rotation + ZERO_BIN_DEGREES) / DEGREES_PER_BIN
    logits = (1.0 - (torch.arange(ANGLE_BINS) - position[..., None]).abs()).clamp(min=1e-6).log()
    return FaceReading(truth.keypoints, truth.rotation, truth.translation, truth.scale, truth.expression, logits)


def warp_of(deformation: Tensor) -> Warped:
    empty = torch.zeros(0)
    return Warped(empty, empty, deformation, empty)


def exact_warp(source: Truth, driving: Truth, shape: tuple[int, int, int]) -> Tensor:
    """The backward map of a rigid head over shoulders that do not turn, voxel by voxel through the inverse of Eq. 1;
    nothing far from both."""
    axes = [torch.linspace(-1.0, 1.0, n) for n in shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([x, y, z], -1)
    flat = torch.tensor([1.0, 1.0, 0.0])
    warps = []
    for k in range(len(source.rotation)):
        seen = (grid - flat * driving.translation[k]) / driving.scale[k]
        skull = seen @ torch.linalg.inv(rotation_matrix(driving.rotation[k]))
        moved = source.scale[k] * (skull @ rotation_matrix(source.rotation[k])) + flat * source.translation[k]
        far = (skull / torch.tensor(HEAD_HALF_AXES)).norm(dim=-1, keepdim=True) > 2.0
        upright = source.scale[k] * seen + flat * source.translation[k]
        shoulder = (seen[..., 1:2] > losses.BODY_TOP) & (seen[..., :1].abs() < losses.BODY_HALF_WIDTH)
        warps.append(torch.where(shoulder, upright, torch.where(far, grid, moved)))
    return torch.stack(warps)


def test_the_rigid_guide_is_zero_for_the_exact_rigid_warp_and_for_no_other() -> None:
    source, driving = some_truth(seed=1), some_truth(seed=2)
    exact = exact_warp(source, driving, (4, 8, 8))
    assert float(losses.rigid_guide(warp_of(exact), source, driving)) == pytest.approx(0.0, abs=1e-5)
    assert float(losses.rigid_guide(warp_of(exact + 0.1), source, driving)) == pytest.approx(0.3 + 0.3 + 0.15, abs=1e-4)
    swapped = losses.rigid_guide(warp_of(exact), driving, source)
    assert float(swapped) > 0.1
    with torch.autocast("cpu", torch.bfloat16):
        assert float(losses.rigid_guide(warp_of(exact), source, driving)) < 1e-5


def test_shoulders_are_guided_without_the_turn_and_nothing_is_asked_beside_them() -> None:
    source, driving = some_truth(1, seed=1), some_truth(1, seed=2)
    upright = torch.tensor([[[0.0, 0.9, 0.0], [0.45, 0.85, 0.1], [0.7, 0.9, 0.0], [0.0, -0.1, -0.2]]])
    inside = losses._in_body(upright)
    assert inside.tolist() == [[True, True, False, False]]
    flat = torch.tensor([1.0, 1.0, 0.0])
    seen = losses._seen((upright - driving.translation[:, None] * flat) / driving.scale[:, None], source)
    assert torch.allclose(
        seen[0, 0],
        source.scale[0] * (upright[0, 0] - flat * driving.translation[0]) / driving.scale[0]
        + flat * source.translation[0],
        atol=1e-6,
    )


def test_a_rigid_warp_takes_each_placed_keypoint_back_to_where_the_source_has_it() -> None:
    still = torch.zeros(1, 21, 3)
    source, driving = (replace(some_truth(1, seed), expression=still, keypoints=0.1 * still + 0.1) for seed in (1, 2))
    there, back = driving.placed()[0, 0], source.placed()[0, 0]
    inverse = ((there - driving.translation[0] * torch.tensor([1.0, 1.0, 0.0])) / driving.scale[0]) @ rotation_matrix(
        driving.rotation[0]
    ).T
    assert torch.allclose(inverse, driving.keypoints[0, 0], atol=1e-5)
    assert not torch.allclose(there, back, atol=1e-2)


def supervision(seen: FaceReading, truth: Truth) -> Tensor:
    return losses.pose_supervision(seen, seen.angle_logits, truth)


def test_pose_supervision_is_least_at_the_truth() -> None:
    truth = some_truth()
    exact = supervision(reading_of(truth), truth)
    assert float(exact) < 0.1  # only the entropy of an angle between two bins is left
    for change in (
        replace(reading_of(truth), rotation=truth.rotation + 3.0),
        replace(reading_of(truth), translation=truth.translation + 0.02),
        replace(reading_of(truth), scale=truth.scale * 1.1),
        replace(reading_of(truth), angle_logits=reading_of(truth).angle_logits.roll(1, -1)),
    ):
        assert float(supervision(change, truth)) > float(exact) + 0.01
    deep = replace(reading_of(truth), translation=truth.translation + torch.tensor([0.0, 0.0, 9.0]))
    assert torch.equal(supervision(deep, truth), exact)  # t_z is never modelled


def test_the_guides_are_zero_at_the_truth_and_grow_with_the_error() -> None:
    truth = some_truth()
    for guide, name in ((losses.keypoint_guide, "keypoints"), (losses.expression_guide, "expression")):
        assert float(guide(reading_of(truth), truth)) == 0.0
        value = getattr(truth, name)
        near, far = (guide(replace(reading_of(truth), **{name: value + by}), truth) for by in (0.002, 0.02))
        assert 0 < float(near) < float(far)


def test_the_keypoint_prior_counts_points_that_are_too_near() -> None:
    row = torch.arange(5.0)[None, :, None] * torch.tensor([0.2, 0.0, 0.0])
    assert float(losses.keypoint_prior(row)) == 0.0
    row[0, 1, 0] = 0.02  # two points 0.02 apart, each 0.03 short of 0.05, out of five
    assert float(losses.keypoint_prior(row)) == pytest.approx(2 * 0.03 / 5, abs=1e-6)


def test_gradient_distance_sees_edges_and_not_brightness() -> None:
    picture = torch.rand(2, 3, 8, 8, generator=generator())
    assert float(losses.gradient_distance(picture, picture + 0.3)) == pytest.approx(0.0, abs=1e-6)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert float(losses.gradient_distance(ramp, torch.zeros_like(ramp))) == 1.0
    weight = torch.ones_like(ramp)[:, :1]
    assert float(losses.gradient_distance(ramp, torch.zeros_like(ramp), 3.0 * weight)) == 3.0
    left = weight.clone()
    left[..., ramp.shape[-1] // 2 :] = 0.0
    assert float(losses.gradient_distance(ramp, torch.zeros_like(ramp), left)) < 0.6, "only where it counts"


class Pixels:
    """A feature network one can compute by hand: the picture itself."""

    def features(self, image: Tensor) -> list[Tensor]:
        return [image]


def test_perceptual_distance_has_the_two_norms_it_says() -> None:
    one, other = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    other[..., :2] = 0.5
    assert float(perceptual_distance(Pixels(), one, other, "l1")) == pytest.approx(0.25)
    assert float(perceptual_distance(Pixels(), one, other, "l2")) == pytest.approx((0.25 / 2) ** 0.5)
    assert float(perceptual_distance(Pixels(), one, one, "l1")) == 0.0
    assert float(perceptual_distance(Pixels(), one, one, "l2")) == pytest.approx(0.0, abs=2e-4)
    coarse = perceptual_distance(Pixels(), one, other, "l1", scales=2)
    assert float(coarse) == pytest.approx(0.25)  # the mean over two scales that agree


def made_up_vgg() -> dict[str, Tensor]:
    state, width = {"classifier.0.weight": torch.zeros(1)}, 3
    for index, out, _ in VGG19_LAYERS:
        state[f"features.{index}.weight"] = 0.05 * torch.randn(out, width, 3, 3, generator=generator(index))
        state[f"features.{index}.bias"] = torch.full((out,), 0.01 * index)
        width = out
    return state


def test_vgg19_is_read_from_torchvisions_keys_and_nothing_else(tmp_path: Path, eye: Path) -> None:
    state = made_up_vgg()
    torch.save(state, tmp_path / "vgg.pth")
    net = load_feature_net("vgg19", str(tmp_path / "vgg.pth"))
    assert isinstance(net, Vgg19Features) and not any(p.requires_grad for p in net.parameters())
    assert torch.equal(net.convolutions["28"].bias, state["features.28.bias"])
    maps = net.features(torch.rand(1, 3, 32, 32))
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]
    assert len(VGG19_TAPS) == len(maps)
    missing = {key: value for key, value in state.items() if key != "features.21.weight"}
    torch.save(missing, tmp_path / "short.pth")
    with pytest.raises(UserError, match="key 'features.21.weight' is missing"):
        load_feature_net("vgg19", str(tmp_path / "short.pth"))
    torch.save({**state, "features.5.bias": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"features\.5 has another shape"):
        load_feature_net("vgg19", str(tmp_path / "other.pth"))
    (tmp_path / "noise.pth").write_bytes(b"not a state dict")
    for path in (tmp_path / "noise.pth", eye):
        with pytest.raises(UserError):
            load_feature_net("vgg19", str(path))
    with pytest.raises(UserError, match="choose probe or vgg19"):
        load_feature_net("alexnet", "")
    with pytest.raises(UserError, match="needs its weights"):
        load_feature_net("vgg19", str(tmp_path / "absent.pth"))


def test_pairs_are_of_one_person_and_further_apart_than_asked(sessions: Sessions) -> None:
    pairs = draw_pairs(sessions, 16, 5.0, generator())
    gaps = pose_gap_degrees(pairs.source_truth.rotation, pairs.driving_truth.rotation)
    assert float(gaps.min()) > 5.0
    assert torch.equal(pairs.source_truth.keypoints, pairs.driving_truth.keypoints)
    assert pairs.source.shape == (16, 3, 64, 64) and 0.0 <= float(pairs.source.min()) <= float(pairs.source.max()) <= 1
    far = draw_pairs(sessions, 16, 1000.0, generator())  # nothing is that far: the furthest drawn is taken
    far_gaps = pose_gap_degrees(far.source_truth.rotation, far.driving_truth.rotation)
    assert float(far_gaps.mean()) >= float(gaps.mean())


def test_a_share_of_the_pairs_differs_in_the_face_alone(sessions: Sessions) -> None:
    known = one_pose(sessions[0])
    assert sorted(map(tuple, known.tolist())) == [(1, 2), (2, 1), (4, 5), (5, 4)]
    alike = draw_pairs(sessions, 12, 5.0, generator(), same_pose=1.0)
    assert torch.equal(alike.source_truth.rotation, alike.driving_truth.rotation)
    assert torch.equal(alike.source_truth.scale, alike.driving_truth.scale)
    assert (alike.source_truth.expression != alike.driving_truth.expression).flatten(1).any(1).all()
    mixed = draw_pairs(sessions, 60, 5.0, generator(1), same_pose=0.5)
    share = (mixed.source_truth.rotation == mixed.driving_truth.rotation).all(-1).float().mean()
    assert 0.25 < float(share) < 0.75


@pytest.mark.parametrize("same_pose", [0.0, 1.0])
def test_a_share_of_the_driving_frames_has_its_lids_partly_closed(sessions: Sessions, same_pose: float) -> None:
    lids = [RIG.index("lid_left"), RIG.index("lid_right")]

    def closure(share: float, seed: int = 0) -> Tensor:
        drawn = draw_pairs(sessions, 60, 5.0, generator(seed), same_pose, share)
        known = {tuple(row.tolist()): rig for s in sessions for row, rig in zip(s.expression[:, 1], s.rig, strict=True)}
        rows = [known[tuple(row.tolist())][lids].mean() for row in drawn.driving_truth.expression[:, 1]]
        return torch.stack(rows)

    able = [len(partly_closed(session)) > 0 for session in sessions]
    assert any(able) and float((closure(0.0) >= PARTLY_CLOSED).float().mean()) < 0.5
    asked = float((closure(1.0) >= PARTLY_CLOSED).float().mean())
    assert asked > 0.9 * sum(able) / len(able)


def test_pairs_without_a_share_of_lids_are_those_drawn_before(sessions: Sessions) -> None:
    plain, none = (draw_pairs(sessions, 8, 5.0, generator(), 0.5, *lids) for lids in ((), (0.0,)))
    assert torch.equal(plain.driving, none.driving) and torch.equal(plain.source, none.source)


def test_the_gap_is_the_angle_of_the_turn_between() -> None:
    turned = pose_gap_degrees(torch.tensor([[0.0, 20.0, 0.0]]), torch.tensor([[0.0, -15.0, 0.0]]))
    assert float(turned) == pytest.approx(35.0, abs=1e-3)


def test_pictures_come_as_numbers_and_are_averaged_down(sessions: Sessions) -> None:
    picture = images([(sessions[0], 2)])
    assert torch.equal(
        (picture[0].permute(1, 2, 0) * 255).round().byte(), torch.from_numpy(sessions[0].frames[2].copy())
    )
    assert resized(picture, 64) is picture
    assert torch.allclose(resized(picture, 32), torch.nn.functional.avg_pool2d(picture, 2), atol=1e-6)


def test_truth_is_placed_by_equation_1_in_full_precision() -> None:
    truth = some_truth()
    expected = place(truth.keypoints, truth.rotation, truth.expression, truth.translation, truth.scale)
    assert torch.equal(truth.placed(), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(truth.placed(), expected)


def test_pixels_are_near_at_the_point_and_within_its_radius() -> None:
    near = losses.nearness(torch.tensor([[[0.0, 0.0], [0.5, -0.5]]]), 65, 0.06)
    assert near.shape == (1, 1, 65, 65)
    assert float(near[0, 0, 32, 32]) == pytest.approx(1.0)
    assert float(near[0, 0, 16, 48]) == pytest.approx(1.0), "y is the row, x the column"
    assert float(near[0, 0, 60, 4]) == pytest.approx(0.0, abs=1e-6)
    one_radius = losses.nearness(torch.zeros(1, 1, 2), 201, 0.1)[0, 0, 100, 110]
    assert float(one_radius) == pytest.approx(float(torch.tensor(-0.5).exp()), abs=1e-4)
