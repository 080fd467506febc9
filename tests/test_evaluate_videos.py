"""``evaluate --videos --truth`` from the files to the table: pairs, frames, crops, every judge, and what is skipped."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from judged_videos import (
    FRAMES,
    face_track,
    flags,
    folders,  # noqa: F401
    no_host,  # noqa: F401
    pictures,
    write_video,
)
from torch import nn

from playmate_core.detection.crop import inverse, move_points
from playmate_core.errors import UserError
from playmate_core.media.video_reader import Frame
from training.__main__ import main as training
from training.evaluate import videos
from training.evaluate.videos import checkpoints, frechet_figures, lpips_figures
from training.evaluate.videos.clips import Label, Paths, crops, find_pairs, open_clip, read_labels
from training.evaluate.videos.cropped_video import at_25_fps
from training.evaluate.videos.lpips import AlexNet, head_shapes


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No folder of models but one that is empty, and no package that finds faces."""
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(videos, "available", lambda: ())
    return tmp_path / "models"


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
    monkeypatch.setattr("training.evaluate.videos.cropped_video.SIZE", 96)
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
    video = (Frame(np.full((1, 1, 3), k, np.uint8), time) for k, time in enumerate(times))
    assert [int(picture[0, 0, 0]) for picture in at_25_fps(video)] == shown


def test_videos_of_one_picture_are_cut_by_the_real_ones_square() -> None:
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


def test_names_pair_videos_and_mistakes_are_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    made, real = folders
    assert [one.name for one in find_pairs(made, real, None, None)] == ["a", "sub/b"]
    one = find_pairs(made / "a.mp4", real / "sub" / "b.mp4", None, None)
    assert [(p.generated.name, p.truth.name) for p in one] == [("a.mp4", "b.mp4")]
    shutil.copytree(made, tmp_path / "more")
    shutil.copy(made / "a.mp4", tmp_path / "more" / "stranger.mp4")
    with pytest.raises(UserError, match="has no video for stranger"):
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
    short = write_video(tmp_path / "short.mp4", pictures(0, 5))
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


def test_labels_name_clips_by_their_videos(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("\ufeffclip,emotion,text\nsub/b.mp4,Happy,Hello there\na,,\n")
    assert read_labels(tmp_path / "labels.csv") == {"sub/b": Label("happy", "Hello there"), "a": Label()}


@pytest.mark.parametrize("more", [("--videos", "x"), ("--truth", "x"), ("--videos=x",)])
def test_both_folders_are_asked_for(more: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert training(["evaluate", *more]) == 2
    assert "Give both --videos (the generated videos) and --truth" in capsys.readouterr().err


def test_other_devices_and_absent_files_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--device is 'abacus'"):
        videos.main(flags(folders, tmp_path, "--device", "abacus")[1:])
    with pytest.raises(UserError, match="--weights names nowhere"):
        videos.main(flags(folders, tmp_path, "--weights", "nowhere")[1:])
