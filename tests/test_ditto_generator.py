"""Ditto: what it moves, its conditions, and its streaming encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from generator_requests import (
    FACE,
    ditto,  # noqa: F401
    flat,
    heard_by,
    request_for,
)
from motion_models import rest

from playmate_core.diffusion.ditto.layout import BinnedMotion
from playmate_core.errors import UserError
from playmate_core.geometry import degrees_from_bins
from playmate_core.speech import hubert_streaming
from playmate_core.values import EYE_KEYPOINTS, LIP_KEYPOINTS, Motion, PortraitDetails


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
