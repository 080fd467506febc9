"""Generation: windows follow on, the head keeps its limits, and a seed means one motion whatever is asked around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from generated_motion import BASE, CONTROLLER, FACE, FAST, talk
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_models import PREVIOUS, SMALL, WINDOW, denoiser, fresh_controller, rest, voice
from torch import Tensor

from playmate_core.diffusion import window_chain
from playmate_core.diffusion.emotion import EmotionConfig, EmotionController
from playmate_core.diffusion.generate import SamplingOptions, generate, iterate
from playmate_core.diffusion.options import GuidanceKeys, window_noise
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.diffusion.window_sampling import WindowTask
from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS, EmotionCurve, Motion


def flat(motion: Motion) -> Tensor:
    pose = motion.pose
    return torch.cat([motion.expression.flatten(1), pose.rotation, pose.translation, pose.scale], -1)


@settings(max_examples=12, deadline=None)
@given(frames=st.integers(1, 3 * WINDOW + 1))
def test_one_finite_frame_for_each_frame_of_audio(frames: int) -> None:
    motion = talk(frames, "sad")
    assert len(motion) == frames and motion.fps == 25.0
    assert bool(flat(motion).isfinite().all())


def test_a_seed_is_one_motion_and_another_is_another() -> None:
    first = flat(talk(seed=7))
    torch.manual_seed(99)
    assert torch.equal(first, flat(talk(seed=7)))
    assert not torch.allclose(first, flat(talk(seed=8)), atol=1e-3)
    assert torch.equal(flat(talk(sampler="ddpm", seed=7)), flat(talk(sampler="ddpm", seed=7)))


def test_windows_and_seeds_draw_different_noise() -> None:
    drawn = {float(torch.randn(1, generator=window_noise(seed, k))) for seed in range(20) for k in range(20)}
    assert len(drawn) == 400


def test_streaming_gives_the_same_bits_in_pieces_of_a_window() -> None:
    audio = voice(2 * WINDOW + 5)
    pieces = list(iterate(BASE, None, GenerationRequest(FACE, rest(), audio, None, FAST)))
    assert [len(p) for p in pieces] == [WINDOW, WINDOW, 5]
    assert torch.equal(torch.cat([flat(p) for p in pieces]), flat(talk(2 * WINDOW + 5, felt_by=None)))


@settings(max_examples=12, deadline=None)
@given(frames=st.integers(1, 3 * WINDOW + 1), overlap=st.integers(0, WINDOW // 2))
def test_overlapping_windows_still_give_one_frame_for_each_frame(frames: int, overlap: int) -> None:
    assert len(talk(frames, overlap=overlap)) == frames


def test_shared_frames_fade_from_one_window_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def flat_windows(tasks: Sequence[WindowTask], progress: object) -> Tensor:
        return torch.full((1, WINDOW, 69), float(tasks[0].begin > 0))

    monkeypatch.setattr(window_chain, "sample_windows", flat_windows)
    overlap = 3
    motion = talk(2 * WINDOW - overlap, felt_by=None, overlap=overlap, joint="fade", eye_movement=0.0)
    s = BASE.statistics
    level = ((motion.expression.flatten(1) - s.expression_mean) / s.expression_std)[:, s.live].mean(-1)
    wanted = torch.cat([torch.zeros(WINDOW - overlap), torch.tensor([0.25, 0.5, 0.75]), torch.ones(WINDOW - overlap)])
    torch.testing.assert_close(level, wanted, atol=1e-4, rtol=0)


def test_windows_cannot_share_more_than_half() -> None:
    with pytest.raises(UserError, match="overlap"):
        talk(overlap=WINDOW // 2 + 1)
    with pytest.raises(UserError, match="overlap"):
        talk(overlap=-1)


def test_a_longer_speech_does_not_change_the_windows_before() -> None:
    audio = voice(3 * WINDOW)
    short = replace(audio, features=audio.features[:WINDOW], energy=audio.energy[:WINDOW])
    assert torch.equal(flat(talk(3 * WINDOW, heard=audio))[:WINDOW], flat(talk(WINDOW, heard=short)))


def test_without_emotion_it_is_stage_1_bit_for_bit() -> None:
    frames = 2 * WINDOW + 3
    alone = flat(talk(frames, felt_by=None))
    nothing = EmotionCurve(torch.zeros(frames, 8), torch.ones(frames))
    assert torch.equal(alone, flat(talk(frames)))
    assert torch.equal(alone, flat(talk(frames, nothing)))
    assert torch.equal(alone, flat(talk(frames, "happy", felt_by=fresh_controller()))), "before stage 2 is trained"
    assert not torch.allclose(alone, flat(talk(frames, "happy")), atol=1e-4)


def test_each_window_continues_the_last_one() -> None:
    frames = 2 * WINDOW
    plain = flat(talk(frames, felt_by=None, eye_movement=0.0))
    base = denoiser()
    run = base.prepare
    seen: list[tuple[bool, Tensor]] = []
    heard: list[Tensor] = []

    def listen(given):  # type: ignore[no-untyped-def]
        seen.append((bool(given.start.all()), given.previous[0]))
        heard.append(given.audio[0])
        return run(given)

    base.prepare = listen  # type: ignore[method-assign]
    assert torch.equal(plain, flat(talk(frames, felt_by=None, base=base, eye_movement=0.0)))
    assert [start for start, _ in seen] == [True, False]
    s = base.statistics
    tail = (plain[WINDOW - PREVIOUS : WINDOW, :63] - s.expression_mean) / s.expression_std
    assert torch.allclose(seen[1][1][:, :63][:, s.live], tail[:, s.live], atol=1e-3)
    assert torch.equal(heard[1], voice(frames).features[WINDOW - PREVIOUS :]), "the voice runs on, too"
    talk(WINDOW - 1, base=base, start="portrait")
    silent = [*range(PREVIOUS), PREVIOUS + WINDOW - 1]
    assert bool((heard[-1][silent] == s.silence).all()), "before and after the speech it is silent"
    assert torch.equal(heard[-1][PREVIOUS:-1], voice(WINDOW - 1).features)


def test_a_start_from_the_portrait_or_from_a_motion_is_heard() -> None:
    free, portrait = flat(talk()), flat(talk(start="portrait"))
    assert not torch.allclose(free[:WINDOW], portrait[:WINDOW], atol=1e-4)
    before = talk(PREVIOUS + 3, seed=5)
    assert not torch.allclose(free[:WINDOW], flat(talk(previous=before))[:WINDOW], atol=1e-4)
    assert torch.allclose(flat(talk(previous=rest())), portrait, atol=1e-6), "a still is a motion of one frame"


@pytest.mark.parametrize("target", ["epsilon", "x0", "v"])
@pytest.mark.parametrize("sampler", ["dpm++2m", "ddim", "ddpm"])
def test_every_target_and_sampler_ends_inside_its_limits(target: str, sampler: str) -> None:
    how = {"sampler": sampler, "spacing": "uniform", "eye_movement": 0.0}
    motion = talk(WINDOW + 1, "fear", base=denoiser(replace(SMALL, target=target)), **how)
    s = BASE.statistics
    model = (motion.expression.flatten(1) - s.expression_mean) / s.expression_std
    assert float(model.abs().max()) <= 6.0 + 1e-3


def test_progress_counts_every_evaluation_and_may_cancel() -> None:
    told: list[tuple[int, int]] = []
    talk(2 * WINDOW + 1, progress=lambda step, total: told.append((step, total)))
    assert told == [(k + 1, 9) for k in range(9)]

    class Stop(Exception):
        pass

    def stop(step: int, total: int) -> None:
        told.append((step, total))
        if step == 4:
            raise Stop

    told.clear()
    with pytest.raises(Stop):
        talk(2 * WINDOW + 1, progress=stop)
    assert len(told) == 4


def test_what_was_given_is_left_as_it_was() -> None:
    audio, own = voice(WINDOW), rest()
    copies = audio.features.clone(), own.expression.clone(), own.pose.rotation.clone(), FACE.clone()
    before = {key: value.clone() for key, value in BASE.state_dict().items()}
    sad = EmotionCurve.constant("sad", 1.0, WINDOW)
    generate(BASE, CONTROLLER, GenerationRequest(FACE, own, audio, sad, FAST, previous=own))
    assert all(
        torch.equal(a, b)
        for a, b in zip(copies, (audio.features, own.expression, own.pose.rotation, FACE), strict=True)
    )
    assert all(torch.equal(value, before[key]) for key, value in BASE.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"steps": 0}, "steps"),
        ({"sampler": "euler"}, "dpm"),
        ({"spacing": "cosine"}, "logsnr"),
        ({"seed": -1}, "seed"),
        ({"eta": 2.0}, "eta"),
        ({"cfg_audio": float("nan")}, "cfg_audio"),
        ({"cfg_emotion": ()}, "cfg_emotion"),
        ({"pose_amplitude": -1.0}, "pose_amplitude"),
        ({"pose_amplitude": (1.0, 2.0)}, "six"),
        ({"pose_mean": "side"}, "frontal"),
        ({"pose_anchor": "last"}, "first"),
        ({"start": "middle"}, "portrait"),
        ({"joint": "cut"}, "fade"),
        ({"cfg_audio": (1.0, 2.0)}, "one for each frame"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(UserError, match=word):
        talk(**changes)


def test_inputs_that_do_not_fit_are_refused_before_the_work() -> None:
    audio = voice(WINDOW)
    never = pytest.fail
    bad = audio.features.clone()
    bad[3] = float("nan")
    cases = [
        ({"heard": replace(audio, features=bad)}, None, "NaN"),
        ({"heard": replace(audio, encoder="wav2vec2")}, None, "listened to by wav2vec2"),
        ({"heard": voice(0)}, None, "no frames"),
        ({"heard": audio}, EmotionCurve.constant("happy", 1.0, 3), "3 frames"),
        ({"heard": audio, "felt_by": None}, EmotionCurve.constant("happy", 1.0, WINDOW), "no emotion model"),
        ({"heard": audio, "felt_by": EmotionController(EmotionConfig(width=32, heads=2)).eval()}, None, "width"),
        ({"heard": audio}, EmotionCurve(torch.ones(WINDOW, 1), torch.ones(WINDOW), names=("bored",)), "bored"),
    ]
    for changes, curve, words in cases:
        with pytest.raises(UserError, match=words):
            talk(WINDOW, curve, progress=never, **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"train\(False\)"):
        talk(base=denoiser().train())
    broken = denoiser()
    broken.pose_mlp[0].weight.data.fill_(float("nan"))
    with pytest.raises(UserError, match="NaN"):
        talk(base=broken)


def test_emotions_cross_the_border_by_name() -> None:
    order = tuple(reversed(EMOTIONS))
    weights = torch.zeros(WINDOW, 8)
    weights[:, order.index("fear")] = 1.0
    turned = EmotionCurve(weights, torch.ones(WINDOW), names=order)
    assert torch.equal(flat(talk(WINDOW, turned)), flat(talk(WINDOW, "fear")))


def test_emotion_and_guidance_may_change_within_a_window() -> None:
    weights, frames = torch.zeros(WINDOW, 8), WINDOW
    weights[: frames // 2, EMOTIONS.index("happy")] = 1.0
    weights[frames // 2 :, EMOTIONS.index("sad")] = 1.0
    change = EmotionCurve(weights, torch.ones(frames))
    got = [flat(talk(frames, e)) for e in (change, "happy", "sad")]
    early = [float((got[0] - other)[: frames // 2].norm()) for other in got[1:]]
    late = [float((got[0] - other)[frames // 2 :].norm()) for other in got[1:]]
    assert early[0] < early[1] and late[1] < late[0]
    curve = tuple(1.0 + k / frames for k in range(frames))
    assert not torch.equal(flat(talk(frames, cfg_audio=curve)), flat(talk(frames)))


def test_guidance_keys_are_straight_lines_between_seconds_and_change_the_motion() -> None:
    keys = GuidanceKeys.written("0:1, 1:3")
    assert (
        keys == GuidanceKeys(((0.0, 1.0), (1.0, 3.0))) and str(keys) == "0:1,1:3" and GuidanceKeys.written("2") == 2.0
    )
    assert keys.values(51, 25.0)[::25] == (1.0, 3.0, 3.0) and keys.values(26, 25.0)[5] == pytest.approx(1.4)
    written_out = talk(WINDOW, cfg_audio=keys.values(WINDOW, 25.0))
    assert torch.equal(flat(talk(WINDOW, cfg_audio=keys)), flat(written_out))
    for text in ("0:1,0:2", "1:3,0:1", "-1:2", "a:2", "1:60:3", "1:2:3:4:5", "nan:1", ""):
        with pytest.raises(UserError, match="timeline"):
            GuidanceKeys.written(text)
    with pytest.raises(UserError, match="from 0 to 20, got nan"):
        SamplingOptions(cfg_audio=GuidanceKeys.written("0:1,1:nan"))
