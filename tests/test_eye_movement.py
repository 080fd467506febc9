"""Blinks and looks that are added to sampled motion: how many, how far apart, how large, and what stays as it was."""

from __future__ import annotations

import pytest
import torch
from generated_motion import talk
from motion_models import WINDOW
from torch import Tensor

from playmate_core.diffusion.eye_movement import HABITS, EyeMovement
from playmate_core.diffusion.windows import WindowPlan
from playmate_core.keypoint_space import PLAYMATE_DEMO
from playmate_core.values import LIDS, Motion, Pose
from training.evaluate.liveliness import blinks_of

GAP, WINDOWS = 0.09, WindowPlan(10_000, 50, 6)
UPPER, LOWER = (list(points) for points in zip(*LIDS, strict=True))


def eyes(share: float = 1.0, seed: int = 0, space: str = PLAYMATE_DEMO) -> EyeMovement:
    return EyeMovement(HABITS.get(space), share, seed, torch.tensor([GAP, GAP]), WINDOWS)


def still(frames: int) -> Tensor:
    return torch.zeros(frames, 21, 3)


def with_blinks(frames: int, *begins: int) -> Tensor:
    expression = still(frames)
    for begin in begins:
        shape = torch.tensor([0.2, 0.7, 1.0, 0.9, 0.6, 0.4, 0.1])
        expression[begin : begin + 7, UPPER, 1] += GAP * shape[:, None]
    return expression


def many(windows: int, **how: float) -> Tensor:
    moving = eyes(**how)  # type: ignore[arg-type]
    return torch.cat([moving.added(still(44)) for _ in range(windows)])


def motion(expression: Tensor) -> Motion:
    frames = len(expression)
    return Motion(Pose(torch.zeros(frames, 3), torch.zeros(frames, 3), torch.ones(frames, 1)), expression)


def openings(expression: Tensor) -> Tensor:
    return expression[:, LOWER, 1] - expression[:, UPPER, 1]


def test_blinks_come_as_often_as_they_are_missing_and_never_within_half_a_second() -> None:
    found = blinks_of([motion(many(400))])
    assert found.per_second == pytest.approx(HABITS[PLAYMATE_DEMO].missing, rel=0.25)
    assert found.closest >= 13 and 3 <= found.length <= 5


def test_a_blink_shuts_the_eye_of_the_portrait_and_no_more() -> None:
    shut = openings(many(100)).min()
    assert float(shut) == pytest.approx(-GAP, abs=0.002)


def test_looks_up_and_down_have_the_size_and_the_pace_of_the_training_motion() -> None:
    height = many(400)[:, LOWER, 1]
    height = height[(many(400)[:, UPPER, 1] < 0.006).all(1)][:, 0] / HABITS[PLAYMATE_DEMO].look[1]  # without blinks
    assert float(height.std()) == pytest.approx(1.0, abs=0.15)
    assert float(height.diff().abs().median()) == pytest.approx(0.16 * 0.674, abs=0.03)


def test_nothing_is_added_where_it_is_off_or_nobody_knows_the_habits() -> None:
    expression = with_blinks(44, 10)
    assert eyes(0.0).added(expression) is expression
    assert eyes(space="liveportrait").added(expression) is expression
    moved = eyes().added(expression)
    elsewhere = [k for k in range(21) if k not in (*UPPER, *LOWER)]
    assert torch.equal(moved[:, elsewhere], expression[:, elsewhere]) and not torch.equal(moved, expression)


def test_own_blinks_stay_and_one_that_follows_at_once_does_not_shut_the_eye() -> None:
    own = with_blinks(44, 5)
    for seed in range(20):
        moved = openings(eyes(seed=seed).added(own))
        assert torch.allclose(moved[5:12], openings(own)[5:12], atol=0.004), "a look up or down is all that is added"
    twice = openings(eyes().added(with_blinks(44, 5, 14)))
    assert float(twice[5:12].min()) < -0.9 * GAP and float(twice[13:18].min()) > -0.4 * GAP


@pytest.mark.parametrize("seed", range(4))
def test_the_end_of_a_window_may_come_later(seed: int) -> None:
    whole, pieces, other = eyes(seed=seed), eyes(seed=seed), eyes(seed=seed + 100)
    for _ in range(6):
        assert torch.equal(whole.added(still(44)), pieces.added(still(44)))
    expression = with_blinks(50, 20, 43)
    at_once = whole.added(expression)
    later = torch.cat([pieces.added(expression[:44]), pieces.added(expression[44:], 44)])
    assert torch.equal(at_once, later) and not torch.equal(at_once, other.added(expression))


def test_a_generator_adds_it_after_sampling_and_an_option_turns_it_off() -> None:
    without, moved = talk(3 * WINDOW, eye_movement=0.0), talk(3 * WINDOW)
    assert torch.equal(without.pose.rotation, moved.pose.rotation)
    change = (moved.expression - without.expression).abs().amax((0, 2))
    assert bool((change[[*UPPER, *LOWER]] > 0).all()) and float(change.sum() - change[[*UPPER, *LOWER]].sum()) == 0.0
