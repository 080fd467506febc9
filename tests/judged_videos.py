"""Videos and small networks to judge them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from playmate_core.host import HOST
from playmate_core.media.audio_files import Recording
from playmate_core.media.video_options import VideoOptions
from playmate_core.media.video_writer import VideoWriter
from training.evaluate.videos.cropped_video import LandmarkTrack

FRAMES = 18


def pictures(seed: int, frames: int = FRAMES, size: int = 64) -> torch.Tensor:
    """A disc that wanders over noise, (n, S, S, 3)."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.integers(0, 255, (8, 8, 3), np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    video = []
    for k in range(frames):
        picture = ground.copy()
        at = (size // 2 + round(size / 6 * np.sin(k / 5 + seed)), size // 2)
        cv2.circle(picture, at, size // 5, (200, 160, 140), -1)
        video.append(picture)
    return torch.from_numpy(np.stack(video))


def write_video(path: Path, video: torch.Tensor, tags: tuple[tuple[str, str], ...] = (), sound: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 0.1, (1, len(video) * 640)).astype(np.float32)
    with VideoWriter(path, 25, Recording(noise, 16_000) if sound else None, VideoOptions(tags=tags)) as writer:
        writer.write(video)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two real videos and two generated ones that have less contrast."""
    root = tmp_path_factory.mktemp("films")
    prompt = json.dumps({"1": {"inputs": {"seed": 7, "steps": 20, "model": ["2", 0]}}})
    for seed, name in enumerate(("a", "sub/b")):
        video = pictures(seed)
        write_video(root / "real" / f"{name}.mp4", video)
        write_video(root / "made" / f"{name}.mp4", video // 2 + 66, (("prompt", prompt),))
    return root / "made", root / "real"


def flags(folders: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    return ["evaluate", "--videos", str(folders[0]), "--truth", str(folders[1]), "--out", str(out), *more]


def face_track(x: float, y: float, eye: float, size: tuple[int, int] = (400, 400), frames: int = 20) -> LandmarkTrack:
    """A face whose eyes are ``eye`` apart about (x, y)."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-eye, eye, (478, 2)).astype(np.float32)
    for group, at in (((33, 133, 362, 263), (0, -0.3)), ((61, 291, 13, 14), (0, 0.5))):
        points[list(group)] = eye * np.array(at)
    points[[33, 133], 0], points[[362, 263], 0] = -eye / 2, eye / 2
    return LandmarkTrack(frames, *size, np.repeat((points + (x, y))[None].astype(np.float32), frames, 0))


@pytest.fixture(autouse=True)
def no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--models`` is remembered for a process; here for a test."""
    monkeypatch.setattr(HOST, "_model_folders", lambda category: ())
