"""Guidance is Eq. 8 for any scales, on two Conformer rows, and the pose hears of no emotion."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from motion_models import SMALL, WINDOW, context, controller, denoiser, noisy
from torch import Tensor

from playmate_core.diffusion.denoiser import WindowContext
from playmate_core.diffusion.guidance import EmotionCondition, Scales, guided
from playmate_core.values import EMOTIONS

BASE, CONTROLLER = denoiser(), controller()


def emotion(rows: int, name: str = "happy", intensity: float = 1.0) -> EmotionCondition:
    weights = torch.eye(8)[EMOTIONS.index(name)].expand(rows, WINDOW, 8)
    return EmotionCondition(weights, torch.full((rows, WINDOW), intensity))


@pytest.mark.parametrize(
    ("w_a", "w_p", "w_e"), [(1.5, 1.5, 1.5), (1.0, 1.0, 0.0), (0.0, 0.0, 0.0), (2.5, 1.0, 3.5), (-1.0, 2.0, 0.5)]
)
@torch.no_grad()
def test_guidance_is_equation_8_by_three_whole_passes(w_a: float, w_p: float, w_e: float) -> None:
    base, feels = denoiser().double(), controller().double()  # so that only the formula can differ
    x, t = noisy()[0].double(), noisy()[1]
    given = WindowContext(**{k: v.double() if v.is_floating_point() else v for k, v in vars(context()).items()})
    felt = EmotionCondition(emotion(3).weights.double(), emotion(3).intensity.double())
    got = guided(base, feels, given, felt, Scales(w_a, w_p, w_e))(x, t)

    def whole(heard: bool, moved: bool) -> Tensor:
        drop, null = torch.full((3,), not heard), torch.full((3,), not moved)
        hidden = base.hidden_frames(x, t, replace(given, drop_audio=drop))
        expression = base.expression_head(feels(hidden, t, felt.weights, felt.intensity, null))
        return torch.cat([expression, base.pose_head(hidden)], -1)

    e0, e_a, e_ae = whole(False, False), whole(True, False), whole(True, True)
    wanted = e0 + w_a * (e_a - e0) + w_e * (e_ae - e_a)
    wanted[..., 63:] = (e0 + w_p * (e_a - e0))[..., 63:]
    assert torch.allclose(got, wanted, atol=1e-6, rtol=0)
    assert not torch.allclose(e_a, e0, atol=1e-2) and not torch.allclose(e_ae, e_a, atol=1e-2)


@torch.no_grad()
def test_a_curve_guides_each_frame_by_its_own_number() -> None:
    x, t = noisy()
    low, high = (guided(BASE, CONTROLLER, context(), emotion(3), Scales(w, w, w))(x, t) for w in (1.0, 2.0))
    curve = torch.ones(WINDOW, 1)
    curve[4:] = 2.0
    mixed = guided(BASE, CONTROLLER, context(), emotion(3), Scales(curve, curve, curve))(x, t)
    assert torch.allclose(mixed[:, :4], low[:, :4], atol=1e-5) and torch.allclose(mixed[:, 4:], high[:, 4:], atol=1e-5)


@torch.no_grad()
def test_the_conformer_works_on_two_rows_and_the_controller_on_three() -> None:
    seen: list[tuple[str, int]] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: seen.append((name, len(args[0]))))
        for name, module in (
            *(("conformer", block) for block in BASE.blocks),
            ("controller", CONTROLLER),
            ("pose", BASE.pose_mlp),
            ("expression", BASE.expression_mlp),
        )
    ]
    x, t = noisy(1)
    heard: list[int] = []
    hooks.append(BASE.audio_projection.register_forward_pre_hook(lambda *_: heard.append(1)))
    try:
        predict = guided(BASE, CONTROLLER, context(1), emotion(1), Scales(1.5, 1.0, 1.5))
        predict(x, t)
        predict(x, t)
    finally:
        for hook in hooks:
            hook.remove()
    rows = {name: sum(n for which, n in seen if which == name) / 2 for name in ("conformer", "controller", "pose")}
    assert rows == {"conformer": 2 * SMALL.layers, "controller": 3, "pose": 2}
    assert sum(n for which, n in seen if which == "expression") == 6
    assert len(heard) == 1, "the voice is projected once, not once a step"


@torch.no_grad()
def test_pose_is_bit_identical_for_every_emotion_and_scale() -> None:
    x, t = noisy()
    plain = guided(BASE, None, context(), None, Scales(1.5, 1.5, 1.5))(x, t)
    for name in EMOTIONS:
        for w_e in (0.0, 1.5, 3.5):
            got = guided(BASE, CONTROLLER, context(), emotion(3, name), Scales(1.5, 1.5, w_e))(x, t)
            assert torch.equal(got[..., 63:], plain[..., 63:])
            assert not torch.allclose(got[..., :63], plain[..., :63], atol=1e-4)
