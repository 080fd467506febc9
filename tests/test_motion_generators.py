"""Generators of other makers answer like our own: a frame for each of audio, by seed, by name, in pieces, refusing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from generator_models import write_ditto, write_joyvasa
from motion_models import controller, denoiser, rest, voice

from playmate_core.diffusion.ditto.conditions import emotion_row, emotion_rows
from playmate_core.diffusion.ditto.layout import EMOTIONS as DITTO_EMOTIONS
from playmate_core.diffusion.ditto.layout import BinnedMotion
from playmate_core.diffusion.generate import PlaymateGenerator
from playmate_core.diffusion.joyvasa.smoothing import MILD
from playmate_core.diffusion.request import GenerationRequest, MotionGenerator, PortraitDetails
from playmate_core.errors import UserError
from playmate_core.geometry import degrees_from_bins
from playmate_core.speech import hubert_streaming
from playmate_core.values import EMOTIONS, EYE_KEYPOINTS, LIP_KEYPOINTS, AudioFeatures, EmotionCurve, Motion
from playmate_core.weights.generators import load_generator

FACE = 0.1 * torch.randn(21, 3, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def joyvasa(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_generator(write_joyvasa(tmp_path_factory.mktemp("joyvasa")))


@pytest.fixture(scope="module")
def ditto(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_generator(write_ditto(tmp_path_factory.mktemp("ditto")))


def heard_by(generator: Any, frames: int, seed: int = 0) -> AudioFeatures:
    width = {"joyvasa": 64, "ditto": 24, "playmate": 0}[generator.name]
    if not width:
        return voice(frames, seed)
    features = torch.randn(frames, 1, width, generator=torch.Generator().manual_seed(seed))
    return AudioFeatures(features, torch.zeros(frames), generator.encoder_name)


def request_for(generator: Any, frames: int = 130, **changes: Any) -> GenerationRequest:
    """A short request in few steps; sampling options by name."""
    own = {name: changes.pop(name) for name in ("emotion", "previous", "audio", "details", "rest") if name in changes}
    options = replace(generator.defaults, **({"steps": 3} | changes))
    audio = own.pop("audio", None)
    audio = heard_by(generator, frames) if audio is None else audio
    return GenerationRequest(FACE, own.pop("rest", rest()), audio, options=options, **own)


def flat(motion: Motion) -> torch.Tensor:
    pose = motion.pose
    return torch.cat([motion.expression.flatten(1), pose.rotation, pose.translation, pose.scale], -1)


@pytest.fixture(params=["joyvasa", "ditto", "playmate"])
def any_generator(request: pytest.FixtureRequest) -> MotionGenerator:
    if request.param == "playmate":
        return PlaymateGenerator(denoiser(), controller())
    return request.getfixturevalue(request.param)


# All three alike.


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
        wild = any_generator.generate(request_for(any_generator, 205, pose_amplitude=500.0)).pose
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


# Emotions.


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


# JoyVASA.


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

    assert trembling() < trembling(smoothing=MILD) < trembling(smoother="none")


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
    laid = joyvasa.encoder().listening.laid(sound)
    assert np.array_equal(laid, np.pad(sound, (2 * 640, 640)))
    at_once = replace(joyvasa, settings=replace(joyvasa.settings, lead_frames=0)).encoder()
    assert np.array_equal(at_once.listening.laid(sound), sound)
    first = replace(joyvasa, settings=replace(joyvasa.settings, lead_frames=0, waveform="standardised")).encoder()
    level = first.listening.laid(3 * sound + 0.5)
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


# Ditto.


def test_ditto_moves_lips_eyes_and_head_and_leaves_the_rest(ditto: Any) -> None:
    made = ditto.generate(request_for(ditto, 205))
    moved = (made.expression - rest().expression).abs().amax((0, 2)) > 1e-6
    assert moved[list(LIP_KEYPOINTS)].all() and moved[list(EYE_KEYPOINTS)].any()
    others = [i for i in range(21) if i not in (*LIP_KEYPOINTS, *EYE_KEYPOINTS)]
    assert not moved[others].any()
    torch.testing.assert_close(made.pose.scale, rest().pose.scale.expand(205, 1))
    assert float(made.pose.rotation.diff(dim=0).abs().mean()) > 0


def test_ditto_adds_two_degrees_and_holds_the_eyes_where_it_is_told_to(ditto: Any) -> None:
    def made(**settings: Any) -> Motion:
        return replace(ditto, settings=replace(ditto.settings, **settings)).generate(request_for(ditto))

    bare = made(offsets=(None, None, None))
    torch.testing.assert_close(made().pose.rotation[:, 0], bare.pose.rotation[:, 0] + 2, atol=1e-3, rtol=0)
    still = made(drive_eyes=False)
    eyes = list(EYE_KEYPOINTS)
    assert torch.equal(still.expression[:, eyes], rest().expression[:, eyes].expand(130, -1, -1))


def test_a_portrait_whose_logits_are_known_is_moved_in_logits(ditto: Any) -> None:
    logits = BinnedMotion.in_bins(rest()).angles
    known = ditto.generate(request_for(ditto, details=PortraitDetails(logits)))
    unknown = ditto.generate(request_for(ditto))
    torch.testing.assert_close(degrees_from_bins(logits), rest().pose.rotation, atol=1e-3, rtol=0)
    assert torch.equal(known.expression[:, list(LIP_KEYPOINTS)], unknown.expression[:, list(LIP_KEYPOINTS)])
    assert not torch.allclose(known.pose.rotation, unknown.pose.rotation, atol=1e-3)


def test_ditto_is_conditioned_on_the_portrait_where_no_character_is_wanted(ditto: Any) -> None:
    own = replace(ditto, settings=replace(ditto.settings, character=False))
    assert torch.equal(own.conditioned(request_for(ditto)).keypoints, FACE)
    assert not torch.equal(ditto.conditioned(request_for(ditto)).keypoints, FACE)
    one = request_for(ditto, details=PortraitDetails(eyes_open=torch.full((1, 2), 0.1)))
    assert not torch.allclose(flat(own.generate(one)), flat(own.generate(request_for(ditto))), atol=1e-5)


def test_ditto_goes_on_from_a_motion(ditto: Any) -> None:
    first = ditto.generate(request_for(ditto))
    base = ditto.conditioned(request_for(ditto))
    on = ditto.conditioned(request_for(ditto, previous=first))
    turned = BinnedMotion.of(on.numbers[None]).in_degrees().pose.rotation
    was = BinnedMotion.of(base.numbers[None]).in_degrees().pose.rotation
    wanted = first.pose.rotation[-1:] - rest().pose.rotation
    torch.testing.assert_close(turned - was, wanted, atol=0.05, rtol=0)
    assert len(ditto.generate(request_for(ditto, previous=first))) == 130


def test_ditto_online_begins_with_silence(ditto: Any) -> None:
    online = replace(ditto, data=replace(ditto.data, overlap=70), settings=replace(ditto.settings, run="online"))
    with pytest.raises(UserError, match="begins with silence"):
        online.iterate(request_for(online, 35))
    audio = replace(heard_by(ditto, 35), before=torch.zeros(70, 1, 24))
    made = online.generate(request_for(online, audio=audio))
    assert len(made) == 35 and bool(flat(made).isfinite().all())


class FakeSession:
    """In place of onnxruntime: 20 tokens whose first number is the mean of the 400 samples each covers."""

    width = 24

    def __init__(self, path: str, providers: list[str]) -> None:
        if "bad" in path:
            raise RuntimeError("no graph")

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="input_values")]

    def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        (chunk,) = inputs["input_values"]
        assert chunk.shape == (6480,) and chunk.dtype == np.float32
        means = [chunk[320 * i : 320 * i + 400].mean() for i in range(20)]
        return [np.repeat(np.float32(means)[:, None], self.width, 1)[None]]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(InferenceSession=FakeSession, get_available_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", fake)


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        (tmp_path / name).write_bytes(b"onnx")
        return tmp_path / name

    return make


@pytest.mark.parametrize("frames", [1, 5, 7, 14, 29, 250])
def test_ditto_hears_one_row_a_frame(ditto: Any, runtime: None, file_of: Any, frames: int) -> None:
    sound = np.repeat(np.arange(1, frames + 1, dtype=np.float32) / 1000, 640)
    heard = ditto.encoder(file_of("a.onnx")).listen(sound, 16000)
    assert len(heard) == frames and heard.encoder == "ditto-hubert"
    rows = heard.features[:, 0, 0] * 1000
    assert bool(((rows - torch.arange(1, frames + 1)).abs() < 1).all())  # each hears its own samples
    extra = hubert_streaming.published_frames(640 * frames) - frames  # the reference counts one more at some
    assert heard.after is not None and len(heard.after) == extra
    assert len(ditto.generate(request_for(ditto, audio=heard))) == frames


def test_ditto_hears_a_long_clip_as_it_hears_its_parts(ditto: Any, runtime: None, file_of: Any) -> None:
    """Exactly, but for the two frames at a cut that look over it."""
    encoder = ditto.encoder(file_of("a.onnx"))
    sound = np.random.default_rng(0).uniform(-1, 1, 100 * 640).astype(np.float32)
    whole, second = encoder.listen(sound, 16000).features, encoder.listen(sound[50 * 640 :], 16000).features
    assert torch.equal(whole[55:], second[5:])


def test_ditto_online_hears_silence_first(ditto: Any, runtime: None, file_of: Any) -> None:
    online = replace(ditto, data=replace(ditto.data, overlap=70), settings=replace(ditto.settings, run="online"))
    heard = online.encoder(file_of("a.onnx")).listen(np.ones(640 * 12, np.float32), 16000)
    assert heard.before is not None and len(heard.before) == 70 and not heard.before.any()
    assert len(online.generate(request_for(online, audio=heard))) == 12


def test_a_real_graph_is_run_by_onnxruntime(ditto: Any, tmp_path: Path) -> None:
    """A graph with the published one's input and output: the mean of the 400 samples each token covers."""
    onnx, _ = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    kernel = helper.make_tensor("kernel", kinds.FLOAT, [24, 1, 400], [1 / 400] * (24 * 400))
    shape = helper.make_tensor("shape", kinds.INT64, [3], [1, 1, 6480])
    nodes = [
        helper.make_node("Reshape", ["input_values", "shape"], ["row"]),
        helper.make_node("Conv", ["row", "kernel"], ["tokens"], strides=[320]),
        helper.make_node("Transpose", ["tokens"], ["encoding_out"], perm=[0, 2, 1]),
    ]
    inside = helper.make_tensor_value_info("input_values", kinds.FLOAT, [1, 6480])
    outside = helper.make_tensor_value_info("encoding_out", kinds.FLOAT, [1, 20, 24])
    graph = helper.make_graph(nodes, "encoder", [inside], [outside], [kernel, shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "encoder.onnx"))
    sound = np.repeat(np.arange(1, 31, dtype=np.float32) / 1000, 640)
    heard = ditto.encoder(tmp_path / "encoder.onnx").listen(sound, 16000)
    assert bool(((heard.features[:, 0, 0] * 1000 - torch.arange(1, 31)).abs() < 1).all())
    (tmp_path / "other.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match="is not Ditto's audio encoder"):
        ditto.encoder(tmp_path / "other.onnx").listen(sound, 16000)


def test_an_encoder_that_is_none_is_refused(ditto: Any, runtime: None, file_of: Any, tmp_path: Path) -> None:
    sound = np.zeros(640, np.float32)
    with pytest.raises(UserError, match="is not Ditto's audio encoder"):
        ditto.encoder(file_of("bad.onnx")).listen(sound, 16000)
    with pytest.raises(UserError, match="is not there"):
        ditto.encoder(tmp_path / "none.onnx").listen(sound, 16000)


def test_without_onnxruntime_ditto_says_what_to_install(
    ditto: Any, file_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install onnxruntime"):
        ditto.encoder(file_of("a.onnx")).listen(np.zeros(640, np.float32), 16000)
