"""Emotion scores: what a person may write, and the curve it becomes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playmate_core.diffusion.emotion_schedule import EmotionKey, EmotionSchedule, emotion_curve, read_emotion_schedule
from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS


def test_a_name_is_held() -> None:
    curve = emotion_curve(read_emotion_schedule("happy", 0.5), 10)
    assert curve is not None
    assert torch.equal(curve.weights[:, EMOTIONS.index("happy")], torch.ones(10))
    assert torch.equal(curve.intensity, torch.full((10,), 0.5))
    assert emotion_curve(read_emotion_schedule("none", 1.0), 10) is None


def test_a_timeline_changes_when_it_says() -> None:
    keys = read_emotion_schedule("0:neutral, 2.5:Happy@0.8", 1.0)
    assert keys == (EmotionKey(0.0, "neutral", 1.0), EmotionKey(2.5, "happy", 0.8))
    curve = emotion_curve(keys, 100)
    assert curve is not None
    happy = curve.weights[:, EMOTIONS.index("happy")]
    assert (happy[:52] == 0).all() and (happy[63:] == 1).all() and (happy.diff() >= 0).all()
    assert abs(float(curve.intensity[-1]) - 0.8) < 1e-6


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.integers(0, 20), st.tuples(st.sampled_from(EMOTIONS), st.floats(0, 1)), min_size=1))
def test_any_timeline_keeps_its_rows_whole(entries: dict[int, tuple[str, float]]) -> None:
    text = ",".join(f"{time}:{name}@{strength}" for time, (name, strength) in sorted(entries.items()))
    curve = emotion_curve(read_emotion_schedule(text, 1.0), 300)
    assert curve is not None
    assert torch.allclose(curve.weights.sum(1), torch.ones(300), atol=1e-5)
    assert curve.weights.min() >= 0 and curve.intensity.min() >= 0 and curve.intensity.max() <= 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("joyful", "angry, disgusted, contempt, fear, happy, sad, surprised, neutral, none"),
        ("", "choose one of"),
        ("happy@2", "from 0 to 1"),
        ("happy@nan", "from 0 to 1"),
        ("happy@much", "not a number"),
        ("0:happy,sad", "has no time"),
        ("0:happy,0:sad", "let its seconds rise"),
        ("1e9:happy", "within a day"),
        ("0:happy,99999999999999999999:sad", "within a day"),
        ("2:happy,1:sad", "from 2 s to 1 s"),
        ("0:happy,nan:sad", "is no time"),
        ("hapy", "did you mean 'happy'"),
        ("x" * 100_000, "Unknown emotion"),
        ("-1:happy", "start at 0"),
        ("0:happy,2:none", "stands alone"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as refused:
        read_emotion_schedule(text, 1.0)
    assert "\n" not in str(refused.value)


def test_joined_names_share_the_face() -> None:
    curve = emotion_curve(read_emotion_schedule("happy+surprised@0.6", 1.0), 2)
    assert curve is not None
    assert curve.weights[0, EMOTIONS.index("happy")] == curve.weights[0, EMOTIONS.index("surprised")] == 0.5
    assert curve.intensity.tolist() == pytest.approx([0.6, 0.6])


@pytest.mark.parametrize("text", ["happy+none", "happy+", "happy+blue"])
def test_joined_names_must_be_emotions(text: str) -> None:
    with pytest.raises(UserError, match="Unknown emotion"):
        read_emotion_schedule(text, 1.0)


def test_a_score_may_stand_on_lines_with_remarks() -> None:
    score = EmotionSchedule.written("# calm\n0: neutral\n\n2.5: happy@0.8,\n", 1.0)
    assert score.layers == ((1.0, read_emotion_schedule("0:neutral,2.5:happy@0.8", 1.0)),)
    with pytest.raises(UserError, match="empty"):
        EmotionSchedule.written("# nothing\n", 1.0)


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1), first=st.floats(0, 1), second=st.floats(0, 1))
def test_a_blend_adds_what_moves_the_face(share: float, first: float, second: float) -> None:
    happy, sad = EmotionSchedule.constant("happy", first), EmotionSchedule.constant("sad", second)
    curve = happy.blended(sad, share).curve(3)
    assert curve is not None
    amount = curve.weights * curve.intensity[:, None]
    assert amount[1, EMOTIONS.index("happy")].item() == pytest.approx((1 - share) * first, abs=1e-6)
    assert amount[1, EMOTIONS.index("sad")].item() == pytest.approx(share * second, abs=1e-6)
    assert curve.weights.sum(-1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)


def test_a_blend_at_its_ends_is_one_of_the_two() -> None:
    happy, sad = EmotionSchedule.constant("happy", 0.7), EmotionSchedule.constant("sad", 1.0)
    assert happy.blended(sad, 0.0) == happy
    assert happy.blended(sad, 1.0) == sad
    with pytest.raises(UserError, match="blend"):
        happy.blended(sad, 1.5)


def test_the_voice_alone_dilutes_a_blend() -> None:
    curve = EmotionSchedule.constant("happy", 1.0).blended(EmotionSchedule.constant("none", 1.0), 0.25).curve(2)
    assert curve is not None
    assert curve.intensity[0].item() == pytest.approx(0.75)
    assert EmotionSchedule.constant("none", 1.0).curve(2) is None
