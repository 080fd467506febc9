"""``evaluate --videos --truth`` from the files to the table: pairs, frames, crops, every judge, and what is skipped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from shared_facts import SHARED
from torch import nn

from playmate_core.detection.crop import inverse, move_points
from playmate_core.errors import UserError
from playmate_core.host import HOST
from playmate_core.media.audio_files import Recording
from playmate_core.media.video_reader import Frame
from playmate_core.media.video_writer import VideoOptions, VideoWriter
from training.__main__ import main as training
from training.evaluate import videos
from training.evaluate.videos import checkpoints, frechet_figures, lpips_figures, report, sync_figures, syncnet
from training.evaluate.videos.checkpoints import Skipped
from training.evaluate.videos.clips import SYSTEMS, Clip, Label, Paths, crops, find_pairs, open_clip, read_labels
from training.evaluate.videos.emotion_figures import CLASSES, accuracy, confusion, recognised
from training.evaluate.videos.figures import Figure
from training.evaluate.videos.film import Film, Track, at_25_fps
from training.evaluate.videos.identity_figures import TEMPLATE, arcface, cosine, similarity
from training.evaluate.videos.lpips import AlexNet, head_shapes
from training.evaluate.videos.onnx_network import open_onnx
from training.synthetic.identity import make_identity
from training.synthetic.pixels import render
from training.synthetic.rig import RIG
from training.synthetic.sessions import session_scene

FRAMES = 18
LANDMARKER = SHARED / "models" / "face_landmarker_v2_with_blendshapes.task"


def pictures(seed: int, frames: int = FRAMES, size: int = 64) -> torch.Tensor:
    """A disc that wanders over noise, (n, S, S, 3)."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.integers(0, 255, (8, 8, 3), np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    film = []
    for k in range(frames):
        picture = ground.copy()
        at = (size // 2 + round(size / 6 * np.sin(k / 5 + seed)), size // 2)
        cv2.circle(picture, at, size // 5, (200, 160, 140), -1)
        film.append(picture)
    return torch.from_numpy(np.stack(film))


def write_film(path: Path, film: torch.Tensor, tags: tuple[tuple[str, str], ...] = (), sound: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, len(film) * 640)).astype(np.float32)
    with VideoWriter(path, 25, Recording(noise, 16_000) if sound else None, VideoOptions(tags=tags)) as video:
        video.write(film)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two real films and two generated ones that have less contrast."""
    root = tmp_path_factory.mktemp("films")
    prompt = json.dumps({"1": {"inputs": {"seed": 7, "steps": 20, "model": ["2", 0]}}})
    for seed, name in enumerate(("a", "sub/b")):
        film = pictures(seed)
        write_film(root / "real" / f"{name}.mp4", film)
        write_film(root / "made" / f"{name}.mp4", film // 2 + 66, (("prompt", prompt),))
    return root / "made", root / "real"


@pytest.fixture(autouse=True)
def no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--models`` is remembered for a process; here for a test."""
    monkeypatch.setattr(HOST, "_model_folders", lambda category: ())


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No folder of models but one that is empty, and no package that finds faces."""
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(videos, "available", lambda: ())
    return tmp_path / "models"


def flags(folders: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    return ["evaluate", "--videos", str(folders[0]), "--truth", str(folders[1]), "--out", str(out), *more]


def test_without_any_weights_every_paper_figure_is_skipped_by_its_file(
    folders: tuple[Path, Path], no_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = ("--seeds", "1 2", "--weights", str(folders[1] / "a.mp4"))
    assert training(flags(folders, tmp_path / "out", *stated)) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out" / "videos.md").read_text()
    for file in (
        "evaluation/pt_inception-2015-12-05-6726825d.pth",
        "evaluation/i3d_pretrained_400.pt",
        "evaluation/syncnet_v2.model",
        "insightface/models/buffalo_l/w600k_r50.onnx",
        "evaluation/alexnet-owt-7be5be79.pth",
        "evaluation/enet_b0_8_best_vgaf.onnx",
    ):
        assert f"| skipped: {file} |" in printed
    content = json.loads((tmp_path / "out" / "videos.json").read_text())
    facts, rows = content["facts"], {row["name"]: row for row in content["figures"]}
    assert {"FID", "FVD", "Sync-C", "Sync-D", "CSIM", "LPIPS", "Emo-A"} <= set(rows)
    assert all(not rows[name]["values"] for name in ("FID", "FVD", "Sync-C", "Sync-D", "CSIM", "LPIPS", "Emo-A"))
    assert facts["frames"] == 2 * FRAMES and facts["codec"] == "h264 yuv420p" and facts["seeds"] == "1 2"
    assert facts["sampler"] == "steps 20" and facts["models"].startswith("a.mp4 ")
    assert len(facts["films"]["sub/b"]["generated"]["sha256"]) == 64
    assert facts["commit"] and facts["films"]["a"]["generated"]["sampling"] == {"seed": [7], "steps": [20]}


class Blocks(nn.Module):
    """Stands for Inception and I3D, which take minutes here: the mean colours of 2 x 2 blocks, mixed."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.mix = nn.Linear(12, features)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        still = pictures.float().mean(2) if pictures.ndim == 5 else pictures.float()
        return self.mix(nn.functional.adaptive_avg_pool2d(still, 2).flatten(1))


class Trunk(AlexNet):
    """AlexNet without its classifier, which takes 230 MB and no part."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Identity())


@pytest.fixture
def small_networks(no_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with files of random numbers for networks that are as small as can be."""
    torch.manual_seed(0)
    folder = no_models / "evaluation"
    folder.mkdir(parents=True)
    monkeypatch.setattr(frechet_figures, "InceptionV3", lambda: Blocks(8))
    monkeypatch.setattr(frechet_figures, "InceptionI3d", lambda: Blocks(3))
    monkeypatch.setattr(frechet_figures, "FEATURES", 8)
    monkeypatch.setattr("training.evaluate.videos.film.SIZE", 96)
    monkeypatch.setattr(frechet_figures, "CLASSES", 3)
    monkeypatch.setattr(lpips_figures, "AlexNet", Trunk)
    named = {"pt_inception-2015-12-05-6726825d.pth": Blocks(8), "i3d_pretrained_400.pt": Blocks(3)}
    for name, net in {**named, "alexnet-owt-7be5be79.pth": Trunk()}.items():
        torch.save(net.state_dict(), folder / name)
    monkeypatch.setattr(checkpoints, "mismatch", lambda *given: "")
    heads = {key: torch.full(shape, 0.1) for key, shape in head_shapes().items()}
    monkeypatch.setattr(lpips_figures, "read_heads", lambda: heads)
    return no_models


def test_with_weights_the_figures_are_measured_and_a_second_run_gives_the_same(
    folders: tuple[Path, Path], small_networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = []
    for run in ("one", "two"):
        assert training(flags(folders, tmp_path / run, "--models", str(small_networks))) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert (tmp_path / "one" / "videos.json").read_bytes() == (tmp_path / "two" / "videos.json").read_bytes()
    rows = {row["name"]: row for row in json.loads((tmp_path / "one" / "videos.json").read_text())["figures"]}
    fid, fvd, lpips = (rows[name]["values"] for name in ("FID", "FVD", "LPIPS"))
    assert 0 < fid["generated"] < fid["ground truth"]  # pale pictures are nearer than other ones
    assert fid["still portrait"] > 0 and rows["FID"]["details"]["frames"]["still portrait"] == 2 * FRAMES
    assert fvd["generated"] > 0 and fvd["ground truth"] is None  # a window in each half is no covariance
    assert lpips["ground truth"] == 0 < lpips["generated"] and lpips["still portrait"] > 0
    assert "under 10000: compare equal counts only" in rows["FID"]["note"]
    assert len(rows["FVD"]["details"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ([k / 25 for k in range(8)], list(range(8))),
        ([k / 30 for k in range(12)], [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]),
        ([k / 50 for k in range(12)], [0, 2, 4, 6, 8, 10]),
        ([k / 12.5 for k in range(4)], [0, 0, 1, 1, 2, 2, 3, 3]),
        ([0, 0.04, 0.2, 0.24], [0, 1, 1, 1, 1, 2, 3]),
        ([0], [0]),
    ],
)
def test_frames_are_those_shown_every_40_ms(times: list[float], shown: list[int]) -> None:
    film = (Frame(np.full((1, 1, 3), k, np.uint8), time) for k, time in enumerate(times))
    assert [int(picture[0, 0, 0]) for picture in at_25_fps(film)] == shown


def face_track(x: float, y: float, eye: float, size: tuple[int, int] = (400, 400), frames: int = 20) -> Track:
    """A face whose eyes are ``eye`` apart about (x, y)."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-eye, eye, (478, 2)).astype(np.float32)
    for group, at in (((33, 133, 362, 263), (0, -0.3)), ((61, 291, 13, 14), (0, 0.5))):
        points[list(group)] = eye * np.array(at)
    points[[33, 133], 0], points[[362, 263], 0] = -eye / 2, eye / 2
    return Track(frames, *size, np.repeat((points + (x, y))[None].astype(np.float32), frames, 0))


def test_films_of_one_picture_are_cut_by_the_real_ones_square() -> None:
    real = face_track(200, 180, 60)
    half = face_track(103, 88, 31, (200, 200))
    ours, theirs, alike = crops(half, real)
    assert alike
    corners = torch.tensor([[0.0, 0.0], [512.0, 512.0]])
    assert torch.allclose(2 * move_points(corners, ours), move_points(corners, theirs), atol=1e-3)
    for other in (face_track(200, 180, 110), face_track(330, 180, 60), face_track(200, 180, 60, (400, 300))):
        ours, theirs, alike = crops(other, real)
        assert not alike
        centre = move_points(torch.tensor(other.landmarks[0].mean(0)), inverse(ours))
        assert bool(((centre > 150) & (centre < 360)).all())
    blind = replace(real, landmarks=None)
    assert crops(blind, real)[2]


def test_names_pair_films_and_mistakes_are_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    made, real = folders
    assert [one.name for one in find_pairs(made, real, None, None)] == ["a", "sub/b"]
    one = find_pairs(made / "a.mp4", real / "sub" / "b.mp4", None, None)
    assert [(p.generated.name, p.truth.name) for p in one] == [("a.mp4", "b.mp4")]
    shutil.copytree(made, tmp_path / "more")
    shutil.copy(made / "a.mp4", tmp_path / "more" / "stranger.mp4")
    with pytest.raises(UserError, match="has no film for stranger"):
        find_pairs(tmp_path / "more", real, None, None)
    shutil.copy(made / "a.mp4", tmp_path / "more" / "a.mov")
    with pytest.raises(UserError, match=r"holds a\.mov and a\.mp4"):
        find_pairs(tmp_path / "more", real, None, None)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no file that ends in .mp4"):
        find_pairs(tmp_path / "none", real, None, None)
    with pytest.raises(UserError, match="no folder and no file"):
        find_pairs(tmp_path / "absent", real, None, None)
    with pytest.raises(UserError, match="no file that ends in .png"):
        find_pairs(made, real, tmp_path / "none", None)
    short = write_film(tmp_path / "short.mp4", pictures(0, 5))
    with pytest.raises(UserError, match="5 frames .* at least 16"):
        open_clip(Paths("short", short, real / "a.mp4", None, Label()), None)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("name,text\na,hello\n", "has the columns name, text; expected clip"),
        ("clip,text\na,hello\na.mp4,again\n", "labels the clip a twice"),
        ("clip,emotion\nstranger,happy\n", "labels stranger, of which"),
        ("clip,emotion\na,furious\n", "asks for 'furious' of a; the emotions are angry"),
    ],
)
def test_a_wrong_table_of_labels_is_refused_first(
    folders: tuple[Path, Path], tmp_path: Path, table: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.csv").write_text(table)
    assert training(flags(folders, tmp_path / "out", "--labels", str(tmp_path / "labels.csv"))) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_labels_name_clips_by_their_films(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("\ufeffclip,emotion,text\nsub/b.mp4,Happy,Hello there\na,,\n")
    assert read_labels(tmp_path / "labels.csv") == {"sub/b": Label("happy", "Hello there"), "a": Label()}


@pytest.mark.parametrize("more", [("--videos", "x"), ("--truth", "x"), ("--videos=x",)])
def test_both_folders_are_asked_for(more: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert training(["evaluate", *more]) == 2
    assert "Give both --videos (the generated films) and --truth" in capsys.readouterr().err


def test_other_devices_and_absent_files_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--device is 'abacus'"):
        videos.main(flags(folders, tmp_path, "--device", "abacus")[1:])
    with pytest.raises(UserError, match="--weights names nowhere"):
        videos.main(flags(folders, tmp_path, "--weights", "nowhere")[1:])


class Brightness:
    """Stands for SyncNet: it sees how bright each frame of a window is and hears how loud each 40 ms are."""

    def __init__(self, blind: bool = False) -> None:
        self.blind = blind

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def see(self, windows: torch.Tensor) -> torch.Tensor:
        seen = windows[:, 0].mean((2, 3)) / 255
        return torch.zeros_like(seen) if self.blind else seen

    def hear(self, windows: torch.Tensor) -> torch.Tensor:
        return windows[:, 0].mean(1).view(-1, 5, 4).mean(2)


def loudness_steps(samples: np.ndarray) -> np.ndarray:
    """In place of MFCCs: the level of every 10 ms, in 13 equal rows."""
    level = np.abs(samples[: len(samples) // 160 * 160]).reshape(-1, 160).max(1)
    return np.repeat(level[None], 13, 0).astype(np.float32)


def flickering(tmp_path: Path, late: int) -> Clip:
    """Films whose brightness is the loudness of their sound, so many frames late in the generated one."""
    rng, frames = np.random.default_rng(3), 60
    level = rng.uniform(0.1, 0.9, frames)
    samples = np.repeat(level, 640).astype(np.float32)
    films = {}
    for name, lag in (("generated", late), ("ground truth", 0), ("still portrait", 0)):
        shades = np.full(frames, 0.5) if "still" in name else np.roll(level, lag)
        film = torch.from_numpy((255 * shades[:, None, None, None] * np.ones((1, 64, 64, 3))).astype(np.uint8))
        path = tmp_path / f"{name}.mp4"
        with VideoWriter(path, 25, Recording(samples[None], 16_000), VideoOptions(crf=1)) as video:
            video.write(film)
        points = np.random.default_rng(0).uniform(20, 44, (478, 2)).astype(np.float32)
        affine = torch.tensor([[0.125, 0, 0], [0, 0.125, 0]])
        films[name] = Film(path, frames, affine, np.repeat(8 * points[None], frames, 0), sound=path)
    return Clip("one", Label(), films, {}, True)


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


def test_silent_films_take_no_part_in_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncnet, "mfcc", loudness_steps)
    clip = flickering(tmp_path, 0)
    silent = replace(clip, name="silent", films={k: replace(film, sound=None) for k, film in clip.films.items()})
    found, _ = sync_figures.sync_figures([silent, clip], Brightness(), "")  # type: ignore[arg-type]
    assert set(found.details["clips"]["generated"]) == {"one"}
    with pytest.raises(Skipped, match="sound in any of the real films"):
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
    found = similarity(TEMPLATE @ turn.T + (30, -7), TEMPLATE)
    assert np.allclose((TEMPLATE @ turn.T + (30, -7)) @ found[:, :2].T + found[:, 2], TEMPLATE)
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
    film = torch.from_numpy(np.asarray(pictures(0, 1, 128)))
    points = face_track(64, 64, 40).landmarks[0]
    embedding = arcface(net, film[0].numpy(), points)
    assert embedding is not None and embedding.shape == (512,) and cosine(embedding, embedding) == pytest.approx(1)
    assert arcface(net, film[0].numpy(), np.full((478, 2), np.nan, np.float32)) is None
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
    film = torch.zeros(FRAMES, 64, 64, 3, dtype=torch.uint8)
    film[12:] = 250
    path = write_film(tmp_path / "film.mp4", film)
    shown = Film(path, FRAMES, torch.tensor([[0.125, 0, 0], [0, 0.125, 0]]), points)
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
    """A drawn person speaks espeak's words; the generated film is the same, its pictures five frames late."""
    for package in ("mediapipe", "pocketsphinx", "dlib", "face_recognition_models", "espeakng_loader"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from training.synthetic.clips import make_clip

    models = tmp_path / "models" / "detection"
    models.mkdir(parents=True)
    shutil.copy(LANDMARKER, models / "face_landmarker.task")
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path / "models"))
    clip = make_clip(3, "test", (2, 3), "espeak")
    identity, scene, pose = make_identity(clip.identity_seed), session_scene(7, clip.identity_seed), clip.motion.pose
    film = np.stack(
        [
            render(identity, scene, clip.rig[k].numpy(), pose.rotation[k].numpy(), pose.translation[k].numpy(), 1.3)
            for k in range(len(clip))
        ]
    )
    sound = Recording(clip.waveform.numpy()[None], 16_000)
    for name, late in (("real", 0), ("made", 5)):
        (tmp_path / name).mkdir()
        with VideoWriter(tmp_path / name / "one.mp4", 25, sound) as video:
            video.write(torch.from_numpy(film[[max(k - late, 0) for k in range(len(film))]]))
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
    from training.evaluate.videos.identity_figures import dlib_look, euclidean

    look: Callable[..., Any] = dlib_look()

    def seen(person: int, yaw: float) -> np.ndarray:
        picture = render(
            make_identity(person), session_scene(7, person), np.zeros(len(RIG)), (0, yaw, 0), (0, 0, 0), 1.3, 512
        )
        found = look(picture, None)
        assert found is not None
        return np.asarray(found)

    assert euclidean(seen(5, 0), seen(5, 8)) < 0.8 * euclidean(seen(5, 0), seen(11, 0))
    assert look(np.zeros((128, 128, 3), np.uint8), None) is None
