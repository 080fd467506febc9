"""The denoiser sees what it may see and nothing else; model space is motion, losslessly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_statistics import measure_statistics
from motion_models import PREVIOUS, SMALL, WINDOW, context, denoiser, noisy, rest

from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser, WindowContext
from playmate_core.diffusion.normalisation import (
    MotionStatistics,
    clip_pose,
    corpus_pose,
    pose_from_channels,
    pose_is_static,
    standardised_identity,
    statistics_from_moments,
    to_expression,
    to_model_space,
)
from playmate_core.diffusion.pose_prior import PosePrior
from playmate_core.values import Motion, Pose
from playmate_core.weights import files as weights

TRUE, FALSE = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)


def random_motion(frames: int, seed: int, spread: float = 1.0) -> Motion:
    g = torch.Generator().manual_seed(seed)
    rotation = spread * torch.tensor([2.0, 5.0, 1.0]) * torch.randn(frames, 3, generator=g) + 10 * torch.randn(
        1, 3, generator=g
    )
    expression = 0.05 * torch.randn(frames, 21, 3, generator=g)
    expression[:, 3, 2] = 0.25  # never moves
    translation = 0.01 * spread * torch.randn(frames, 3, generator=g)
    scale = 1.3 + 0.01 * spread * torch.rand(frames, 1, generator=g)
    return Motion(Pose(rotation, translation, scale), expression)


def measured(clips: int = 5) -> tuple[MotionStatistics, list[Motion]]:
    motions = [random_motion(40 + 7 * k, k) for k in range(clips)]
    faces = [torch.randn(21, 3, generator=torch.Generator().manual_seed(k)) for k in range(clips)]
    return measure_statistics(motions, faces, torch.zeros(1, 6)), motions


@torch.no_grad()
def answer(model: MotionDenoiser, given: WindowContext) -> torch.Tensor:
    x, t = noisy(len(given.previous))
    return model(x, t, given)


def differs(a: torch.Tensor, b: torch.Tensor) -> bool:
    return not torch.allclose(a, b, atol=1e-5)


def test_sizes_are_those_of_the_design() -> None:
    tiny = MotionDenoiser(MotionConfig.tiny())
    assert 1.5e6 < sum(p.numel() for p in tiny.parameters()) < 2.4e6
    with torch.device("meta"):
        base = MotionDenoiser(MotionConfig())
    assert 45e6 < sum(p.numel() for p in base.parameters()) < 60e6


def test_forward_is_expression_then_pose_on_the_current_frames() -> None:
    model, given = denoiser(), context()
    x, t = noisy()
    with torch.no_grad():
        hidden = model.hidden_frames(x, t, given)
        assert hidden.shape == (3, PREVIOUS + WINDOW, SMALL.width)
        whole = model(x, t, given)
        assert torch.equal(whole[..., :63], model.expression_head(hidden))
        assert torch.equal(whole[..., 63:], model.pose_head(hidden))
    assert whole.shape == (3, WINDOW, 69) and whole.isfinite().all()


@pytest.mark.parametrize("part", ["audio", "previous", "identity", "start", "drop_audio", "drop_identity"])
def test_every_condition_is_heard(part: str) -> None:
    model, given = denoiser(), context()
    value = getattr(given, part)
    changed = TRUE if value.dtype == torch.bool else value + 1.0
    assert differs(answer(model, given), answer(model, replace(given, **{part: changed})))


def test_what_is_dropped_leaves_nothing_behind() -> None:
    model, given = denoiser(), context()
    now = given.audio.clone()
    now[:, PREVIOUS:] = torch.randn_like(now[:, PREVIOUS:])
    dropped = replace(given, drop_audio=TRUE)
    assert torch.equal(answer(model, dropped), answer(model, replace(dropped, audio=now)))
    before = given.audio.clone()
    before[:, :PREVIOUS] += 1.0
    assert differs(answer(model, dropped), answer(model, replace(dropped, audio=before))), "previous audio stays"
    nobody = replace(given, drop_identity=TRUE)
    assert torch.equal(answer(model, nobody), answer(model, replace(nobody, identity=given.identity + 1)))


def test_at_the_start_previous_motion_and_audio_are_ignored() -> None:
    model, given = denoiser(), replace(context(), start=TRUE)
    audio = given.audio.clone()
    audio[:, :PREVIOUS] = 9.0
    other = replace(given, audio=audio, previous=given.previous + 3.0)
    assert torch.equal(answer(model, given), answer(model, other))


def test_what_lies_past_the_end_changes_nothing_before_it() -> None:
    model, given = denoiser(), context()
    valid = given.valid.clone()
    valid[:, 7:] = False
    short = replace(given, valid=valid)
    audio, (x, t) = given.audio.clone(), noisy()
    audio[:, PREVIOUS + 7 :] = 5.0
    louder = x.clone()
    louder[:, 7:] = -3.0
    with torch.no_grad():
        plain, other = model(x, t, short), model(louder, t, replace(short, audio=audio))
    assert torch.allclose(plain[:, :7], other[:, :7], atol=1e-5)
    assert differs(plain[:, :7], answer(model, given)[:, :7])
    nothing = replace(given, valid=torch.zeros_like(valid), start=TRUE)
    assert answer(model, nothing).isfinite().all()


def test_rows_do_not_know_each_other() -> None:
    model, given, (x, t) = denoiser(), context(), noisy()
    one = WindowContext(**{name: value[1:2] for name, value in vars(given).items()})
    with torch.no_grad():
        assert torch.allclose(model(x, t, given)[1:2], model(x[1:2], t[1:2], one), atol=1e-5)


def test_audio_in_frame_i_matters_most_at_frame_i() -> None:
    config = replace(SMALL, audio_blocks=0, layers=1)
    model, given, (x, t) = denoiser(config), context(config=config), noisy()
    audio = given.audio.clone()
    audio[:, PREVIOUS + 6] += 3.0
    with torch.no_grad():
        moved = (model(x, t, replace(given, audio=audio)) - model(x, t, given)).abs().mean((0, 2))
    assert int(moved.argmax()) == 6


@pytest.mark.parametrize("changes", [{"fuse": "concat"}, {"audio_layers": 3}, {"target": "v"}])
def test_other_configs_work_and_learn(changes: dict[str, object]) -> None:
    config = replace(SMALL, **changes)  # type: ignore[arg-type]
    model = MotionDenoiser(config)
    x, t = noisy()
    model(x, t, context(config=config)).square().mean().backward()
    # The learned stand-ins are silent where nothing is dropped, yet none is without a gradient.
    assert all(p.grad is not None for p in model.parameters())


def test_a_config_that_cannot_be_is_refused() -> None:
    for wrong in ({"kernel": 4}, {"heads": 3}, {"target": "noise"}, {"previous": 0}, {"window": 3}, {"fuse": "mean"}):
        with pytest.raises(ValueError, match=r"must be|positive"):
            replace(SMALL, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"WindowContext\.audio"):
        answer(denoiser(), replace(context(), audio=torch.zeros(3, 5, 1, 6)))


def test_a_checkpoint_carries_statistics_and_answers_alike(tmp_path: Path) -> None:
    model, path = denoiser(), tmp_path / "motion.safetensors"
    weights.save(model, path, license="", data="", training={}, audio="logmel")
    loaded = weights.load_motion(path)
    assert loaded.config == SMALL and torch.equal(loaded.statistics.live, model.statistics.live)
    assert torch.equal(answer(loaded, context()), answer(model, context()))


def test_statistics_are_those_of_the_clips() -> None:
    statistics, motions = measured()
    everything = torch.cat([m.expression for m in motions]).flatten(1)
    assert not statistics.live[11] and int(statistics.live.sum()) == 62
    assert torch.allclose(statistics.expression_mean, everything.mean(0), atol=1e-6)
    yaw = sorted(float(m.pose.rotation[:, 1].std(correction=0)) for m in motions)
    assert float(statistics.pose_typical_std[1]) == pytest.approx(yaw[2], rel=1e-4)
    assert float(statistics.pose_global_std[1]) > 1.3 * yaw[2], "heads differ more than they move"
    low, high = statistics.pose_percentiles[0], statistics.pose_percentiles[3]
    assert bool((low <= statistics.pose_typical_std).all() and (statistics.pose_typical_std <= high).all())
    with pytest.raises(ValueError, match="one set of keypoints each"):
        statistics_from_moments(
            torch.ones(2), *[(torch.ones(2, 6), torch.ones(2, 6))] * 2, torch.ones(0, 63), torch.zeros(1, 6)
        )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), frames=st.integers(1, 40), rule=st.sampled_from([clip_pose, corpus_pose]))
def test_model_space_and_back_is_the_same_motion(seed: int, frames: int, rule: object) -> None:
    statistics, _ = measured(3)
    motion = random_motion(frames, seed)
    mean, std = rule(motion, statistics)  # type: ignore[operator]
    model = to_model_space(motion, statistics, mean, std)
    expression = to_expression(model, statistics)
    # Without PosePrior, which holds back heads that turn further than a renderer follows, as random ones may.
    pose = pose_from_channels(mean + std * model[:, 63:].double(), motion.pose.translation[:, 2:], motion.fps)
    assert pose.fps == motion.fps
    assert model.shape == (frames, 69) and model.dtype == torch.float32
    assert bool((model[:, 11] == 0).all()), "a dead channel is 0 in model space"
    for got, wanted in ((expression, motion.expression), (pose.scale, motion.pose.scale)):
        assert torch.allclose(got, wanted, atol=1e-5)
    assert torch.allclose(pose.rotation, motion.pose.rotation, atol=1e-3)
    assert torch.allclose(pose.translation, motion.pose.translation, atol=1e-5)


def test_a_still_head_is_floored_and_flagged() -> None:
    statistics, motions = measured()
    still = random_motion(60, 1, spread=0.001)
    mean, std = clip_pose(still, statistics)
    assert torch.allclose(std, 0.1 * statistics.pose_typical_std.double())
    assert float(to_model_space(still, statistics, mean, std)[:, 63:].abs().max()) < 0.1
    assert pose_is_static(still, statistics) and not pose_is_static(motions[0], statistics)


def test_a_spread_of_nothing_decodes_to_the_mean_to_the_last_bit() -> None:
    model = denoiser()
    own = rest()
    mean, std = clip_pose(own, model.statistics)
    got, _ = PosePrior(mean, 0 * std, own.pose.translation[:, 2:]).decode(torch.randn(9, 6), 25.0)
    assert torch.equal(got.rotation, own.pose.rotation.expand(9, 3))
    assert torch.equal(got.scale, own.pose.scale.expand(9, 1))
    assert torch.equal(got.translation, own.pose.translation.expand(9, 3))


def test_a_face_unlike_all_others_is_taken_for_the_limit() -> None:
    statistics, _ = measured()
    far = standardised_identity(torch.full((21, 3), 1e6), statistics)
    assert far.shape == (63,) and float(far.max()) == 4.0
    assert float(standardised_identity(statistics.identity_mean.view(21, 3), statistics).abs().max()) == 0.0
