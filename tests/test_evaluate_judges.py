"""The networks that judge videos: sync, identity, emotion."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judged_videos import (
    FRAMES,
    face_track,
    flags,
    no_host,  # noqa: F401
    pictures,
    write_video,
)
from shared_facts import SHARED

from playmate_core.errors import UserError
from playmate_core.media.audio_files import Recording
from playmate_core.media.video_options import VideoOptions
from playmate_core.media.video_writer import VideoWriter
from training import syncnet
from training.__main__ import main as training
from training.evaluate.videos import report, sync_figures
from training.evaluate.videos.checkpoints import Skipped
from training.evaluate.videos.clips import SYSTEMS, ClipVideos, Label
from training.evaluate.videos.cropped_video import CroppedVideo
from training.evaluate.videos.emotion_figures import CLASSES, accuracy, confusion, recognised
from training.evaluate.videos.figures import Figure
from training.evaluate.videos.identity_figures import ARCFACE_TEMPLATE, arcface, cosine, similarity
from training.evaluate.videos.onnx_network import open_onnx
from training.synthetic.identity import make_identity
from training.synthetic.pixels import render
from training.synthetic.rig import RIG
from training.synthetic.sessions import session_scene

LANDMARKER = SHARED / "models" / "face_landmarker_v2_with_blendshapes.task"


class Brightness:
    """Stands for SyncNet: embeds the brightness of each frame of a window, and the loudness of each 40 ms."""

    def __init__(self, blind: bool = False) -> None:
        self.blind = blind

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def embed_frames(self, windows: torch.Tensor) -> torch.Tensor:
        seen = windows[:, 0].mean((2, 3)) / 255
        return torch.zeros_like(seen) if self.blind else seen

    def embed_audio(self, windows: torch.Tensor) -> torch.Tensor:
        return windows[:, 0].mean(1).view(-1, 5, 4).mean(2)


def loudness_steps(samples: np.ndarray) -> np.ndarray:
    """In place of MFCCs: the level of every 10 ms, in 13 equal rows."""
    level = np.abs(samples[: len(samples) // 160 * 160]).reshape(-1, 160).max(1)
    return np.repeat(level[None], 13, 0).astype(np.float32)


def flickering(tmp_path: Path, late: int) -> ClipVideos:
    """Videos whose brightness is the loudness of their sound, so many frames late in the generated one."""
    rng, frames = np.random.default_rng(3), 60
    level = rng.uniform(0.1, 0.9, frames)
    samples = np.repeat(level, 640).astype(np.float32)
    videos = {}
    for name, lag in (("generated", late), ("ground truth", 0), ("still portrait", 0)):
        shades = np.full(frames, 0.5) if "still" in name else np.roll(level, lag)
        video = torch.from_numpy((255 * shades[:, None, None, None] * np.ones((1, 64, 64, 3))).astype(np.uint8))
        path = tmp_path / f"{name}.mp4"
        with VideoWriter(path, 25, Recording(samples[None], 16_000), VideoOptions(crf=1)) as writer:
            writer.write(video)
        points = np.random.default_rng(0).uniform(20, 44, (478, 2)).astype(np.float32)
        affine = torch.tensor([[0.125, 0, 0], [0, 0.125, 0]])
        videos[name] = CroppedVideo(path, frames, affine, np.repeat(8 * points[None], frames, 0), sound=path)
    return ClipVideos("one", Label(), videos, {}, True)


@pytest.mark.parametrize("late", [-5, 0, 5])
def test_sync_figures_recover_a_shift_through_the_whole_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    monkeypatch.setattr(syncnet, "mfcc", loudness_steps)
    clip = flickering(tmp_path, late)
    confidence, distance = sync_figures.sync_figures([clip], Brightness(), "0" * 64)  # type: ignore[arg-type]
    scores = confidence.details["clips"]
    assert scores["generated"]["one"]["offset"] == -late  # late pictures make the sound early
    assert scores["ground truth"]["one"]["offset"] == 0
    assert confidence.details["offsets of real sound moved"] == {"+0": 0, "+5": 5, "-5": -5}
    assert confidence.values["generated"] > 3 * confidence.values["still portrait"]
    assert distance.values["generated"] < distance.values["still portrait"]


def test_a_network_that_misses_moved_sound_is_not_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncnet, "mfcc", loudness_steps)
    with pytest.raises(Skipped, match="the network's check"):
        sync_figures.sync_figures([flickering(tmp_path, 0)], Brightness(blind=True), "")  # type: ignore[arg-type]


def test_silent_videos_take_no_part_in_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncnet, "mfcc", loudness_steps)
    clip = flickering(tmp_path, 0)
    silent = replace(clip, name="silent", videos={k: replace(video, sound=None) for k, video in clip.videos.items()})
    found, _ = sync_figures.sync_figures([silent, clip], Brightness(), "")  # type: ignore[arg-type]
    assert set(found.details["clips"]["generated"]) == {"one"}
    with pytest.raises(Skipped, match="sound in any of the real videos"):
        sync_figures.sync_figures([silent], Brightness(), "")  # type: ignore[arg-type]


def test_sound_is_moved_by_whole_frames() -> None:
    samples = np.arange(1, 6401, dtype=np.float32)
    assert np.array_equal(sync_figures.later(samples, 5)[3200:], samples[:3200])
    assert np.array_equal(sync_figures.later(samples, -5)[:3200], samples[3200:])
    assert not sync_figures.later(samples, -5)[3200:].any()
    assert np.array_equal(sync_figures.later(samples, 0), samples)


def test_a_similarity_brings_points_home() -> None:
    angle, scale = 0.4, 2.5
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(ARCFACE_TEMPLATE @ turn.T + (30, -7), ARCFACE_TEMPLATE)
    assert np.allclose((ARCFACE_TEMPLATE @ turn.T + (30, -7)) @ found[:, :2].T + found[:, 2], ARCFACE_TEMPLATE)
    assert np.linalg.det(found[:, :2]) == pytest.approx(1 / scale**2)


def onnx_file(path: Path, size: int, features: int) -> Path:
    """A network that averages its picture and multiplies it: (1, 3, S, S) -> (1, F)."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    weights = np.random.default_rng(0).normal(size=(3, features)).astype(np.float32)
    made = onnx.helper
    number = onnx.TensorProto.FLOAT
    graph = made.make_graph(
        [
            made.make_node("GlobalAveragePool", ["input"], ["mean"]),
            made.make_node("Flatten", ["mean"], ["flat"]),
            made.make_node("MatMul", ["flat", "weights"], ["out"]),
        ],
        "net",
        [made.make_tensor_value_info("input", number, ["N", 3, size, size])],
        [made.make_tensor_value_info("out", number, ["N", features])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = made.make_model(graph, opset_imports=[made.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_onnx_networks_are_taken_by_their_shapes(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "net.onnx", 112, 512)
    net = open_onnx(path, (3, 112, 112), 512)
    video = torch.from_numpy(np.asarray(pictures(0, 1, 128)))
    points = face_track(64, 64, 40).landmarks[0]
    embedding = arcface(net, video[0].numpy(), points)
    assert embedding is not None and embedding.shape == (512,) and cosine(embedding, embedding) == pytest.approx(1)
    assert arcface(net, video[0].numpy(), np.full((478, 2), np.nan, np.float32)) is None
    with pytest.raises(UserError, match=r"takes \[\(3, 112, 112\)\] and gives \[512\], expected"):
        open_onnx(path, (3, 224, 224), 8)
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match="no network that onnxruntime can read .* a web page"):
        open_onnx(path, (3, 112, 112), 512)


def test_the_emotion_seen_is_that_of_most_frames(tmp_path: Path) -> None:
    """A stand-in network that takes bright pictures for happy and dark ones for sad."""

    def net(values: np.ndarray) -> np.ndarray:
        bright = values.mean() > 0
        return np.array([[4.0 * (name == ("happy" if bright else "sad")) for name in CLASSES]])

    points = np.repeat(np.random.default_rng(0).uniform(100, 400, (1, 478, 2)).astype(np.float32), FRAMES, 0)
    points[:8] = np.nan  # no face in the first eight, which are dark
    video = torch.zeros(FRAMES, 64, 64, 3, dtype=torch.uint8)
    video[12:] = 250
    path = write_video(tmp_path / "film.mp4", video)
    shown = CroppedVideo(path, FRAMES, torch.tensor([[0.125, 0, 0], [0, 0.125, 0]]), points)
    assert recognised(net, shown) == "happy"  # type: ignore[arg-type]
    assert recognised(net, replace(shown, landmarks=np.full_like(points, np.nan))) == ""  # type: ignore[arg-type]
    wanted = {"a": "happy", "b": "sad", "c": "happy", "d": "fear"}
    seen = {"a": "happy", "b": "happy", "c": "happy", "d": ""}
    assert accuracy(seen, wanted) == pytest.approx(2 / 3)
    assert confusion(seen, wanted)["sad"]["happy"] == 1 and confusion(seen, wanted)["happy"]["happy"] == 2


@pytest.mark.parametrize("prompt", ["", "no json", "[1]", '{"1": 3}', '{"1": {"inputs": 3}}'])
def test_a_strange_graph_tells_nothing(prompt: str) -> None:
    assert report.sampling_of(prompt) == {}


def test_the_table_shows_numbers_dashes_and_what_was_skipped() -> None:
    rows = [
        Figure("one", "lower", "A", dict(zip(SYSTEMS, (0.12345, 123.456, float("nan")), strict=True)), note="3 clips"),
        Figure("two", "higher", "B", skipped="evaluation/file.pth"),
    ]
    text = report.markdown(rows, {"frames": 3, "films": {}})
    assert "- frames: 3" in text and "films" not in text
    assert "| one | lower | 0.123 | 123.5 | - | A | 3 clips |" in text
    assert "| two | higher | skipped: evaluation/file.pth |  |  | B |  |" in text


needs_judges = pytest.mark.skipif(not LANDMARKER.is_file(), reason=f"MediaPipe's model is not at {LANDMARKER}")


@needs_judges
def test_packaged_judges_find_late_lips_and_the_same_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A drawn person speaks espeak's words; the generated video is the same, its pictures five frames late."""
    for package in ("mediapipe", "pocketsphinx", "dlib", "face_recognition_models", "espeakng_loader"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from training.synthetic.clips import make_clip

    models = tmp_path / "models" / "detection"
    models.mkdir(parents=True)
    shutil.copy(LANDMARKER, models / "face_landmarker.task")
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path / "models"))
    clip = make_clip(3, "test", (2, 3), "espeak")
    identity, scene, pose = make_identity(clip.identity_seed), session_scene(7, clip.identity_seed), clip.motion.pose
    video = np.stack(
        [
            render(identity, scene, clip.rig[k].numpy(), pose.rotation[k].numpy(), pose.translation[k].numpy(), 1.3)
            for k in range(len(clip))
        ]
    )
    sound = Recording(clip.waveform.numpy()[None], 16_000)
    for name, late in (("real", 0), ("made", 5)):
        (tmp_path / name).mkdir()
        with VideoWriter(tmp_path / name / "one.mp4", 25, sound) as writer:
            writer.write(torch.from_numpy(video[[max(k - late, 0) for k in range(len(video))]]))
    (tmp_path / "labels.csv").write_text(f"clip,text\none,{clip.text}\n")
    given = flags((tmp_path / "made", tmp_path / "real"), tmp_path / "out", "--labels", str(tmp_path / "labels.csv"))
    assert training(given) == 0
    first = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads((tmp_path / "out" / "videos.json").read_text())["figures"]}
    lag = rows["lips: lag in frames, late is positive"]
    assert not lag["skipped"], lag["skipped"]
    assert abs(lag["values"]["generated"] - lag["values"]["ground truth"] - 5) <= 1
    assert abs(lag["values"]["ground truth"]) <= 1 and lag["values"]["still portrait"] is None
    auc = rows["lips: AUC of opening, vowels over m, b, p"]["values"]
    assert auc["ground truth"] > 0.8 and auc["still portrait"] == 0.5
    check = lag["details"]["check on wrong sound"]
    assert abs(check["lag with sound 5 frames late"] - check["lag with true sound"] + 5) <= 1
    identity_row = rows["identity: distance of dlib's embeddings"]
    assert identity_row["values"]["still portrait"] == 0 and identity_row["values"]["generated"] < 0.6
    assert training(given) == 0
    assert capsys.readouterr().out == first


def test_dlib_tells_two_people_apart() -> None:
    for package in ("dlib", "face_recognition_models"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from training.evaluate.videos.identity_figures import dlib_embedding, euclidean

    look: Callable[..., Any] = dlib_embedding()

    def seen(person: int, yaw: float) -> np.ndarray:
        picture = render(
            make_identity(person), session_scene(7, person), np.zeros(len(RIG)), (0, yaw, 0), (0, 0, 0), 1.3, 512
        )
        found = look(picture, None)
        assert found is not None
        return np.asarray(found)

    assert euclidean(seen(5, 0), seen(5, 8)) < 0.8 * euclidean(seen(5, 0), seen(11, 0))
    assert look(np.zeros((128, 128, 3), np.uint8), None) is None
