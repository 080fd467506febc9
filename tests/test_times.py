"""Times, ranges and curves as a person writes them."""

from __future__ import annotations

import math

import pytest
import torch

from playmate_core.diffusion.emotion_schedule import read_emotion_schedule
from playmate_core.diffusion.options import GuidanceKeys
from playmate_core.errors import UserError
from playmate_core.motion.plot_marks import read_marks
from playmate_core.motion.pose_sources import read_keys as read_pose_keys
from playmate_core.times import WHOLE, TimeCurve, TimeRange, envelope, read_ranges, read_seconds, read_time


@pytest.mark.parametrize(
    "text, seconds",
    [("4.5", 4.5), (" 0:04.5 ", 4.5), ("1:02:03", 3723.0), ("112f", 4.48), (".5", 0.5), ("0", 0.0), ("2:5", 125.0)],
)
def test_a_time_is_seconds_minutes_or_frames(text: str, seconds: float) -> None:
    assert read_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1", "1:75", "nan", "inf", "f", "1.5f", "1e3", "x" * 300, "100000", "1:2:3:4"])
def test_any_other_time_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UserError, match="please write seconds"):
        read_time(text)


@pytest.mark.parametrize(
    "value, seconds",
    [(4, 4.0), (-1.5, -1.5), (1e-3, 1e-3), ("-0:02", -2.0), (" - 10f ", -0.2), ("0:05", 5.0), (torch.tensor(2.0), 2.0)],
)
def test_a_number_is_seconds_and_text_is_read(value: object, seconds: float) -> None:
    assert read_seconds(value, -3.0, 5.0, fps=50.0) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [5.1, -4, "-0:04", "500f", "", "-", "--1", "x", "nan", math.nan, None, [1], b"1"])
def test_a_time_outside_its_span_is_refused_with_the_span(value: object) -> None:
    with pytest.raises(UserError, match="must be a time from -3 to 5 s, got .*; please write seconds"):
        read_seconds(value, -3.0, 5.0)


def test_frames_are_counted_at_the_rate_of_the_motion() -> None:
    assert read_time("60f", 30.0) == 2.0
    assert read_ranges("30f-60f, 3-", 30.0) == (TimeRange(1.0, 2.0), TimeRange(3.0))


def test_all_is_the_whole_motion() -> None:
    assert read_ranges(" All ") == (WHOLE,)
    assert WHOLE.inside(7, 25.0).all()


@pytest.mark.parametrize("text", ["", "3", "2-1", "1-1", "0-2,1-3", "0-,3-4", "all,1-2"])
def test_ranges_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="please"):
        read_ranges(text)


def test_two_ranges_act_each_in_its_own_time() -> None:
    share = envelope(read_ranges("1-2,3-4"), 125, 25.0, 0.2, 0.2)
    time = torch.arange(125) / 25.0
    outside = (time < 1) | ((time >= 2) & (time < 3)) | (time >= 4)
    assert not share[outside].any() and share[37] == share[87] == 1.0


def test_a_curve_is_straight_between_its_times_and_held_beyond() -> None:
    curve = TimeCurve.written("0:01:0, 50f:1", 0.0, 1.0)
    assert curve.values(76, 25.0)[[0, 25, 37, 50, 75]].tolist() == pytest.approx([0, 0, 0.48, 1, 1])
    assert TimeCurve.written("0.3", 0.0, 1.0).values(2, 25.0).tolist() == [0.3, 0.3]


@pytest.mark.parametrize("text", ["", "x", "0:0,1", "1:0,0:1", "0:2", "nan", "0:nan", "0:0,0:1"])
def test_a_curve_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        TimeCurve.written(text, 0.0, 1.0)


@pytest.mark.parametrize("written", ["62.5", "1:02.5", "0:01:02.5", "1563f"])
def test_every_timeline_takes_seconds_minutes_and_frames(written: str) -> None:
    seconds = pytest.approx(62.5, abs=0.03)
    guidance = GuidanceKeys.written(f"0:1,{written}:2")
    assert isinstance(guidance, GuidanceKeys) and guidance.keys[1] == (seconds, 2.0)
    assert read_emotion_schedule(f"0:sad,{written}:happy@0.5", 1.0)[1].seconds == seconds
    assert read_pose_keys(f"0: 0 0 0\n{written}: 1 2 3")[1].seconds == seconds
    assert TimeCurve.written(f"0:0, {written}:1", 0.0, 1.0).keys[1] == (seconds, 1.0)
    assert read_ranges(f"0 - {written}")[0].end == seconds
    assert read_marks(written)[0] == seconds
