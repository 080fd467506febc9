"""Emotions from tags in subtitles, and from the loudness of the voice."""

from __future__ import annotations

import pytest
import torch

from playmate_core.diffusion.emotion_cues import by_loudness, read_cues
from playmate_core.diffusion.emotion_schedule import EmotionSchedule
from playmate_core.diffusion.options import GuidanceKeys
from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS

SRT = """1
00:00:01,000 --> 00:00:02,000
[happy@0.8] Hello

2
00:00:03,500 --> 00:00:05,000
and

3
00:01:02,250 --> 00:01:03,000
[sad+fear] goodbye
"""
LRC = "[ti:A song]\n[00:01.00][happy@0.8] Hello\n[00:03.50] and\n[01:02.25][sad+fear] goodbye\n"


def told(schedule: EmotionSchedule) -> list[tuple[float, str, float]]:
    [(_, keys)] = schedule.layers
    assert isinstance(keys, tuple)
    return [(key.seconds, key.name, key.intensity) for key in keys]


@pytest.mark.parametrize("text", [SRT, "WEBVTT\n\n" + SRT.replace(",", "."), LRC])
def test_tags_hold_from_their_time_on(text: str) -> None:
    wanted = [(0.0, "neutral", 0.5), (1.0, "happy", 0.8), (62.25, "sad+fear", 0.5)]
    assert told(read_cues(text, 0.5)) == wanted


def test_lyrics_repeat_a_line_and_stand_in_any_order() -> None:
    """As players read LRC: one line for all the times at which it is sung."""
    lyrics = "[00:30.00][00:10.00][happy] chorus [00:12.00] softly [sad]\n[00:20.00] verse [ fear @ 0.5 ]\n"
    wanted = [(0.0, "neutral", 1.0), (10.0, "happy", 1.0), (12.0, "sad", 1.0), (20.0, "fear", 0.5)]
    assert told(read_cues(lyrics, 1.0)) == [*wanted, (30.0, "happy", 1.0)]
    moved = read_cues("[offset: +500]\n" + lyrics, 1.0)
    assert told(moved) == [wanted[0], *((at - 0.5, *rest) for at, *rest in wanted[1:]), (29.5, "happy", 1.0)]
    assert told(read_cues("[offset:9000]\n[00:01.00][happy] a", 1.0)) == [(0.0, "happy", 1.0)]


def test_what_is_said_in_brackets_is_no_tag() -> None:
    text = "[ti:A song]\n[00:01.00][door slams] oh [happy + surprised] [1999]"
    assert told(read_cues(text, 1.0))[1:] == [(1.0, "happy+surprised", 1.0)]


def test_a_tag_at_the_beginning_needs_no_neutral_before_it() -> None:
    assert told(read_cues("[00:00.00][angry] No!", 1.0)) == [(0.0, "angry", 1.0)]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "no emotion tag"),
        ("00:00:01,000 --> 00:00:02,000\nHello", "no emotion tag"),
        ("[happy] hello", "before any time"),
        ("[00:01.00][hapy] hello", "Unknown emotion 'hapy'.*happy"),
        ("[00:01.00][happy][sad] hello", "Two emotion tags"),
        ("[00:02.00][happy] a\n[00:02.00][sad] b", "Two emotion tags stand at 2 s"),
        ("[00:01.00][sad@0.5+angry] a", r"tag \[sad@0.5\+angry\] is not understood"),
        ("[00:01.00][happy@0,8] a", "is not understood"),
        ("[00:01.00][happy + me@home] a", "is not understood"),
        ("[00:01.00][happy@7] a", "0 to 1"),
    ],
)
def test_what_is_no_tagged_text_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_cues(text, 1.0)


def test_a_loud_voice_shows_more() -> None:
    energy = torch.zeros(200)
    energy[100:] = 0.6
    schedule = by_loudness(EmotionSchedule.constant("happy", 0.8), energy, 0.25, 1.0)
    curve = schedule.curve(200)
    assert curve is not None
    assert float(curve.intensity[50]) == pytest.approx(0.2) and float(curve.intensity[150]) == pytest.approx(0.8)
    assert curve.weights[:, EMOTIONS.index("happy")].eq(1).all()
    assert float(curve.intensity.diff().abs().max()) < 0.08, "an emotion does not follow syllables"


def test_a_shape_of_one_is_the_schedule_and_blends_with_others() -> None:
    plain = EmotionSchedule.written("0:neutral,1:happy@0.8", 1.0)
    one, shaped = plain.curve(60), plain.shaped(GuidanceKeys(((0.0, 1.0),))).curve(60)
    assert one is not None and shaped is not None and torch.equal(one.intensity, shaped.intensity)
    half = plain.shaped(GuidanceKeys(((0.0, 0.0),))).blended(EmotionSchedule.constant("sad", 1.0), 0.5).curve(60)
    assert half is not None and float(half.intensity[-1]) == pytest.approx(0.5)
    with pytest.raises(UserError, match="already follows"):
        plain.shaped(GuidanceKeys(((0.0, 1.0),))).shaped(GuidanceKeys(((0.0, 1.0),)))
    assert EmotionSchedule.constant("none", 1.0).shaped(GuidanceKeys(((0.0, 1.0),))).curve(10) is None
