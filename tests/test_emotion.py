"""The controller: nothing at first, then only what the emotion asks, frame by frame."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from motion_models import PREVIOUS, SMALL, WINDOW, context, controller, denoiser, fresh_controller, noisy
from torch import Tensor

from playmate_core.diffusion.emotion import EmotionConfig, EmotionController
from playmate_core.values import EMOTIONS
from playmate_core.weights import files as weights

NEUTRAL, HAPPY, SAD = EMOTIONS.index("neutral"), EMOTIONS.index("happy"), EMOTIONS.index("sad")
NO = torch.zeros(3, dtype=torch.bool)
HIDDEN = torch.randn(3, PREVIOUS + WINDOW, SMALL.width, generator=torch.Generator().manual_seed(2))
T = torch.tensor([5, 400, 999])


def feel(model: EmotionController, name: int, intensity: float = 1.0, null: Tensor = NO) -> Tensor:
    one_hot = torch.zeros(3, WINDOW, len(EMOTIONS))
    one_hot[..., name] = 1.0
    with torch.no_grad():
        return model(HIDDEN, T, one_hot, torch.full((3, WINDOW), intensity), null)


def test_before_training_it_changes_no_bit() -> None:
    for name in range(len(EMOTIONS)):
        assert torch.equal(feel(fresh_controller(), name), HIDDEN)


def test_sizes_are_those_of_the_design() -> None:
    with torch.device("meta"):
        base = EmotionController(EmotionConfig())
    assert 9e6 < sum(p.numel() for p in base.parameters()) < 11e6
    assert EmotionConfig.tiny().width == 128


def test_every_emotion_is_another_answer() -> None:
    model = controller()
    answers = [feel(model, name) for name in range(len(EMOTIONS))]
    for i, first in enumerate(answers):
        assert all(not torch.allclose(first, second, atol=1e-4) for second in answers[:i])


def test_null_and_zero_weights_are_one_and_the_same_whatever_was_asked() -> None:
    model = controller()
    null = feel(model, HAPPY, null=~NO)
    assert torch.equal(null, feel(model, SAD, 0.3, null=~NO))
    with torch.no_grad():
        nothing = model(HIDDEN, T, torch.zeros(3, WINDOW, 8), torch.ones(3, WINDOW), NO)
    assert torch.equal(null, nothing)
    mixed = feel(model, HAPPY, null=torch.tensor([True, False, False]))
    assert torch.allclose(mixed[0], null[0], atol=1e-6)
    assert torch.allclose(mixed[1:], feel(model, HAPPY)[1:], atol=1e-6)


def test_intensity_goes_from_neutral_to_the_emotion() -> None:
    model = controller()
    assert torch.allclose(feel(model, HAPPY, 0.0), feel(model, NEUTRAL), atol=1e-6)
    assert torch.equal(feel(model, NEUTRAL, 1.0), feel(model, NEUTRAL, 0.0)), "neutral has no strength"
    base = feel(model, NEUTRAL)
    reach = [float((feel(model, HAPPY, i) - base).norm()) for i in (0.1, 0.2, 0.4)]
    assert reach[0] < reach[1] < reach[2]


def test_frames_feel_their_own_row_and_previous_frames_the_first() -> None:
    model = controller()
    for block in model.blocks:
        block.attention.out.weight.data.zero_()  # without attention, a frame shows its own condition alone
    weights_ = torch.zeros(3, WINDOW, 8)
    weights_[:, :5, HAPPY] = 1.0
    weights_[:, 5:, SAD] = 1.0
    with torch.no_grad():
        got = model(HIDDEN, T, weights_, torch.ones(3, WINDOW), NO)
    happy, sad = feel(model, HAPPY), feel(model, SAD)
    assert not torch.allclose(happy[:, :PREVIOUS], sad[:, :PREVIOUS], atol=1e-3)
    assert torch.allclose(got[:, : PREVIOUS + 5], happy[:, : PREVIOUS + 5], atol=1e-6)
    assert torch.allclose(got[:, PREVIOUS + 5 :], sad[:, PREVIOUS + 5 :], atol=1e-6)


def test_what_lies_past_the_end_is_not_felt() -> None:
    model = controller()
    valid = torch.ones(3, WINDOW, dtype=torch.bool)
    valid[:, 7:] = False
    other = HIDDEN.clone()
    other[:, PREVIOUS + 7 :] = 4.0
    one_hot = torch.eye(8)[HAPPY].expand(3, WINDOW, 8)
    with torch.no_grad():
        a, b = (model(h, T, one_hot, torch.ones(3, WINDOW), NO, valid) for h in (HIDDEN, other))
    assert torch.allclose(a[:, : PREVIOUS + 7], b[:, : PREVIOUS + 7], atol=1e-6)


def test_every_parameter_learns_once_the_gates_open() -> None:
    model, base, given = controller(), denoiser(), context()
    x, t = noisy()
    with torch.no_grad():
        hidden = base.hidden_frames(x, t, given)
    one_hot = torch.eye(8)[torch.tensor([HAPPY, SAD, NEUTRAL])][:, None].expand(3, WINDOW, 8)
    null = torch.tensor([True, False, False])
    base.expression_head(model(hidden, t, one_hot, torch.ones(3, WINDOW), null)).square().mean().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in model.parameters())


def test_a_checkpoint_belongs_to_its_base(tmp_path: Path) -> None:
    model, base, path = controller(), denoiser(), tmp_path / "emotion.safetensors"
    weights.save(model, path, license="", data="", training={}, base=base)
    loaded = weights.load_emotion(path, base)
    assert torch.equal(feel(loaded, HAPPY), feel(model, HAPPY))
    with pytest.raises(ValueError, match="trained on the motion model"):
        weights.load_emotion(path, denoiser(seed=1))


def test_a_wrong_shape_and_a_wrong_config_are_refused() -> None:
    with pytest.raises(ValueError, match="weights"):
        fresh_controller()(HIDDEN, T, torch.zeros(3, WINDOW, 7), torch.ones(3, WINDOW), NO)
    with pytest.raises(ValueError, match="neutral"):
        EmotionConfig(neutral="calm")
