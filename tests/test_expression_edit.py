"""Expression Edit, blinks, lips and pose limits: zero edits keep every bit, and each does what its name says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from edited_motions import FRAMES, SPACES, blinking, closed, moving, same
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from playmate_core.errors import UserError
from playmate_core.keypoint_space import LIVEPORTRAIT
from playmate_core.motion.directions import (
    POSE_SLIDERS,
    SLIDERS,
    Y,
    directions,
    slider_values,
)
from playmate_core.motion.expression_edit import ExpressionEdit, expression_edit
from playmate_core.motion.lips_and_lids import Blinks, blink_profile, lip_gain, with_blinks
from playmate_core.motion.pose_limits import PoseLimits, limit_pose
from playmate_core.values import LIDS, LOWER_LIP, UPPER_LIP, Motion

seeds = st.integers(0, 2**31)
spaces = st.sampled_from(SPACES)
every = {**SLIDERS, **POSE_SLIDERS}
names = st.sampled_from(sorted(every))


def edit(slider: str, value: float, **times: float | None) -> ExpressionEdit:
    return ExpressionEdit(((slider, value),), **times)  # type: ignore[arg-type]


# Expression Edit


@given(seed=seeds, name=names, space=spaces)
def test_a_zero_edit_returns_its_input_bit_for_bit(seed: int, name: str, space: str) -> None:
    motion = moving(seed, space)
    for edits in ([], [edit(name, 0.0)], [ExpressionEdit(())], [edit(name, every[name].high, start=50.0)]):
        assert same(expression_edit(motion, edits), motion)


@given(seed=seeds, name=names, space=spaces, start=st.floats(0.0, 2.0), length=st.floats(0.1, 2.0))
def test_an_edit_acts_in_its_range_alone(seed: int, name: str, space: str, start: float, length: float) -> None:
    motion = moving(seed, space)
    edited = expression_edit(motion, [edit(name, every[name].high, start=start, end=start + length)])
    time = torch.arange(FRAMES).double() / 25.0
    outside = (time < start) | (time >= start + length)
    assert same(edited[outside], motion[outside])


@pytest.mark.parametrize("name", sorted(SLIDERS))
def test_an_edit_without_fades_adds_the_slider(name: str) -> None:
    motion, value = moving(0), SLIDERS[name].high
    edited = expression_edit(motion, [edit(name, value, start=1.0, end=2.0, fade_in=0.0, fade_out=0.0)])
    moved = (edited.expression - motion.expression)[25:50].double()
    assert_close(moved, directions().offset(slider_values({name: value})).expand(25, 21, 3), rtol=0, atol=1e-7)
    assert edited.pose is motion.pose or same(replace(edited, expression=motion.expression), motion)


@pytest.mark.parametrize("axis, name", list(enumerate(POSE_SLIDERS)))
def test_pose_sliders_add_degrees_and_leave_the_face(axis: int, name: str) -> None:
    motion = moving(0)
    edited = expression_edit(motion, [edit(name, 10.0, fade_in=0.0)])
    wanted = motion.pose.rotation.clone()
    wanted[:, axis] += 10.0
    assert_close(edited.pose.rotation, wanted)
    assert torch.equal(edited.expression, motion.expression)


def test_fades_grow_and_leave_within_the_range() -> None:
    share = ExpressionEdit((), start=1.0, end=3.0, fade_in=0.4, fade_out=0.8).envelope(FRAMES, 25.0)
    assert share[:25].eq(0).all() and share[75:].eq(0).all() and share[35:56].eq(1).all()
    assert bool((share[25:36].diff() > 0).all()) and bool((share[55:76].diff() < 0).all())
    assert float(share.diff().abs().max()) < 0.16  # eased, no step
    assert ExpressionEdit(()).envelope(FRAMES, 25.0)[10:].eq(1).all()
    short = ExpressionEdit((), start=1.0, end=1.4, fade_in=1.0, fade_out=1.0).envelope(FRAMES, 25.0)
    assert 0 < float(short.max()) < 1


def test_edits_that_overlap_add_up_within_the_range() -> None:
    motion = moving(0)
    both = expression_edit(motion, [edit("smile", 0.4, fade_in=0.0), edit("smile", 0.5, fade_in=0.0)])
    assert_close(both.expression, expression_edit(motion, [edit("smile", 0.9, fade_in=0.0)]).expression)
    past = expression_edit(motion, [edit("smile", 1.0, fade_in=0.0), edit("smile", 1.0, fade_in=0.0)])
    assert_close(past.expression, expression_edit(motion, [edit("smile", 1.3, fade_in=0.0)]).expression)


def test_edits_that_make_no_sense_are_refused() -> None:
    for wrong, said in (
        (lambda: edit("grin", 1.0), "Unknown slider 'grin'.*yaw"),
        (lambda: edit("yaw", 40.0), "slider yaw is 40.*-20 to 20"),
        (lambda: ExpressionEdit((("smile", 1.0), ("smile", 0.5))), "sets smile twice"),
        (lambda: edit("smile", 1.0, start=2.0, end=1.0), "from 2 s to 1 s"),
        (lambda: edit("smile", 1.0, start=-1.0), "from -1 s"),
        (lambda: edit("smile", 1.0, start=float("nan")), "from nan s"),
        (lambda: edit("smile", 1.0, fade_in=-0.1), "fades over -0.1 s"),
        (lambda: expression_edit(moving(0, "animal"), [edit("smile", 1.0)]), "keypoints 'animal'"),
    ):
        with pytest.raises(UserError, match=said):
            wrong()


# Lips


@given(seed=seeds, space=spaces)
def test_a_lip_gain_of_one_returns_its_input_bit_for_bit(seed: int, space: str) -> None:
    motion = moving(seed, space)
    assert same(lip_gain(motion, 1.0), motion)


@given(seed=seeds, space=spaces, gain=st.floats(0.0, 3.0))
def test_lips_open_in_proportion_and_closures_keep_every_bit(seed: int, space: str, gain: float) -> None:
    motion = moving(seed, space)

    def apart(one: Motion) -> Tensor:
        return (one.expression[:, LOWER_LIP, Y] - one.expression[:, UPPER_LIP, Y]).double()

    was, now = apart(motion), apart(lip_gain(motion, gain))
    rest = torch.quantile(was, 0.1)
    opened = was > rest
    assert_close(now[opened] - rest, gain * (was - rest)[opened], rtol=0, atol=1e-7)
    assert same(lip_gain(motion, gain)[~opened], motion[~opened])


def test_a_lip_gain_out_of_range_is_refused() -> None:
    for gain in (-0.1, 3.5, float("nan")):
        with pytest.raises(UserError, match="lip gain is"):
            lip_gain(moving(0), gain)


# Blinks


@given(seed=seeds, space=spaces)
def test_blinks_kept_none_added_or_none_there_return_their_input_bit_for_bit(seed: int, space: str) -> None:
    motion = moving(seed, space)
    for blinks in (Blinks(), Blinks("add", per_minute=0.0)):
        assert same(with_blinks(motion, blinks), motion)
    still = blinking(space, ())
    assert same(with_blinks(still, Blinks("none")), still)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("at", [(20, 60), (0,), (97,)])
def test_none_opens_the_eyes_and_leaves_the_rest(space: str, at: tuple[int, ...]) -> None:
    motion = blinking(space, at)
    opened = with_blinks(motion, Blinks("none"))
    assert float(closed(motion).max()) >= 0.9 > 0.11 > float(closed(opened).max())
    lids = [point for lids in LIDS for point in lids]
    others = [point for point in range(21) if point not in lids]
    assert torch.equal(opened.expression[:, others], motion.expression[:, others])
    awake = closed(motion)[:, 0] == 0
    assert same(opened[awake], motion[awake])


def test_eyes_that_sleep_are_left_alone() -> None:
    motion = blinking(LIVEPORTRAIT, ())
    motion.expression[30:60, 11, Y] += directions().lid_travel
    assert same(with_blinks(motion, Blinks("none")), motion)


@pytest.mark.parametrize("space", SPACES)
def test_added_blinks_shut_the_eyes_fully(space: str) -> None:
    motion, blinks = blinking(space, (30,), 500), Blinks("add", 30.0, seed=3)
    profile = blink_profile(500, 25.0, blinks)
    shut = closed(with_blinks(motion, blinks))
    assert int((profile == 1.0).sum()) >= 4
    assert_close(shut[profile == 1.0], torch.ones(int((profile == 1.0).sum()), 2).double(), rtol=0, atol=1e-5)
    assert float(shut.max()) <= 1.0 + 1e-5, "two blinks at once do not shut an eye twice"
    untouched = profile == 0
    assert same(with_blinks(motion, blinks)[untouched], motion[untouched])


def test_replaced_blinks_are_the_new_ones_alone() -> None:
    motion, blinks = blinking(LIVEPORTRAIT, (20, 60), 500), Blinks("replace", 12.0, seed=1)
    assert_close(
        closed(with_blinks(motion, blinks)), blink_profile(500, 25.0, blinks)[:, None].expand(500, 2), rtol=0, atol=1e-5
    )


def test_blinks_come_at_the_rate_asked_for_and_by_the_seed() -> None:
    minutes = 30
    profile = blink_profile(minutes * 1500, 25.0, Blinks("add", 17.0, seed=5))
    starts = int(((profile[1:] > 0) & (profile[:-1] == 0)).sum())
    assert 14 <= starts / minutes <= 20
    assert torch.equal(profile, blink_profile(minutes * 1500, 25.0, Blinks("add", 17.0, seed=5)))
    assert not torch.equal(profile, blink_profile(minutes * 1500, 25.0, Blinks("add", 17.0, seed=6)))


def test_blinks_that_make_no_sense_are_refused() -> None:
    for given_, said in (({"mode": "wink"}, "Unknown blinks 'wink'"), ({"per_minute": 90.0}, "90 blinks")):
        with pytest.raises(UserError, match=said):
            Blinks(**given_)  # type: ignore[arg-type]


# Pose limits


@given(seed=seeds, knee=st.floats(0.0, 1.0))
def test_limits_hold_bend_in_order_and_leave_what_is_below_the_knee(seed: int, knee: float) -> None:
    pose, limits = moving(seed).pose, PoseLimits(10.0, 20.0, 5.0, knee)
    held = limit_pose(pose, limits)
    most = torch.tensor([10.0, 20.0, 5.0])
    assert bool((held.rotation.abs() <= most + 1e-5).all())
    below = pose.rotation.abs().double() <= knee * most.double()
    assert torch.equal(held.rotation[below].view(torch.int32), pose.rotation[below].view(torch.int32))
    for axis in range(3):
        order = pose.rotation[:, axis].argsort()
        assert bool((held.rotation[order, axis].diff() >= -1e-5).all())
    assert held.translation is pose.translation and held.scale is pose.scale


def test_limits_nobody_reaches_return_the_pose_bit_for_bit() -> None:
    pose = replace(moving(0).pose, rotation=torch.tensor([[-0.0, 5.0, -10.0]]).expand(FRAMES, 3).clone())
    assert torch.equal(limit_pose(pose).rotation.view(torch.int32), pose.rotation.view(torch.int32))


def test_the_knee_is_soft() -> None:
    yaw = torch.linspace(0.0, 60.0, FRAMES)
    rotation = torch.stack([torch.zeros(FRAMES), yaw, torch.zeros(FRAMES)], -1)
    pose = replace(moving(0).pose, rotation=rotation)
    slope = limit_pose(pose, PoseLimits(yaw=30.0, knee=0.7)).rotation[:, 1].diff() / yaw.diff()
    assert float(slope.diff().abs().max()) < 0.06  # a cut would step by 1
    with pytest.raises(UserError, match="limit of yaw is 120"):
        PoseLimits(yaw=120.0)
    with pytest.raises(UserError, match="knee of the pose limits is 2"):
        PoseLimits(knee=2.0)
