"""What a person may change of how a generator is run: each control does what it says, and none is taken in silence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from generator_requests import ditto, flat, joyvasa, request_for  # noqa: F401
from motion_models import controller, denoiser, rest

from playmate_core.diffusion.generate import PlaymateGenerator
from playmate_core.diffusion.model_controls import ModelControls
from playmate_core.errors import UserError
from playmate_core.values import EYE_KEYPOINTS, LIP_KEYPOINTS, Motion

EYES, LIPS = list(EYE_KEYPOINTS), list(LIP_KEYPOINTS)
ALL = {
    "lead_frames": 0, "head_smoothing": 0.5, "subject": "animal", "eyes": "still", "blink_seconds": 2.0, "lips": 0.5,
    "tilt": 4.0, "fade_in": 1.0, "fade_out": 1.0, "conditioned_on": "portrait",
    "drives": "face",
}  # fmt: skip


def made(generator: Any, frames: int = 130, **controls: Any) -> Motion:
    return generator.controlled(ModelControls(**controls)).generate(request_for(generator, frames))


def test_every_control_is_had_by_some_generator_and_refused_by_name_by_the_others(joyvasa: Any, ditto: Any) -> None:
    generators = (PlaymateGenerator(denoiser(), controller()), joyvasa, ditto)
    assert set(ALL) == set(ModelControls.__dataclass_fields__)
    for name, value in ALL.items():
        having = [one for one in generators if name in one.control_names]
        assert having
        for generator in generators:
            if generator in having:
                assert generator.controlled(ModelControls(**{name: value})) != generator
            else:
                with pytest.raises(UserError, match=rf"{generator.name} has no control {name}"):
                    generator.controlled(ModelControls(**{name: value}))
    for generator in generators:
        assert generator.controlled(ModelControls()) is generator


@pytest.mark.parametrize("wrong", [
    {"lead_frames": 3}, {"head_smoothing": 0.0}, {"subject": "cat"}, {"eyes": "shut"}, {"blink_seconds": 0.1},
    {"tilt": 90.0}, {"fade_in": -1.0}, {"conditioned_on": "me"}, {"drives": "lips"}, {"lips": float("nan")},
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        ModelControls(**wrong)


def test_joyvasa_listens_from_where_it_is_told_and_calms_the_head_as_much_as_it_is_told(joyvasa: Any) -> None:
    import numpy as np

    sound = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    told = [joyvasa.controlled(ModelControls(lead_frames=n)).encoder().listen(sound, 16000) for n in (0, 2)]
    assert all(len(audio) == 25 for audio in told)
    assert not torch.allclose(told[0].features, told[1].features)
    turns = [made(joyvasa, head_smoothing=share).pose.rotation.diff(dim=0).abs().mean() for share in (0.01, 0.1, 1.0)]
    assert turns[0] < turns[1] < turns[2]
    animal = made(joyvasa, subject="animal")
    assert torch.equal(animal.pose.scale, rest().pose.scale.expand(130, 1))
    assert not torch.equal(made(joyvasa).pose.scale, animal.pose.scale)


def test_ditto_s_eyes_are_still_or_only_look_or_blink_as_often_as_they_are_told(ditto: Any) -> None:
    own = rest().expression[:, EYES]
    still, looks = made(ditto, eyes="still").expression[:, EYES], made(ditto, eyes="gaze").expression[:, EYES]
    assert torch.equal(still, own.expand(130, -1, -1))
    assert not torch.equal(looks, still)
    table = ditto.data.blink_table[:, EYES]
    often, never = (made(ditto, 200, **how).expression[:, EYES] for how in ({"blink_seconds": 2.0}, {"eyes": "gaze"}))
    blinking = often - never
    begins = [i for i in range(185) if torch.allclose(blinking[i : i + 15], table - table[0], atol=1e-6)]
    assert len(begins) >= 2 and all(b - a == 50 for a, b in zip(begins, begins[1:], strict=False))


def test_ditto_s_lips_and_head_are_driven_as_much_as_they_are_told(ditto: Any) -> None:
    own = rest().expression[:, LIPS]
    usual, double = made(ditto), made(ditto, lips=2.0)
    assert torch.equal(made(ditto, lips=0.0).expression[:, LIPS], own.expand(130, -1, -1))
    torch.testing.assert_close(double.expression[:, LIPS] - own, 2 * (usual.expression[:, LIPS] - own))
    assert torch.equal(usual.pose.rotation, double.pose.rotation)
    tilted = made(ditto, tilt=3.0).pose.rotation - usual.pose.rotation
    torch.testing.assert_close(tilted, torch.tensor([3.0, 0.0, 0.0]).expand(130, 3), atol=1e-4, rtol=0)


def test_ditto_drives_the_face_alone_where_it_is_told_to(ditto: Any) -> None:
    usual, face, tilted = made(ditto), made(ditto, drives="face", lips=0.5), made(ditto, drives="face", tilt=3.0)
    still = rest().pose.rotation.expand(130, 3) + torch.tensor([ditto.settings.offsets[0] or 0.0, 0.0, 0.0])
    torch.testing.assert_close(face.pose.rotation, still, atol=1e-4, rtol=0)
    torch.testing.assert_close(face.pose.translation, rest().pose.translation.expand(130, 3))
    torch.testing.assert_close(tilted.pose.rotation[:, 0], still[:, 0] + 3.0, atol=1e-4, rtol=0)
    own = rest().expression[:, LIPS]
    torch.testing.assert_close(face.expression[:, LIPS] - own, 0.5 * (usual.expression[:, LIPS] - own))
    assert torch.equal(made(ditto, drives="all").pose.rotation, usual.pose.rotation)


def test_ditto_fades_from_and_to_the_portrait(ditto: Any) -> None:
    faded, usual = flat(made(ditto, fade_in=1.0, fade_out=1.0)), flat(made(ditto))
    still = flat(rest())[0]
    for end in (0, -1):
        torch.testing.assert_close(faded[end], still, atol=1e-3, rtol=0)
    torch.testing.assert_close(faded[30:100], usual[30:100])
    assert not torch.allclose(faded[5], usual[5], atol=1e-5)


def test_ditto_is_conditioned_on_whom_it_is_told(ditto: Any) -> None:
    assert not torch.allclose(flat(made(ditto, conditioned_on="portrait")), flat(made(ditto)), atol=1e-5)
    assert torch.equal(flat(made(ditto, conditioned_on="reference")), flat(made(ditto)))


def test_an_emotion_may_be_a_mixture_that_changes_from_frame_to_frame(ditto: Any) -> None:
    from playmate_core.diffusion.ditto.conditions import emotion_rows
    from playmate_core.diffusion.emotion_schedule import EmotionSchedule

    curve = EmotionSchedule.written("0:happy+surprised,2:sad@0.5", 1.0).curve(130, 25.0)
    rows = emotion_rows(curve)
    assert rows.shape == (130, 8) and len(rows.unique(dim=0)) > 2
    torch.testing.assert_close(rows.sum(-1), torch.ones(130))
    mixed = ditto.generate(replace(request_for(ditto), emotion=curve))
    plain = ditto.generate(replace(request_for(ditto), emotion=EmotionSchedule.written("sad", 1.0).curve(130, 25.0)))
    assert not torch.allclose(mixed.expression, plain.expression, atol=1e-4)
