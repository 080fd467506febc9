"""Generators of other makers answer like our own: a frame for each of audio, by seed, by name, in pieces, refusing."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from generator_requests import ditto, flat, heard_by, joyvasa, request_for  # noqa: F401
from motion_models import controller, denoiser, rest

from playmate_core.diffusion.ditto.conditions import emotion_row, emotion_rows
from playmate_core.diffusion.ditto.layout import DITTO_EMOTIONS
from playmate_core.diffusion.generate import PlaymateGenerator
from playmate_core.diffusion.request import MotionGenerator
from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS, EmotionCurve


@pytest.fixture(params=["joyvasa", "ditto", "playmate"])
def any_generator(request: pytest.FixtureRequest) -> MotionGenerator:
    if request.param == "playmate":
        return PlaymateGenerator(denoiser(), controller())
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("frames", [1, 79, 80, 81, 201])
def test_one_finite_frame_for_each_frame_of_audio(any_generator: Any, frames: int) -> None:
    made = any_generator.generate(request_for(any_generator, frames))
    assert len(made) == frames and made.fps == 25.0 and bool(flat(made).isfinite().all())


def test_a_seed_is_one_motion_and_another_is_another(any_generator: Any) -> None:
    first = flat(any_generator.generate(request_for(any_generator, seed=7)))
    torch.manual_seed(99)
    assert torch.equal(first, flat(any_generator.generate(request_for(any_generator, seed=7))))
    assert not torch.allclose(first, flat(any_generator.generate(request_for(any_generator, seed=8))), atol=1e-4)


def test_pieces_are_the_whole(any_generator: Any) -> None:
    pieces = list(any_generator.iterate(request_for(any_generator, 205)))
    assert len(pieces) > 1
    whole = flat(any_generator.generate(request_for(any_generator, 205)))
    assert torch.equal(torch.cat([flat(piece) for piece in pieces]), whole)


@pytest.mark.parametrize("sampler, spacing, eta", [
    ("dpm++2m", "logsnr", 0.0), ("ddim", "uniform", 0.0), ("ddim", "truncated", 1.0), ("ddpm", "uniform", 0.0),
])  # fmt: skip
def test_every_sampler_works_on_every_generator(any_generator: Any, sampler: str, spacing: str, eta: float) -> None:
    options = {"sampler": sampler, "spacing": spacing, "eta": eta, "steps": 5}
    assert bool(flat(any_generator.generate(request_for(any_generator, 20, **options))).isfinite().all())


def test_progress_counts_every_evaluation_and_may_cancel(any_generator: Any) -> None:
    told: list[tuple[int, int]] = []
    any_generator.generate(request_for(any_generator, 130), lambda step, total: told.append((step, total)))
    total = told[-1][1]
    assert told == [(k + 1, total) for k in range(total)] and total % 3 == 0 and total > 3

    class Stop(Exception):
        pass

    def stop(step: int, total: int) -> None:
        told.append((step, total))
        if step == 4:
            raise Stop

    told.clear()
    with pytest.raises(Stop):
        any_generator.generate(request_for(any_generator, 130), stop)
    assert len(told) == 4


def test_what_was_given_is_left_as_it_was(any_generator: Any) -> None:
    asked = request_for(any_generator, 30, previous=any_generator.generate(request_for(any_generator, 30)))
    assert asked.previous is not None
    given = [asked.portrait_keypoints, asked.rest.expression, asked.audio.features, asked.previous.expression]
    copies = [value.clone() for value in given]
    weights = [{k: v.clone() for k, v in module.state_dict().items()} for module in any_generator.modules]
    any_generator.generate(asked)
    assert all(torch.equal(a, b) for a, b in zip(given, copies, strict=True))
    for module, before in zip(any_generator.modules, weights, strict=True):
        assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_the_motion_says_whose_keypoints_it_moves_and_other_keypoints_are_refused(joyvasa: Any, ditto: Any) -> None:
    for generator in (joyvasa, ditto):
        assert generator.generate(request_for(generator, 5)).keypoint_space == "liveportrait"
        generator.iterate(request_for(generator, 5, rest=replace(rest(), keypoint_space="liveportrait")))
        with pytest.raises(UserError, match="read it with LivePortrait's face weights"):
            generator.iterate(request_for(generator, 5, rest=replace(rest(), keypoint_space="playmate-demo")))


def test_a_still_head_and_a_head_that_faces_the_camera(any_generator: Any) -> None:
    still = any_generator.generate(request_for(any_generator, pose_amplitude=0.0)).pose
    own = rest().pose
    torch.testing.assert_close(still.rotation, own.rotation.expand(130, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(still.scale, own.scale.expand(130, 1), atol=1e-4, rtol=0)
    frontal = any_generator.generate(request_for(any_generator, pose_amplitude=0.0, pose_mean="frontal")).pose
    torch.testing.assert_close(frontal.rotation, torch.zeros(130, 3), atol=1e-4, rtol=0)


def test_the_head_stays_within_comfort(any_generator: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        wild = any_generator.generate(request_for(any_generator, 205, pose_amplitude=100.0)).pose
    assert bool((wild.rotation.abs() <= torch.tensor([25.0, 35.0, 25.0]) + 1e-4).all())
    assert len([record for record in caplog.records if "held" in record.message]) == 1


@pytest.mark.parametrize("change, message", [
    (dict(audio="empty"), "no frames"), (dict(audio="nan"), "NaN"), (dict(audio="other"), "heard by|trained on|listen"),
    (dict(steps=2000), "steps"), (dict(cfg_audio=(1.0, 2.0)), "curve"), (dict(rest="nan"), "NaN"),
])  # fmt: skip
def test_refusals_come_before_any_slow_work(any_generator: Any, change: dict[str, Any], message: str) -> None:
    audio = heard_by(any_generator, 30)
    if change.get("audio") == "empty":
        change = {"audio": replace(audio, features=audio.features[:0], energy=audio.energy[:0])}
    elif change.get("audio") == "nan":
        change = {"audio": replace(audio, features=audio.features * torch.nan)}
    elif change.get("audio") == "other":
        change = {"audio": replace(audio, encoder="somebody")}
    elif change.get("rest") == "nan":
        change = {"rest": replace(rest(), expression=rest().expression * torch.nan)}
    with pytest.raises(UserError, match=message):
        any_generator.iterate(request_for(any_generator, 30, **change))


def test_emotion_names_cross_the_border_by_name() -> None:
    assert sorted(DITTO_EMOTIONS) == sorted(EMOTIONS) and DITTO_EMOTIONS != EMOTIONS
    for name in EMOTIONS:
        rows = emotion_rows(EmotionCurve.constant(name, 1.0, 3))
        assert torch.allclose(rows, emotion_row([DITTO_EMOTIONS.index(name)]).expand(3, -1), atol=1e-6)
    off, half = (
        emotion_rows(EmotionCurve.constant("happy", 0.0, 1)),
        emotion_rows(EmotionCurve.constant("happy", 0.5, 1)),
    )
    neutral, full = emotion_row([DITTO_EMOTIONS.index("neutral")]), emotion_rows(EmotionCurve.constant("happy", 1.0, 1))
    torch.testing.assert_close(off[0], neutral)
    torch.testing.assert_close(half, (off + full) / 2)


def test_dittos_emotions_show_and_none_is_the_files_own(ditto: Any) -> None:
    def made(name: str | None, intensity: float = 1.0) -> torch.Tensor:
        curve = None if name is None else EmotionCurve.constant(name, intensity, 130)
        return flat(ditto.generate(request_for(ditto, emotion=curve)))

    assert not torch.allclose(made("happy"), made("sad"), atol=1e-5)
    assert torch.equal(made("happy", 0.0), made("neutral"))
    nothing = replace(EmotionCurve.constant("happy", 1.0, 130), weights=torch.zeros(130, 8))
    assert torch.equal(flat(ditto.generate(request_for(ditto, emotion=nothing))), made(None))
    assert not torch.allclose(made(None), made("neutral"), atol=1e-5)


def test_a_model_without_emotion_says_so_and_lets_neutral_pass(joyvasa: Any) -> None:
    with pytest.raises(UserError, match="no emotion of its own, and 'happy' was asked for"):
        joyvasa.iterate(request_for(joyvasa, emotion=EmotionCurve.constant("happy", 0.3, 130)))
    plain = flat(joyvasa.generate(request_for(joyvasa)))
    nothing = replace(EmotionCurve.constant("happy", 1.0, 130), weights=torch.zeros(130, 8))
    for curve in (EmotionCurve.constant("neutral", 1.0, 130), EmotionCurve.constant("sad", 0.0, 130), nothing):
        assert torch.equal(flat(joyvasa.generate(request_for(joyvasa, emotion=curve))), plain)


def test_a_network_in_training_mode_is_refused(any_generator: Any) -> None:
    for module in any_generator.modules:
        module.train(True)
        try:
            with pytest.raises(ValueError, match="training mode"):
                any_generator.iterate(request_for(any_generator))
        finally:
            module.train(False)


def test_no_code_asks_which_generator_it_has() -> None:
    """Only the table of layouts knows names; what differs is asked of the generator."""
    root, asked = Path(__file__).parent.parent, []
    for path in (path for folder in ("playmate_core", "nodes") for path in (root / folder).rglob("*.py")):
        for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(found, ast.Compare) and path.name != "generators.py":
                sides = [ast.unparse(side) for side in (found.left, *found.comparators)]
                named = {"'joyvasa'", "'playmate'"} & set(sides) and not any(s.endswith(".folder") for s in sides)
                if named or any(re.fullmatch(r".*[gG]enerator\.name", side) for side in sides):
                    asked.append(f"{path.name}:{found.lineno}")
    assert asked == []
