"""Poses and edits: properties that hold for any movement."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from playmate_core.geometry import rotation_matrix
from playmate_core.interpolation import FITS, smooth_track
from playmate_core.motion.edit import (
    Regions,
    fit_motion,
    mix,
    resample_motion,
    scale_regions,
)
from playmate_core.motion.pose import (
    ALL_AXES,
    PoseAxes,
    PoseKey,
    absolute_pose,
    apply_pose,
    fit,
    keyframes,
    mix_poses,
    neutral_pose,
    reference_frame,
    relative_pose,
    resample_pose,
    smooth,
    still,
)
from playmate_core.values import EYE_KEYPOINTS, KEYPOINTS, LIP_KEYPOINTS, Motion, Pose

seeds = st.integers(0, 2**31)
lengths = st.integers(1, 40)
quick = settings(max_examples=20, deadline=None)


def a_pose(seed: int, frames: int, fps: float = 25.0) -> Pose:
    draw = torch.Generator().manual_seed(seed)
    turn = torch.rand(frames, 3, generator=draw) * 80 - 40
    return Pose(turn, torch.randn(frames, 3, generator=draw), torch.rand(frames, 1, generator=draw) + 0.5, fps)


def a_motion(seed: int, frames: int) -> Motion:
    draw = torch.Generator().manual_seed(seed + 1)
    return Motion(a_pose(seed, frames), torch.randn(frames, KEYPOINTS, 3, generator=draw))


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    turn = rotation_matrix(first.double()).transpose(-1, -2) @ rotation_matrix(second.double())
    return torch.rad2deg(torch.acos(((turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1)))


def assert_same_pose(got: Pose, expected: Pose, atol: float = 1e-4) -> None:
    assert len(got) == len(expected) and got.fps == expected.fps
    assert_close(rotation_matrix(got.rotation), rotation_matrix(expected.rotation), atol=atol, rtol=0)
    assert_close(got.translation, expected.translation, atol=atol, rtol=0)
    assert_close(got.scale, expected.scale, atol=atol, rtol=0)


@quick
@given(seeds, seeds, st.floats(0, 1))
def test_slerp_turns_at_constant_speed_between_exact_ends(one: int, other: int, weight: float) -> None:
    first, second = a_pose(one, 3), a_pose(other, 3)
    assert torch.equal(mix_poses(first, second, 0.0).rotation, first.rotation)
    assert torch.equal(mix_poses(first, second, 1.0).rotation, second.rotation)
    part = angle_between(first.rotation, mix_poses(first, second, weight).rotation)
    assert_close(part, weight * angle_between(first.rotation, second.rotation), atol=0.02, rtol=0)


@quick
@given(seeds, lengths, st.sampled_from([10.0, 24.0, 29.97, 30.0, 50.0, 60.0]))
def test_resample_keeps_the_duration_and_the_first_frame(seed: int, frames: int, fps: float) -> None:
    pose = a_pose(seed, frames, fps)
    got = resample_pose(pose, 25.0)
    assert abs(len(got) / 25.0 - frames / fps) <= 0.5 / 25.0 + 1e-9 or len(got) == 1
    assert torch.equal(got.rotation[0], pose.rotation[0])
    assert_same_pose(resample_pose(pose, fps), pose, atol=0)
    again = resample_pose(resample_pose(pose, 4 * fps), fps)
    assert_same_pose(again, pose, atol=1e-5)


@quick
@given(seeds, lengths, st.integers(0, 120), st.sampled_from(FITS))
def test_fit_gives_the_length_and_starts_where_the_pose_starts(seed: int, frames: int, wanted: int, how: str) -> None:
    motion = a_motion(seed, frames)
    got = fit_motion(motion, wanted, how)
    assert len(got) == wanted
    assert_same_pose(got.pose, fit(motion.pose, wanted, how), atol=0)
    shared = min(frames - frames // 3 if how == "loop" else frames, wanted)  # a loop fades its tail into its opening
    if how != "stretch" and shared:
        assert torch.equal(got.expression[:shared], motion.expression[:shared])
        assert torch.equal(got.pose.rotation[:shared], motion.pose.rotation[:shared])
    if how == "stretch" and wanted > 1:
        assert torch.equal(got.expression[-1], motion.expression[-1])


def test_fit_known_answers() -> None:
    pose = Pose(torch.zeros(3, 3), torch.zeros(3, 3), torch.tensor([[1.0], [2.0], [3.0]]))
    assert fit(pose, 6, "hold").scale[:, 0].tolist() == [1, 2, 3, 3, 3, 3]
    assert fit(pose, 8, "bounce").scale[:, 0].tolist() == [1, 2, 3, 2, 1, 2, 3, 2]
    assert fit(pose, 5, "stretch").scale[:, 0].tolist() == [1, 1.5, 2, 2.5, 3]
    with pytest.raises(ValueError, match="choose one of hold"):
        fit(pose, 5, "repeat")


def test_a_loop_has_no_jump_at_its_seam() -> None:
    climb = torch.linspace(0, 30, 100)[:, None].expand(-1, 3).contiguous()
    pose = Pose(climb, torch.zeros(100, 3), torch.ones(100, 1))
    looped = fit(pose, 400, "loop")
    steps = looped.rotation.diff(dim=0).abs().max()
    assert steps < 4.0  # a plain repetition would jump by 30 degrees


@quick
@given(seeds, lengths)
def test_still_does_not_move(seed: int, frames: int) -> None:
    rest = a_pose(seed, 1)
    held = still(rest, frames)
    assert torch.equal(held.rotation, rest.rotation.expand(frames, 3))
    assert held.rotation.diff(dim=0).abs().sum() == 0 and held.scale.diff(dim=0).abs().sum() == 0


@quick
@given(seeds, seeds, lengths, st.sampled_from(["first", "frontal"]))
def test_relative_pose_is_the_rest_where_the_reference_shows(one: int, other: int, frames: int, where: str) -> None:
    driving, rest = a_pose(one, frames), a_pose(other, 1)
    got = relative_pose(driving, rest, where, ALL_AXES)
    zero = reference_frame(driving, where)
    assert_same_pose(got[zero : zero + 1], rest)
    # Turning further by the driving head turns the portrait by the same angle.
    assert_close(
        angle_between(got.rotation, rest.rotation.expand(frames, 3)),
        angle_between(driving.rotation, driving.rotation[zero].expand(frames, 3)),
        atol=0.05,
        rtol=0,
    )


def test_relative_pose_multiplies_in_the_published_order() -> None:
    driving, rest = a_pose(1, 5), a_pose(2, 1)
    r_d, r_s = rotation_matrix(driving.rotation), rotation_matrix(rest.rotation)
    expected = r_d @ r_d[0].T @ r_s
    assert_close(rotation_matrix(relative_pose(driving, rest).rotation), expected, atol=1e-5, rtol=0)


def test_axes_choose_what_acts_and_framing_is_off_by_default() -> None:
    driving, rest = a_pose(3, 6), a_pose(4, 1)
    got = relative_pose(driving, rest)
    assert torch.equal(got.translation, rest.translation.expand(6, 3)) and torch.equal(
        got.scale, rest.scale.expand(6, 1)
    )
    nod = absolute_pose(driving, rest, PoseAxes(yaw=False, roll=False))
    assert torch.equal(nod.rotation[:, 0], driving.rotation[:, 0])
    assert torch.equal(nod.rotation[:, 1:], rest.rotation[:, 1:].expand(6, 2))


@quick
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=6), st.integers(1, 60))
def test_keyframes_pass_their_keys_and_never_overshoot(values: list[float], frames: int) -> None:
    keys = [PoseKey(0.4 * i, (value, 0.0, -value)) for i, value in enumerate(values)]
    pose = keyframes(keys, frames)
    pitch = pose.rotation[:, 0]
    assert pitch.min() >= min(values) - 1e-4 and pitch.max() <= max(values) + 1e-4
    for i, value in enumerate(values):
        if 10 * i < frames:
            assert abs(float(pitch[10 * i]) - value) < 1e-3
    for i in range(len(values) - 1):
        between = pitch[10 * i : 10 * i + 11]
        assert (between.diff() * (values[i + 1] - values[i]) >= -1e-4).all()


def test_keyframes_refuse_nothing_and_two_at_once() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        keyframes([], 5)
    with pytest.raises(ValueError, match="same time"):
        keyframes([PoseKey(1.0, (0, 0, 0)), PoseKey(1.0, (1, 0, 0))], 5)


def test_smoothing_keeps_the_constant_and_calms_the_noise() -> None:
    held = still(a_pose(5, 1), 30)
    assert_same_pose(smooth(held, 1e-2), held)
    noisy = Pose(torch.randn(200, 3), torch.zeros(200, 3), torch.ones(200, 1))
    rough, calm = noisy.rotation.diff(dim=0).std(), smooth(noisy, 1e-3).rotation.diff(dim=0).std()
    assert calm < 0.3 * rough
    assert_close(smooth(noisy, 1e-12).rotation, noisy.rotation, atol=1e-3, rtol=0)


def test_smoother_equals_the_exact_posterior_mean() -> None:
    """The RTS recursion is the minimum of the quadratic form of its own model, solved here directly."""
    seen, q, r = torch.randn(12, 2, dtype=torch.float64), 1e-2, 3e-2
    precision = torch.eye(12, dtype=torch.float64) / r
    precision[0, 0] += 1.0  # the prior: mean z_0, variance 1
    for i in range(11):
        precision[i : i + 2, i : i + 2] += torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64) / q
    target = seen / r
    target[0] += seen[0]
    assert_close(smooth_track(seen, r, q), torch.linalg.solve(precision, target))


@quick
@given(seeds, seeds, lengths)
def test_apply_pose_at_its_known_strengths(one: int, other: int, frames: int) -> None:
    motion, pose = a_motion(one, frames), a_pose(other, frames)
    assert torch.equal(apply_pose(motion, pose).pose.rotation, pose.rotation)
    assert torch.equal(apply_pose(motion, pose).expression, motion.expression)
    assert torch.equal(apply_pose(motion, pose, strength=0.0).pose.scale, pose.scale[:1].expand(frames, 1))
    assert_same_pose(apply_pose(motion, pose, "mix", 0.0).pose, motion.pose)
    assert_same_pose(apply_pose(motion, pose, "mix", 1.0).pose, pose)
    assert_same_pose(apply_pose(motion, pose, "add", 0.0).pose, motion.pose)
    assert_same_pose(apply_pose(motion, neutral_pose(frames), "add").pose, motion.pose)
    faded = apply_pose(motion, pose, fade_frames=5).pose
    assert torch.equal(faded.rotation[0], motion.pose.rotation[0])
    assert torch.equal(faded.rotation[5:], pose.rotation[5:])


def test_apply_pose_refuses_what_does_not_fit() -> None:
    motion = a_motion(1, 10)
    with pytest.raises(ValueError, match="9 frames and the motion 10"):
        apply_pose(motion, a_pose(1, 9))
    with pytest.raises(ValueError, match="25 and 30 fps"):
        apply_pose(motion, a_pose(1, 10, 30.0))
    with pytest.raises(ValueError, match="replace, add, mix"):
        apply_pose(motion, a_pose(1, 10), "blend")


@quick
@given(seeds, lengths)
def test_region_gains(seed: int, frames: int) -> None:
    motion, rest = a_motion(seed, frames), a_motion(seed + 7, 1)
    unchanged = scale_regions(motion, rest, Regions())
    assert torch.equal(unchanged.expression, motion.expression)
    assert torch.equal(unchanged.pose.rotation, motion.pose.rotation)
    lips = scale_regions(motion, rest, Regions(lips=1.0, eyes=0.0, expression=0.0, pose=0.0))
    others = [k for k in range(KEYPOINTS) if k not in LIP_KEYPOINTS]
    assert torch.equal(lips.expression[:, list(LIP_KEYPOINTS)], motion.expression[:, list(LIP_KEYPOINTS)])
    assert torch.equal(lips.expression[:, others], rest.expression[:, others].expand(frames, -1, -1))
    assert torch.equal(lips.pose.rotation, rest.pose.rotation.expand(frames, 3))
    doubled = scale_regions(motion, rest, Regions(eyes=2.0))
    eyes = list(EYE_KEYPOINTS)
    departure = (doubled.expression - rest.expression)[:, eyes]
    assert_close(departure, 2 * (motion.expression - rest.expression)[:, eyes])


def test_mix_takes_each_region_from_its_motion() -> None:
    first, second = a_motion(1, 8), a_motion(2, 8)
    got = mix(first, second, Regions(lips=1.0, eyes=0.0, expression=0.0, pose=1.0))
    assert torch.equal(got.expression[:, list(LIP_KEYPOINTS)], second.expression[:, list(LIP_KEYPOINTS)])
    assert torch.equal(got.expression[:, list(EYE_KEYPOINTS)], first.expression[:, list(EYE_KEYPOINTS)])
    assert torch.equal(got.pose.rotation, second.pose.rotation)


def test_resample_motion_moves_expression_with_pose() -> None:
    motion = Motion(still(a_pose(1, 1), 5), torch.arange(5.0)[:, None, None].expand(5, KEYPOINTS, 3))
    doubled = resample_motion(motion, 50.0)
    assert_close(doubled.expression[:9, 0, 0], torch.arange(9.0) / 2)
