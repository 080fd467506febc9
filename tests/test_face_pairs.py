"""The losses of `face --pairs` on inputs whose answer is known, its stages in miniature, and one published step."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pair_frames import RandomPairs, ToyWorld, reading
from pair_videos import write_pair_corpus
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from training.__main__ import main
from training.face_pairs import losses
from training.face_pairs.config import PairsConfig
from training.face_pairs.discriminator import PatchDiscriminator
from training.face_pairs.features import BackboneFeatures, feature_net
from training.face_pairs.losses import Frame
from training.face_pairs.stage import PairsStage
from training.face_pairs.stitching import StitchingStage

MODEL = replace(FaceConfig.tiny(), spectral_norm=False)


def distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean().sqrt()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_eq_4_is_zero_for_an_expression_without_pose_and_grows_with_the_entanglement() -> None:
    values = []
    for entangled in (0.0, 0.01, 0.02):
        world = ToyWorld(entangled)
        values.append(float(losses.transfer_loss(world.draw, distance, *world.frames)))
    assert values[0] < 1e-6 < values[1]
    assert values[2] == pytest.approx(2 * values[1], rel=1e-3)


def test_descending_eq_4_takes_a_known_entanglement_out_of_m() -> None:
    """expression += A yaw with an A that learns: where drawing is exact, nothing but Eq. 4 is needed to unlearn it."""
    frames = ToyWorld(0.0).frames
    leak = torch.randn(5, 3, generator=generator()).mul(0.02).requires_grad_()
    before, optimizer = float(leak.detach().norm()), torch.optim.Adam([leak], lr=1e-3)
    for _ in range(200):
        i, j = (entangled(frame, leak) for frame in frames)
        optimizer.zero_grad()
        losses.transfer_loss(ToyWorld.draw, distance, i, j).backward()
        optimizer.step()
    assert float(leak.detach().norm()) < 0.1 * before


def entangled(frame: Frame, leak: Tensor) -> Frame:
    added = (frame.reading.rotation[:, 1] / 30.0)[:, None, None] * leak
    return replace(frame, reading=replace(frame.reading, expression=frame.reading.expression + added))


def test_eq_4_draws_pose_j_with_expression_i_from_both_frames() -> None:
    world = ToyWorld(0.0)
    i, j = world.frames
    a, b = losses.recombined(world.draw, i, j)
    assert torch.allclose(a, losses.moved(i.reading, j.reading, i.reading), atol=1e-6)
    assert torch.allclose(a, b, atol=1e-6) and not torch.allclose(a, j.placed(), atol=1e-3)


@pytest.mark.parametrize("detach", ["none", "A", "B"])
def test_detach_leaves_the_value_and_cuts_one_branch(detach: str) -> None:
    world = ToyWorld(0.02)
    i, j = (replace(frame, volume=frame.volume.clone().requires_grad_()) for frame in world.frames)
    value = losses.transfer_loss(world.draw, distance, i, j, detach)
    value.backward()
    assert (i.volume.grad is None) == (detach == "A") and (j.volume.grad is None) == (detach == "B")
    assert float(value.detach()) == pytest.approx(float(losses.transfer_loss(world.draw, distance, *world.frames)))


def test_hinge_losses_know_their_answers() -> None:
    high, low = [torch.full((2, 1, 4, 4), 1.5)], [torch.full((2, 1, 4, 4), -1.5)]
    none = [torch.zeros(2, 1, 4, 4)]
    assert float(losses.hinge_discriminator(high, low)) == 0.0
    assert float(losses.hinge_discriminator(none, none)) == 2.0
    assert float(losses.hinge_discriminator(low, high)) == 5.0
    assert float(losses.hinge_generator(high)) == -1.5


def test_feature_matching_is_the_mean_gap_and_leaves_the_real_picture_alone() -> None:
    real = [torch.zeros(1, 2, 2, 2, requires_grad=True), torch.ones(1, 1, 1, 1, requires_grad=True)]
    fake = [torch.full((1, 2, 2, 2), 0.5, requires_grad=True), torch.zeros(1, 1, 1, 1, requires_grad=True)]
    value = losses.feature_matching(real, fake)
    value.backward()
    assert float(value.detach()) == pytest.approx(0.75)
    assert real[0].grad is None and fake[0].grad is not None


def test_points_that_move_with_the_picture_are_equivariant() -> None:
    affine = losses.random_affine(3, generator())
    before = torch.rand(3, 21, 3, generator=generator(1)) - 0.5
    turned = (before[..., :2] - affine[:, None, :, 2]) @ torch.linalg.inv(affine[:, :, :2]).transpose(-1, -2)
    after = torch.cat([turned, before[..., 2:]], -1)
    assert float(losses.equivariance(before, after, affine)) < 1e-6
    assert float(losses.equivariance(before, before, affine)) > 0.01


def test_warping_a_picture_moves_its_content_as_equivariance_expects() -> None:
    side = 65
    affine = losses.random_affine(1, generator(2))
    picture = torch.zeros(1, 3, side, side)
    point = torch.tensor([[[0.25, -0.125, 0.0]]])
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    bump = torch.exp(-((axis[None] - 0.25) ** 2 + (axis[:, None] + 0.125) ** 2) / 0.01)
    picture[:] = bump
    shown = losses.warped(picture, affine)[0, 0]
    y, x = divmod(int(shown.argmax()), side)
    found = torch.stack([axis[x], axis[y], torch.tensor(0.0)])[None, None]
    assert float(losses.equivariance(point, found, affine)) < 2.0 / side


def test_the_landmark_guide_is_a_wing_loss() -> None:
    points = torch.zeros(1, 1, 3)
    for gap, answer in (
        (0.0, 0.0),
        (0.01, 0.05 * math.log(2)),
        (0.05, 0.05 * math.log(6)),
        (0.15, 0.1 + 0.05 * math.log(6)),
    ):
        assert float(losses.landmark_guide(points, torch.full((1, 1, 2), gap))) == pytest.approx(answer, abs=1e-6)


def test_the_anchor_counts_in_units_of_spread() -> None:
    face, none = torch.zeros(1, 4, 3), torch.zeros(2, 4, 3)
    here = reading(face, torch.zeros(2, 3), none)
    assert float(losses.anchor(here, here)) == 0.0
    assert float(losses.anchor(reading(face, torch.full((2, 3), 10.0), none), here)) == pytest.approx(1.0)
    assert float(losses.anchor(reading(face, torch.zeros(2, 3), none + 0.02), here)) == pytest.approx(2.0)


def test_stitching_asks_for_what_lies_outside_the_head() -> None:
    placed = torch.tensor([[[-0.5, -0.5, 0.0], [0.5, 0.5, 0.0]]])
    outside = losses.outside_head(placed, 32, margin=1.0)
    assert outside[0, 0, 0, 0] == 1 and outside[0, 0, 16, 16] == 0 and 0 < float(outside.mean()) < 1
    assert float(1 - outside.mean()) == pytest.approx(math.pi / 16, abs=0.02)
    still = torch.zeros(1, 3, 32, 32)
    face_only = still + (1 - outside)
    assert float(losses.stitching_loss(face_only, still, outside, torch.zeros(1, 2, 3), 1.0)) == 0.0
    assert float(losses.stitching_loss(still + 0.5, still, outside, torch.full((1, 2, 3), 0.1), 2.0)) == pytest.approx(
        0.7
    )


def stage(**changes: object) -> PairsStage:
    torch.manual_seed(0)
    values: dict[str, object] = {"perceptual": "given", "batch": 2, "look_size": 64, "scales": 1, "steps": 4}
    return PairsStage(replace(PairsConfig(), **{**values, **changes}), FaceModel(MODEL), RandomPairs())


def test_every_term_is_in_the_loss_and_m_learns_from_eq_4() -> None:
    made = stage()
    batch = made.batch(generator())
    values = made.loss(batch, 3, generator())
    terms = {name for name in values if name not in ("loss", "psnr", "gap")}
    assert terms == {
        "l1", "features", "transfer", "gan", "matching", "judge", "equivariance", "prior", "landmarks", "anchor",
    }  # fmt: skip
    assert float(values["loss"].detach()) == pytest.approx(sum(float(values[n].detach()) for n in terms), rel=1e-4)
    values["transfer"].backward()
    for net in (made.model.motion, made.model.appearance, made.model.warping, made.model.generator):
        assert any(p.grad is not None and bool(p.grad.any()) for p in net.parameters())
    assert "transfer" not in stage(transfer=0.0).loss(batch, 3, generator())
    assert "gan" not in stage(gan=0.0).loss(batch, 3, generator())


def test_f_waits_and_the_discriminator_and_the_networks_do_not_teach_each_other() -> None:
    made = stage(appearance_from=0.5)
    batch = made.batch(generator())
    early = made.loss(batch, 0, generator())
    early["loss"].backward()
    assert all(p.grad is None for p in made.model.appearance.parameters())
    late = stage(appearance_from=0.5)
    late.loss(batch, 2, generator())["loss"].backward()
    assert any(p.grad is not None for p in late.model.appearance.parameters())
    one = stage()
    one.loss(batch, 3, generator())["gan"].backward()
    assert all(p.grad is None for p in one.judge.parameters())
    one.loss(batch, 3, generator())["judge"].backward()
    assert any(p.grad is not None for p in one.judge.parameters())


def test_the_discriminator_starts_from_the_seed_alone() -> None:
    """Processes draw different numbers before they build it, and have to hold the same weights."""
    made = []
    for drawn_before in (0, 5):
        model = FaceModel(MODEL)
        torch.rand(drawn_before)
        made.append(PairsStage(PairsConfig(perceptual="given", seed=3), model, RandomPairs()).judge.state_dict())
    assert all(torch.equal(made[0][name], value) for name, value in made[1].items())
    other = PairsStage(PairsConfig(perceptual="given", seed=4), FaceModel(MODEL), RandomPairs()).judge.state_dict()
    assert any(not torch.equal(made[0][name], value) for name, value in other.items())


def test_running_statistics_and_the_anchor_stay() -> None:
    made = stage()
    made.model.train()
    buffers = {name: value.clone() for name, value in made.model.named_buffers() if "running" in name}
    anchor = {name: value.clone() for name, value in made.given.state_dict().items()}
    made.loss(made.batch(generator()), 0, generator())["loss"].backward()
    assert buffers and all(torch.equal(made.model.get_buffer(name), value) for name, value in buffers.items())
    assert all(torch.equal(made.given.state_dict()[name], value) for name, value in anchor.items())


def test_only_stitching_learns_in_its_stage() -> None:
    torch.manual_seed(0)
    made = StitchingStage(PairsConfig(batch=2), FaceModel(MODEL), RandomPairs())
    made.loss(made.batch(generator()), 0, generator())["loss"].backward()
    learned = {name for name, p in made.model.named_parameters() if p.grad is not None}
    assert learned and all(name.startswith("stitching.stitching.") for name in learned)


def test_the_given_backbone_is_a_frozen_copy_that_sees_differences() -> None:
    model = FaceModel(MODEL)
    net = feature_net("given", "", model)
    assert isinstance(net, BackboneFeatures) and not any(p.requires_grad for p in net.parameters())
    maps = net.features(torch.rand(2, 3, 32, 32))
    assert len(maps) == 4 and maps[0].shape[-1] > maps[-1].shape[-1]
    with pytest.raises(UserError, match="expected one of given, vgg19, probe"):
        feature_net("resnet", "", model)


def test_the_discriminator_tells_apart_what_it_was_taught() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator(width=8, depth=3)
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    smooth = F.interpolate(torch.rand(4, 3, 8, 8), size=(32, 32), mode="bilinear")
    for _ in range(40):
        noise = torch.rand(4, 3, 32, 32)
        value = losses.hinge_discriminator(judge(smooth).scores, judge(noise).scores)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert float(value.detach()) < 1.0


def test_what_cannot_be_meant_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["face", "--pairs", str(tmp_path)]) == 2
    assert "holds no train clips" in capsys.readouterr().err
    with pytest.raises(UserError, match="--detach is 'C'"):
        stage(detach="C")
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"pairs": {"momentum": 1}}))
    assert main(["face", f"--pairs={tmp_path}", "--config", str(bad)]) == 2
    assert "unknown key 'momentum'" in capsys.readouterr().err


def test_validation_is_refused_in_one_sentence_before_anything_is_written(
    tmp_path: Path, tiny_face: Path, capsys: pytest.CaptureFixture
) -> None:
    """Pairs are unlabelled pictures: there is no motion metric to validate on."""
    words = ["--pairs", str(write_pair_corpus(tmp_path / "people")), "--init", str(tiny_face), "--perceptual", "given"]
    assert main(["face", *words, "--validate-every", "2", "--out", str(tmp_path / "run")]) == 2
    assert "--validate-every is 2, but pairs has no validation; leave it 0." in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
