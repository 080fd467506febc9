"""Who shows an emotion: the generator, the layer, or both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from playmate_core.errors import UserError
from playmate_core.keypoint_space import PLAYMATE_DEMO
from playmate_core.motion.emotion_by import BOTH_STRENGTH, DEFAULT, EmotionBy, sample_with_emotion, split_emotion
from playmate_core.motion.expression_layer import EmotionTable, LayerOptions, add_emotion
from playmate_core.values import EMOTIONS, EmotionCurve, Motion, Pose

FRAMES = 12
HAPPY = EmotionCurve.constant("happy", 1.0, FRAMES)
#: What a generator gives with no emotion and with one, told apart by a number.
QUIET, FELT = 0.0, 0.5


def motion_of(curve: EmotionCurve | None) -> Motion:
    pose = Pose(torch.zeros(FRAMES, 3), torch.zeros(FRAMES, 3), torch.ones(FRAMES, 1))
    expression = torch.full((FRAMES, 21, 3), QUIET if curve is None else FELT)
    return Motion(pose, expression, PLAYMATE_DEMO)


def sampled(curve: EmotionCurve | None) -> Iterator[Motion]:
    """The same in two pieces."""
    yield motion_of(curve)[:5]
    yield motion_of(curve)[5:]


def expression(pieces: Iterator[Motion]) -> Tensor:
    return torch.cat([piece.expression for piece in pieces])


@pytest.mark.parametrize(
    "by, has_own, start, strength",
    [
        ("model", True, FELT, None),
        ("layer", True, QUIET, 1.0),
        ("both", True, FELT, BOTH_STRENGTH),
        ("layer", False, QUIET, 1.0),
        ("both", False, QUIET, 1.0),
    ],
)
def test_each_choice_asks_whom_it_names(by: str, has_own: bool, start: float, strength: float | None) -> None:
    got = expression(sample_with_emotion(sampled, HAPPY, by, has_own=has_own))
    plain = motion_of(None if start == QUIET else HAPPY)
    wanted = plain if strength is None else add_emotion(plain, HAPPY, options=LayerOptions(strength=strength))
    assert torch.equal(got, wanted.expression)


def test_options_and_table_reach_the_layer() -> None:
    table = EmotionTable.of({name: {"eyebrow": 10.0} if name == "happy" else {} for name in EMOTIONS})
    options = LayerOptions(strength=0.5)
    got = expression(sample_with_emotion(sampled, HAPPY, "layer", has_own=False, table=table, options=options))
    assert_close(got[:, 1, 1], torch.full((FRAMES,), QUIET - 0.5 * 10 * 0.003))


def test_without_an_emotion_nobody_shows_one() -> None:
    for by in EmotionBy:
        for has_own in (True, False):
            assert expression(sample_with_emotion(sampled, None, by, has_own=has_own)).eq(QUIET).all()


def test_the_model_is_asked_for_neutral_and_the_layer_adds_nothing_to_it() -> None:
    neutral = EmotionCurve.constant("neutral", 1.0, FRAMES)
    assert expression(sample_with_emotion(sampled, neutral, DEFAULT, has_own=True)).eq(FELT).all()


def test_a_generator_without_emotion_says_so_before_it_samples() -> None:
    def never(curve: EmotionCurve | None) -> Iterator[Motion]:
        raise AssertionError("sampled")

    with pytest.raises(UserError, match="no emotion of its own.*layer"):
        sample_with_emotion(never, HAPPY, EmotionBy.MODEL, has_own=False)
    for silent in (EmotionCurve.constant("neutral", 1.0, FRAMES), EmotionCurve.constant("happy", 0.0, FRAMES), None):
        assert split_emotion(silent, "model", False) == (None, None)


def test_choices_go_by_word() -> None:
    assert [by.value for by in EmotionBy] == ["model", "layer", "both"] and EmotionBy("both") is DEFAULT
    with pytest.raises(UserError, match="Unknown choice 'voice'.*model, layer, both"):
        split_emotion(HAPPY, "voice", True)


@pytest.mark.parametrize(("name", "by", "said"), [("happy", "both", 1), ("happy", "layer", 0), ("neutral", "both", 0)])
def test_a_generator_without_emotion_says_who_shows_it(
    name: str, by: str, said: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        split_emotion(EmotionCurve.constant(name, 1.0, 5), by, has_own=False)
    assert caplog.text.count("no emotion of its own for this face") == said
