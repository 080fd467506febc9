"""Two motions in one, cut, joined and smoothed; and how far two are apart. What is not asked for keeps every bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from edited_motions import moving, same
from torch.testing import assert_close

from playmate_core.errors import UserError
from playmate_core.keypoint_space import LIVEPORTRAIT, PLAYMATE_DEMO
from playmate_core.motion.region_mix import FACE_REGIONS, REGION_NAMES, RegionShares, compare_motions, region_mix
from playmate_core.motion.retime import RegionSmoothing, Retiming, join_motions, retime, smooth_regions
from playmate_core.times import TimeCurve, TimeRange

FIRST, SECOND = moving(1), moving(2)
POSE = ("rotation", "translation", "scale")


def shares(**regions: str) -> RegionShares:
    return RegionShares.written(regions, 25.0)


def test_the_regions_of_a_face_are_all_keypoints_once() -> None:
    assert sorted(point for points in FACE_REGIONS.values() for point in points) == list(range(21))


def test_shares_of_zero_return_the_first_motion_bit_for_bit() -> None:
    assert same(region_mix(FIRST, SECOND, RegionShares()), FIRST)


@pytest.mark.parametrize("region", REGION_NAMES)
def test_a_region_is_taken_from_the_second_and_nothing_else(region: str) -> None:
    mixed = region_mix(FIRST, SECOND, shares(**{region: "1"}))
    for name, points in FACE_REGIONS.items():
        source = SECOND if name == region else FIRST
        assert torch.equal(mixed.expression[:, list(points)], source.expression[:, list(points)]), name
    for part in POSE:
        source = SECOND if part == region else FIRST
        assert torch.equal(getattr(mixed.pose, part), getattr(source.pose, part)), part


def test_a_share_may_change_over_time() -> None:
    mixed = region_mix(FIRST, SECOND, shares(lips="0:01:0, 2:1"))
    lips = list(FACE_REGIONS["lips"])
    assert torch.equal(mixed.expression[:26], FIRST.expression[:26])
    assert torch.equal(mixed.expression[50:, lips], SECOND.expression[50:, lips])
    half = (FIRST.expression[37, lips].double() * 0.52 + SECOND.expression[37, lips].double() * 0.48).float()
    assert_close(mixed.expression[37, lips], half)


def test_a_shorter_motion_of_another_rate_is_fitted() -> None:
    quick = replace(SECOND, pose=replace(SECOND.pose, fps=50.0))
    mixed = region_mix(FIRST, quick, shares(rest="1"))
    rest = list(FACE_REGIONS["rest"])
    assert len(mixed) == 100 and mixed.fps == 25.0
    assert torch.equal(mixed.expression[60, rest], mixed.expression[99, rest]), "its last frame is held"


def test_a_share_that_cannot_be_read_names_its_region() -> None:
    with pytest.raises(UserError, match="^eyes: .*0 to 1"):
        shares(eyes="2")


def test_differences_are_found_where_they_are() -> None:
    assert all(found.largest == found.mean == 0 for found in compare_motions(FIRST, FIRST))
    expression = FIRST.expression.clone()
    expression[7, 19] += torch.tensor([0.03, 0.04, 0.0])
    moved = replace(FIRST, expression=expression)
    found = {one.region: one for one in compare_motions(FIRST, moved)}
    assert found["lips"].largest == pytest.approx(0.05, rel=1e-4)
    assert found["lips"].mean == pytest.approx(0.05 / 600, rel=1e-3)
    assert found["eyes"].largest == found["rotation"].largest == 0
    assert "lips: largest 0.05 units" in str(found["lips"])
    with pytest.raises(UserError, match="one length"):
        compare_motions(FIRST, FIRST[:50])
    with pytest.raises(UserError, match="cannot be compared"):
        compare_motions(FIRST, moving(1, PLAYMATE_DEMO))


# Retime


def test_no_step_returns_the_motion_bit_for_bit() -> None:
    assert same(retime(FIRST, Retiming()), FIRST)
    assert same(retime(FIRST, Retiming(fps=25.0)), FIRST)


def test_a_part_is_kept_and_twice_reversed_is_not_reversed() -> None:
    assert same(retime(FIRST, Retiming(TimeRange(1.0, 2.0))), FIRST[25:50])
    back = retime(FIRST, Retiming(reverse=True))
    assert torch.equal(back.expression[0], FIRST.expression[-1])
    assert same(retime(back, Retiming(reverse=True)), FIRST)
    with pytest.raises(UserError, match="nothing is left"):
        retime(FIRST, Retiming(TimeRange(4.0)))


def test_speed_and_loops_and_rate_change_the_length_as_they_say() -> None:
    assert len(retime(FIRST, Retiming(speed=2.0))) == 50
    assert torch.equal(retime(FIRST, Retiming(speed=2.0)).expression[10], FIRST.expression[20])
    assert len(retime(FIRST, Retiming(loops=3))) == 300
    thirty = retime(FIRST, Retiming(fps=30.0))
    assert (len(thirty), thirty.fps) == (120, 30.0)
    with pytest.raises(UserError, match="1 to 240"):
        Retiming(fps=0.5)
    with pytest.raises(UserError, match="speed"):
        Retiming(speed=0.0)


def test_joined_motions_fade_and_a_fade_of_zero_is_a_cut() -> None:
    cut = join_motions(FIRST, SECOND, 0.0)
    assert same(cut[:100], FIRST) and same(cut[100:], SECOND)
    faded = join_motions(FIRST, SECOND, 0.4)
    assert len(faded) == 190 and same(faded[:90], FIRST[:90]) and same(faded[100:], SECOND[10:])
    still = replace(FIRST[:1], expression=FIRST.expression[:1])
    low, high = (retime(replace(still, expression=still.expression + up), Retiming(loops=50)) for up in (0.0, 1.0))
    steps = join_motions(low, high, 0.4).expression[:, 0, 0].diff()
    assert float(steps.min()) >= 0 and float(steps.max()) < 0.2
    with pytest.raises(UserError, match="shorter"):
        join_motions(FIRST, SECOND[:5], 0.4)


def test_other_keypoints_hold_the_last_face() -> None:
    demo = moving(3, PLAYMATE_DEMO)
    both = join_motions(FIRST, demo, 0.0)
    assert both.keypoint_space == LIVEPORTRAIT
    assert torch.equal(both.expression[-1], FIRST.expression[-1])
    assert torch.equal(both.pose.rotation[100:], demo.pose.rotation)


# Smoothing


def test_amounts_of_zero_leave_every_bit_and_lips_are_off_by_default() -> None:
    assert same(smooth_regions(FIRST, RegionSmoothing(0.0, 0.0, 0.0, 0.0, 0.0)), FIRST)
    smoothed = smooth_regions(FIRST, RegionSmoothing())
    assert torch.equal(
        smoothed.expression[:, list(FACE_REGIONS["lips"])], FIRST.expression[:, list(FACE_REGIONS["lips"])]
    )
    plain = smooth_regions(FIRST, RegionSmoothing(0.0, 0.0, 100.0, 100.0, 0.0))
    brows, lips = list(FACE_REGIONS["brows"]), list(FACE_REGIONS["lips"])
    tremor = [motion.expression[:, brows].diff(dim=0).square().mean() for motion in (FIRST, smoothed, plain)]
    assert tremor[0] > tremor[1] > tremor[2]
    assert torch.equal(plain.expression[:, lips], FIRST.expression[:, lips])
    assert torch.equal(plain.pose.rotation, FIRST.pose.rotation)


def test_curves_are_values() -> None:
    assert RegionShares(lips=TimeCurve(((0.0, 1.0),))) == shares(lips="1")
