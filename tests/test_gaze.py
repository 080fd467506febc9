"""Gaze, head moves, and lips that close: zero edits keep every bit, and each does what its name says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from edited_motions import SPACES, blinking, closed, moving, same
from torch.testing import assert_close

from playmate_core.errors import UserError
from playmate_core.motion.directions import SLIDERS, X, Y, directions, slider_values
from playmate_core.motion.gaze import EYE_DEGREES, Gaze, head_direction, with_gaze
from playmate_core.motion.head_moves import HEAD_MOVES, STRESSES, HeadMove, head_move, on_top_of, stresses
from playmate_core.motion.lips_and_lids import blinks, closed_lips, lips_open, runs, silence
from playmate_core.motion.pose import mirror_pose, neutral_pose
from playmate_core.times import read_ranges
from playmate_core.values import LIDS, LOWER_LIP, UPPER_LIP, Motion


def turned(pitch: float, yaw: float, space: str, frames: int = 50) -> Motion:
    """A face without expression, turned."""
    pose = replace(neutral_pose(frames), rotation=torch.tensor([[pitch, yaw, 0.0]]).repeat(frames, 1))
    return Motion(pose, torch.zeros(frames, 21, 3), space)


def pupils(motion: Motion, frame: int = -1) -> float:
    """How many steps of pupil_x the left eye looks aside."""
    way = directions(motion.keypoint_space).above[list(SLIDERS).index("pupil_x")]
    return float(motion.expression[frame, 15, X] / way[15, X])


# Gaze


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("gaze", [Gaze(), Gaze("camera", strength=0.0), Gaze("camera", ranges=read_ranges("50-"))])
def test_a_gaze_that_does_nothing_returns_its_input_bit_for_bit(space: str, gaze: Gaze) -> None:
    motion = moving(1, space)
    assert same(with_gaze(motion, gaze), motion)


@pytest.mark.parametrize("space", SPACES)
def test_eyes_stay_on_the_camera_however_the_head_turns(space: str) -> None:
    right = turned(0.0, 14.0, space)
    assert_close(head_direction(right)[0].abs(), torch.tensor([14.0, 0.0]).double(), atol=1e-9, rtol=0)
    side = float(head_direction(right)[0, 0])
    assert abs(pupils(with_gaze(right, Gaze("camera")))) == pytest.approx(15 * 14 / EYE_DEGREES, rel=0.45)
    assert pupils(with_gaze(right, Gaze("camera"))) * side < 0, "the eyes turn against the head"
    straight = with_gaze(turned(0.0, 0.0, space), Gaze("camera"))
    assert float(straight.expression.abs().max()) == 0.0
    up = with_gaze(turned(10.0, 0.0, space), Gaze("camera"))
    heads_up = float(head_direction(turned(10.0, 0.0, space))[0, 1])
    assert float(up.expression[-1, 11, Y]) * heads_up > 0, "down is positive, so that the eyes go against the head"


@pytest.mark.parametrize("space", SPACES)
def test_the_camera_takes_the_wandering_out_and_leaves_blinks(space: str) -> None:
    motion = blinking(space, (30, 70))
    motion = replace(motion, pose=neutral_pose(len(motion)))
    wander = 6.0 * torch.sin(torch.arange(len(motion)) / 5.0)
    way = directions(space).above[list(SLIDERS).index("pupil_x")].float()
    eyes = [point for lids in LIDS for point in lids]
    expression = motion.expression.clone()
    expression[:, eyes] += wander[:, None, None] * way[eyes]
    steady = with_gaze(replace(motion, expression=expression), Gaze("camera", fade=0.0))
    inside = slice(5, None)
    assert float(steady.expression[inside, 15, X].std()) < 1e-6
    assert_close(closed(steady), closed(motion), atol=1e-6, rtol=0)


@pytest.mark.parametrize("space", SPACES)
def test_the_eyes_reach_a_target_before_the_head_and_the_head_takes_its_share(space: str) -> None:
    gaze = Gaze("target", x=0.5, head=0.6, lead=0.2, fade=0.0, ranges=read_ranges("0.4-"))
    seen = with_gaze(turned(0.0, 0.0, space, 100), gaze)
    faces = head_direction(seen)[:, 0]
    assert float(faces[:15].abs().max()) < 1e-6, "the head waits until 0.4 + 0.2 s"
    assert float(faces[-1]) == pytest.approx(0.6 * 15.0, abs=1e-4)
    assert pupils(seen, 14) > pupils(seen) > 0, "the eyes go all the way first, then back as the head comes"
    assert pupils(seen, 9) == 0.0
    down = with_gaze(turned(0.0, 0.0, space), Gaze("target", y=0.5))
    assert float(head_direction(down)[-1, 1]) < 0 and float(down.expression[-1, 11, Y]) > 0


def test_gazes_that_make_no_sense_are_refused() -> None:
    for wrong in ({"mode": "away"}, {"x": 2.0}, {"lead": -1.0}, {"head": float("nan")}):
        with pytest.raises(UserError):
            Gaze(**wrong)  # type: ignore[arg-type]


# Head moves


@pytest.mark.parametrize("name", list(HEAD_MOVES))
def test_a_move_begins_at_rest_and_one_of_no_amount_is_none(name: str) -> None:
    voice = (torch.arange(100) % 25 == 12).float()
    moved = head_move(HeadMove(name, seed=3), 100, energy=voice)
    assert not moved.rotation[0].any() and float(moved.rotation.abs().max()) > 0.3
    assert torch.equal(moved.rotation, head_move(HeadMove(name, seed=3), 100, energy=voice).rotation)
    assert not head_move(HeadMove(name, amount=0.0), 100, energy=voice).rotation.any()
    assert float(moved.rotation.diff(dim=0).abs().max()) < 3.5, "nothing jumps"


def test_moves_turn_the_axis_that_they_are_named_for() -> None:
    ranges = {name: head_move(HeadMove(name), 250).rotation.abs().amax(0) for name in ("nod", "shake", "breathe")}
    assert ranges["nod"][0] > 5 and not ranges["nod"][1:].any()
    assert ranges["shake"][1] > 9 and not ranges["shake"][0].any()
    assert 0.5 < ranges["breathe"][0] < 1.0


def test_nods_fall_on_the_stresses() -> None:
    voice = torch.full((200,), 0.1)
    for frame in (40, 90, 160):
        voice[frame - 2 : frame + 3] = torch.tensor([0.4, 0.7, 0.9, 0.7, 0.4])
    assert stresses(voice, 25.0) == [40, 90, 160]
    pitch = head_move(HeadMove(STRESSES), 200, energy=voice).rotation[:, 0]
    assert pitch[[40, 90, 160]].min() > 3 and float(pitch[60:80].abs().max()) == 0.0
    assert stresses(torch.full((100,), 0.5), 25.0) == [] == stresses(torch.zeros(0), 25.0)
    with pytest.raises(UserError, match="connect the speech"):
        head_move(HeadMove(STRESSES), 50)


def test_moves_are_laid_on_a_pose() -> None:
    still, nod = replace(neutral_pose(1), scale=torch.tensor([[1.3]])), head_move(HeadMove("nod"), 40)
    assert float(on_top_of(nod, still).scale.min()) == pytest.approx(1.3)
    with pytest.raises(UserError, match="one length"):
        on_top_of(nod, neutral_pose(30))
    with pytest.raises(UserError, match="Unknown head move"):
        HeadMove("dance")


def test_a_mirror_twice_is_no_mirror() -> None:
    motion = moving(2)
    once = mirror_pose(motion.pose)
    assert torch.equal(once.rotation[:, 1:], -motion.pose.rotation[:, 1:])
    assert torch.equal(once.rotation[:, 0], motion.pose.rotation[:, 0])
    assert same(replace(motion, pose=mirror_pose(once)), motion)


# Lips


def speaking(space: str) -> Motion:
    """A head whose lips open and close six times along aaa, over a face that is otherwise still."""
    motion = moving(4, space)
    aaa = directions(space).offset(slider_values({"aaa": 40.0})).float()
    share = torch.sin(torch.arange(len(motion)) / 5.0).clamp(min=0.0)
    return replace(motion, expression=share[:, None, None] * aaa)


@pytest.mark.parametrize("space", SPACES)
def test_lips_close_where_they_are_told_and_nowhere_else(space: str) -> None:
    motion = speaking(space)
    assert same(closed_lips(moving(5, space), torch.zeros(100)), moving(5, space))
    share = torch.zeros(100)
    share[60:] = 1.0
    shut = closed_lips(motion, share)
    assert same(shut[:60], motion[:60])
    assert float(lips_open(motion)[60:].max()) > 0.01
    apart = shut.expression[60:, LOWER_LIP, Y] - shut.expression[60:, UPPER_LIP, Y]
    assert float(apart.abs().max()) < 1e-6


def test_silence_is_a_pause_not_a_plosive() -> None:
    voice = torch.full((100,), 0.5)
    voice[10:13] = 0.0  # 0.12 s
    voice[40:60] = 0.01
    share = silence(voice, 110, 25.0, 0.05)
    assert not share[:40].any() and share[46:54].eq(1).all() and not share[60:100].any()
    assert share[-1] == 1.0, "the voice has ended"
    assert not silence(voice, 100, 25.0, 0.0).any()
    assert runs(torch.tensor([True, False, True, True])) == [(0, 0), (2, 3)]


def test_blinks_are_counted() -> None:
    assert [first for first, _ in blinks(blinking("liveportrait", (20, 60)))] == [20, 60]
    assert blinks(blinking("liveportrait", ())) == []
