"""Editing directions: the documented offsets, exactly, and what the lip lock takes out of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from playmate_core.errors import UserError
from playmate_core.keypoint_space import LIVEPORTRAIT, PLAYMATE_DEMO, UNKNOWN
from playmate_core.motion.directions import (
    SLIDERS,
    Slider,
    X,
    Y,
    Z,
    directions,
    slider_values,
)
from playmate_core.values import LIDS, LOWER_LIP, UPPER_LIP

SPACES = (LIVEPORTRAIT, PLAYMATE_DEMO)
#: docs/liveportrait.md 11, written out a second time: slider, value, and what it adds where.
DOCUMENTED = [
    ("pupil_x", 10.0, {(11, X): 0.007, (15, X): 0.010}),
    ("pupil_x", -10.0, {(11, X): -0.010, (15, X): -0.007}),
    ("pupil_y", 10.0, {(11, Y): -0.005, (15, Y): -0.005, (13, Y): -0.0015, (16, Y): -0.0015}),
    ("blink", -20.0, {(11, Y): 0.020, (15, Y): 0.020, (13, Y): -0.006, (16, Y): -0.006}),
    ("wink", 10.0, {(11, Y): 0.010, (13, Y): -0.003, (17, X): 0.003, (17, Y): 0.003, (3, Y): -0.003}),
    ("eyebrow", 10.0, {(1, Y): 0.010, (2, Y): -0.010}),
    ("eyebrow", -10.0, {(1, X): 0.010, (2, X): -0.010, (1, Y): -0.003, (2, Y): 0.003}),
    ("aaa", 100.0, {(19, Y): 0.100, (19, Z): 0.010, (17, Y): -0.010}),
    ("eee", 10.0, {(20, Z): -0.010, (20, Y): -0.010, (14, Y): -0.010}),
    ("woo", 10.0, {(14, Y): 0.010, (3, Y): -0.005, (7, Y): -0.005, (17, Z): -0.005}),
    (
        "smile",
        1.0,
        {(20, Y): -0.01, (14, Y): -0.02, (17, Y): 0.0065, (17, Z): 0.003}
        | {(13, Y): -0.00275, (16, Y): -0.00275, (3, Y): -0.0035, (7, Y): -0.0035},
    ),
]
rows = st.tuples(*(st.floats(slider.low, slider.high) for slider in SLIDERS.values())).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)


def lips_apart(offset: Tensor) -> Tensor:
    """Lower minus upper lip, (..., 3)."""
    return offset[..., LOWER_LIP, :] - offset[..., UPPER_LIP, :]


@pytest.mark.parametrize("slider, value, moved", DOCUMENTED)
def test_a_slider_moves_what_is_documented_and_nothing_else(
    slider: str, value: float, moved: dict[tuple[int, int], float]
) -> None:
    wanted = torch.zeros(21, 3, dtype=torch.float64)
    for place, distance in moved.items():
        wanted[place] = distance
    assert_close(directions().offset(slider_values({slider: value})), wanted, rtol=0, atol=1e-12)


def test_frown_is_the_lower_half_of_eyebrow() -> None:
    frown, lowered = slider_values({"frown": 7.0}), slider_values({"eyebrow": -7.0})
    assert_close(directions().offset(frown), directions().offset(lowered))


@pytest.mark.parametrize("space", SPACES)
def test_a_full_blink_brings_the_lids_together_by_the_lid_travel(space: str) -> None:
    ways = directions(space)
    shut = ways.offset(slider_values({"blink": -20.0}))
    for upper, lower in LIDS:
        assert float(shut[upper, Y] - shut[lower, Y]) == pytest.approx(ways.lid_travel)


@pytest.mark.parametrize("space", SPACES)
@given(row=rows, share=st.floats(0.0, 2.0))
def test_settings_of_one_sign_are_a_straight_line(space: str, row: Tensor, share: float) -> None:
    ways = directions(space)
    assert_close(ways.offset(share * row), share * ways.offset(row), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("space", SPACES)
@given(row=rows)
def test_the_lip_lock_leaves_nothing_of_what_opens_the_lips(space: str, row: Tensor) -> None:
    ways = directions(space)
    locked = ways.lip_locked(ways.offset(row))
    aaa = ways.offset(slider_values({"aaa": 1.0}))
    assert float((locked * aaa).sum().abs()) < 1e-12
    assert float(lips_apart(locked).abs().max()) < 1e-12
    assert_close(ways.lip_locked(locked), locked, rtol=0, atol=1e-12)  # a projection: twice is once
    assert_close(ways.lip_locked(ways.offset(row), 0.0), ways.offset(row), rtol=0, atol=0)


@pytest.mark.parametrize("space", SPACES)
def test_the_lip_lock_leaves_eyes_and_brows_alone(space: str) -> None:
    ways = directions(space)
    settings = slider_values({"blink": -10.0, "eyebrow": 8.0, "frown": 3.0, "pupil_x": 9.0, "pupil_y": 4.0})
    assert_close(ways.lip_locked(ways.offset(settings)), ways.offset(settings), rtol=0, atol=1e-12)


def test_an_unknown_space_is_taken_for_liveportraits() -> None:
    assert torch.equal(directions(UNKNOWN).above, directions(LIVEPORTRAIT).above)


def test_what_no_slider_knows_is_refused() -> None:
    with pytest.raises(UserError, match="Unknown slider 'grin'.*smile"):
        slider_values({"grin": 1.0})
    for value in (2.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match="slider smile is .*-0.5 to 1.3"):
            slider_values({"smile": value})
    with pytest.raises(UserError, match="keypoints 'animal'.*liveportrait"):
        directions("animal")
    with pytest.raises(ValueError, match="must hold 0"):
        Slider(1.0, 2.0, "")
