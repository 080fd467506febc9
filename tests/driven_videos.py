"""Videos that drive and are driven, and a face network that reads light."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines.animate import AnimateRequest
from playmate_core.pipelines.extract import extract
from playmate_core.rendering.source_video import FaceVideoOptions

#: Takes any video for what it shows, asks no detector.
PLAIN = FaceVideoOptions(where="whole")


def scene(shift: int, height: int = 96, width: int = 96) -> np.ndarray:
    """A face of ellipses whose mouth opens with ``shift``."""
    picture = np.full((height, width, 3), (190, 170, 150), np.uint8)
    x, y = width // 2 + shift, height // 2
    cv2.ellipse(picture, (x, y), (26, 34), 0, 0, 360, (140, 170, 225), -1)
    for side in (-10, 10):
        cv2.circle(picture, (x + side, y - 6), 4, (60, 40, 30), -1)
    cv2.ellipse(picture, (x, y + 18), (10, 3 + shift % 4), 0, 0, 360, (70, 70, 180), -1)
    return picture


@pytest.fixture(scope="module")
def video(workshop: Path, speech_wave: Path) -> Path:
    """Ten frames at 30 a second, with sound."""
    path = workshop / "driving.mp4"
    with VideoWriter(path, 30.0, speech_wave) as writer:
        for i in range(10):
            writer.write(torch.from_numpy(scene(i % 5))[None])
    return path


@pytest.fixture(scope="module")
def motion_clip(workshop: Path, tiny_face: Path, video: Path) -> Path:
    path = workshop / "driving_motion.safetensors"
    extract(video, path, PLAIN, tiny_face)
    return path


def request(portrait: Path, driving: Path, output: Path, weights: Path, **changes: Any) -> AnimateRequest:
    facts = {"weights": weights, "limits": None, "video": PLAIN, "batch": 4, **changes}
    return AnimateRequest(portrait, driving, output, **facts)


def pictures(path: Path) -> list[np.ndarray]:
    return [frame.picture for frame in read_frames(path)]
