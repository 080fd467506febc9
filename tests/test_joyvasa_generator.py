"""JoyVASA: its start, smoothing, positions, guidance and encoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from generator_requests import ditto, flat, joyvasa, request_for  # noqa: F401
from motion_models import rest

from playmate_core.diffusion.joyvasa.combine import combine
from playmate_core.errors import UserError
from playmate_core.geometry import place_motion
from playmate_core.rendering.retarget import expression_gain
from playmate_core.values import LIP_KEYPOINTS


def test_joyvasa_begins_at_the_portrait_and_goes_on_from_a_motion(joyvasa: Any) -> None:
    first = joyvasa.generate(request_for(joyvasa))
    torch.testing.assert_close(first.pose.rotation[:1], rest().pose.rotation, atol=1e-4, rtol=0)
    others = [i for i in range(21) if i not in LIP_KEYPOINTS]
    torch.testing.assert_close(first.expression[0, others], rest().expression[0, others], atol=1e-5, rtol=0)
    on = joyvasa.generate(request_for(joyvasa, previous=first))
    step = (on.pose.rotation[0] - first.pose.rotation[-1]).abs().max()
    assert float(step) < 0.5 and not torch.allclose(flat(on), flat(first), atol=1e-3)


def test_smoothing_is_a_choice(joyvasa: Any) -> None:
    def trembling(**settings: Any) -> float:
        made = replace(joyvasa, settings=replace(joyvasa.settings, **settings)).generate(request_for(joyvasa))
        return float(made.pose.translation.diff(dim=0).abs().mean())

    assert trembling() < trembling(smoothing=0.1) < trembling(smoother="none")


def test_positions_are_a_choice(joyvasa: Any) -> None:
    other = replace(joyvasa, settings=replace(joyvasa.settings, positions="per_position"))
    assert not torch.allclose(flat(other.generate(request_for(joyvasa))), flat(joyvasa.generate(request_for(joyvasa))))


def test_guidance_may_differ_for_head_and_face_and_change_over_time(joyvasa: Any, ditto: Any) -> None:
    for generator in (joyvasa, ditto):
        plain = generator.generate(request_for(generator, 60, cfg_audio=1.0, cfg_audio_pose=1.0))
        face = generator.generate(request_for(generator, 60, cfg_audio=3.0, cfg_audio_pose=1.0))
        assert not torch.allclose(plain.expression, face.expression, atol=1e-5)
        curve = generator.generate(request_for(generator, 60, cfg_audio=(1.0,) * 60, cfg_audio_pose=1.0))
        torch.testing.assert_close(flat(curve), flat(plain), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seconds", [0.01, 3.9, 4.0, 9.3])
@pytest.mark.parametrize("lead", [2, 0])
def test_joyvasa_hears_with_its_own_encoder(joyvasa: Any, seconds: float, lead: int) -> None:
    generator = replace(joyvasa, settings=replace(joyvasa.settings, lead_frames=lead))
    samples = int(seconds * 16000)
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, samples).astype(np.float32)
    told: list[tuple[int, int]] = []
    heard = generator.encoder().listen(sound, 16000, lambda *step: told.append(step))
    assert len(heard) == -(-samples // 640) and heard.encoder == "joyvasa-hubert"
    assert heard.after is not None and (len(heard) + len(heard.after)) % 100 == 0
    assert told[-1][0] == told[-1][1] == (len(heard) + len(heard.after)) // 100
    assert len(generator.generate(request_for(generator, audio=heard))) == len(heard)


def test_windows_are_heard_alone_so_a_long_clip_is_the_sum_of_its_windows(joyvasa: Any) -> None:
    """Exactly: the encoder sees nothing beyond a window."""
    encoder = replace(joyvasa, settings=replace(joyvasa.settings, lead_frames=0)).encoder()
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 3 * 64000).astype(np.float32)
    whole = encoder.listen(sound, 16000).features
    parts = [encoder.listen(sound[k * 64000 : (k + 1) * 64000], 16000).features for k in range(3)]
    assert torch.equal(whole, torch.cat(parts))


def test_two_lead_frames_are_the_published_lag(joyvasa: Any) -> None:
    """Two frames of silence before the voice, one behind: what would be row k is heard as row k + 2."""
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 3200).astype(np.float32)
    laid = joyvasa.encoder().listening.padded(sound)
    assert np.array_equal(laid[:], np.pad(sound, (2 * 640, 640)))
    at_once = replace(joyvasa, settings=replace(joyvasa.settings, lead_frames=0)).encoder()
    assert np.array_equal(at_once.listening.padded(sound)[:], sound)
    first = replace(joyvasa, settings=replace(joyvasa.settings, lead_frames=0, waveform="standardised")).encoder()
    level = first.listening.padded(3 * sound + 0.5)[:]
    assert abs(float(level.mean())) < 1e-4 and abs(float(level.std()) - 1) < 1e-3


def test_wav2vec2s_base_model_is_the_same_network_as_huberts() -> None:
    """So the variant on wav2vec2-base-960h needs no class of its own."""
    from generator_models import tiny_hubert
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    hubert = tiny_hubert()
    told = {k: v for k, v in hubert.config.to_dict().items() if k in Wav2Vec2Config().to_dict() and k != "model_type"}
    other = Wav2Vec2Model(Wav2Vec2Config(**told)).eval()
    other.load_state_dict(hubert.state_dict(), strict=True)
    sound = torch.randn(1, 6480, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(hubert(sound)[0], other(sound)[0], atol=1e-6, rtol=0)


def test_the_encoder_is_never_another(joyvasa: Any) -> None:
    from playmate_core.speech import make_encoder

    with pytest.raises(UserError, match="inside JoyVASA's own file"):
        make_encoder("joyvasa-hubert", "somewhere")


def test_the_hull_factor_of_animals_is_one_because_their_first_frame_is_the_portrait(joyvasa: Any) -> None:
    """The reference multiplies an animal's departures from its first frame by sqrt(V(x_s) / V(x_d,0))."""
    driving = joyvasa.generate(request_for(joyvasa))
    keypoints = torch.randn(21, 3, generator=torch.Generator().manual_seed(3))
    x_s = place_motion(keypoints, rest())
    for subject, same in (("animal", True), ("human", False)):
        x_d = place_motion(keypoints, combine(rest(), driving, driving[:1], subject=subject))
        assert torch.allclose(x_d[:1], x_s, atol=1e-5) is same
        assert (abs(expression_gain(x_s[0], x_d[0]) - 1) < 1e-5) is same
