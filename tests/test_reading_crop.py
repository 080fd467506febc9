"""From pixels to keypoints as the reference goes: 512 pixels cut in uint8, halved by area, then read in float32.

The expected crops are written down here from docs/liveportrait.md 6.3 to 6.5 with OpenCV alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from playmate_core.detection.crop import CropOptions, crop_to_image, square_from_landmarks
from playmate_core.detection.reading_crop import ReadingCrop
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.media.images import read_picture
from playmate_core.rendering.portrait import read_portrait, to_reader
from playmate_core.rendering.source_video import FaceVideoOptions, read_driving, read_driving_picture, read_source_video
from training.prepare.motion import CropStatistics, ReadMotion

#: Asked of a portrait's keypoints; half of a pixel is 4e-3 of the crop, a quarter 2e-3.
KEYPOINT_ERROR = 5e-5
#: A tilted face, away from the middle: left eye, right eye, nose, corners of the mouth.
LANDMARKS = torch.tensor([[300.0, 210.0], [390.0, 228.0], [338.0, 262.0], [292.0, 300.0], [362.0, 316.0]])
Picture = NDArray[np.uint8]


def reference_crop(picture: Picture, scale: float, vy: float, rotated: bool) -> Picture:
    """The crop (256, 256, 3) of the five landmarks, by sections 6.3 and 6.4."""
    points = LANDMARKS.numpy().astype(np.float64)
    eyes, mouth = (points[0] + points[1]) / 2, (points[3] + points[4]) / 2
    uy = (mouth - eyes) / np.linalg.norm(mouth - eyes)
    ux = np.array([uy[1], -uy[0]])
    turned = (points - points.mean(0)) @ np.stack([ux, uy]).T
    low, high = turned.min(0), turned.max(0)
    side = (high - low).max() * scale
    centre = points.mean(0) + (low + high) / 2 @ np.stack([ux, uy]) + uy * vy * side
    angle = math.atan2(ux[1], ux[0]) if rotated else 0.0
    s, cos, sin = 512 / side, math.cos(angle), math.sin(angle)
    x, y = centre
    to_crop = np.array(
        [[s * cos, s * sin, 256 - s * (cos * x + sin * y)], [-s * sin, s * cos, 256 - s * (-sin * x + cos * y)]]
    )
    wide = cv2.warpAffine(picture, to_crop, (512, 512), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(wide, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)


def keypoints(face: FaceModel, crop: Picture) -> Tensor:
    with torch.inference_mode():
        return face.read(to_reader(face, torch.from_numpy(crop)[None].float() / 255)).keypoints[0]


@pytest.fixture(scope="module")
def face() -> FaceModel:
    """LivePortrait's sizes, few channels: what counts is the crop that M reads."""
    torch.manual_seed(4)
    return FaceModel(replace(FaceConfig.tiny(), image_size=256)).eval()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture with edges at every scale, so that a shift of a fraction of a pixel shows."""
    noise = np.random.default_rng(7)
    layers = [cv2.resize(noise.uniform(0, 255, (n, n * 4 // 3, 3)), (640, 480)) for n in (12, 48, 240)]
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    assert cv2.imwrite(str(path), np.mean(layers, 0).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def video(photo: Path) -> Path:
    """Five frames of it, without loss."""
    path = photo.with_suffix(".mkv")
    picture = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "bgr0"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def pixels(photo: Path) -> Picture:
    return np.asarray(cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB), np.uint8)


def test_a_portrait_is_read_as_the_reference_reads_it(face: FaceModel, photo: Path) -> None:
    wanted = keypoints(face, reference_crop(pixels(photo), 2.3, -0.125, True))
    portrait = read_portrait(face, read_picture(photo), LANDMARKS)
    assert float((portrait.keypoints - wanted).abs().max()) < KEYPOINT_ERROR


def test_a_source_video_is_read_as_the_reference_reads_it(face: FaceModel, photo: Path, video: Path) -> None:
    wanted = keypoints(face, reference_crop(pixels(photo), 2.3, -0.125, True))
    read = read_source_video(face, video, FaceVideoOptions(LANDMARKS, crop=CropOptions()))
    assert float((read.keypoints - wanted).abs().max()) < KEYPOINT_ERROR


@pytest.mark.parametrize("moving", [False, True])
def test_what_drives_is_read_as_the_reference_reads_it(face: FaceModel, photo: Path, video: Path, moving: bool) -> None:
    crop = torch.from_numpy(reference_crop(pixels(photo), 2.2, -0.1, False))
    with torch.inference_mode():
        wanted = face.read(to_reader(face, crop[None].float() / 255))
    options = FaceVideoOptions(LANDMARKS)
    read = (read_driving(face, video, options) if moving else read_driving_picture(face, photo, options)).motion
    assert float((read.expression - wanted.expression).abs().max()) < KEYPOINT_ERROR
    assert float((read.pose.translation - wanted.translation).abs().max()) < KEYPOINT_ERROR


def test_the_crop_is_the_reference_to_one_level(photo: Path) -> None:
    square = square_from_landmarks(LANDMARKS, CropOptions(2.2, -0.1, upright=True))
    got = ReadingCrop.of(square, 480, 640, FaceConfig()).read(pixels(photo))
    off = np.abs(got.numpy() * 255 - reference_crop(pixels(photo), 2.2, -0.1, False).astype(np.float32))
    assert off.max() <= 1.001 and off.mean() < 0.02


def test_a_quarter_of_a_pixel_would_show(photo: Path) -> None:
    """The control: a cut straight at 256 pixels is off by more than the bounds above."""
    square = square_from_landmarks(LANDMARKS, CropOptions(2.2, -0.1, upright=True))
    straight = ReadingCrop(crop_to_image(square, 256), 256, 256).read(pixels(photo))
    off = np.abs(straight.numpy() * 255 - reference_crop(pixels(photo), 2.2, -0.1, False).astype(np.float32))
    assert off.max() > 5


def test_a_whole_picture_of_the_right_size_is_read_as_it_is(photo: Path) -> None:
    picture = pixels(photo)[:256, :256]
    assert torch.equal(
        ReadingCrop.of(None, 256, 256, FaceConfig()).read(picture), torch.from_numpy(picture).float() / 255
    )


def test_prepare_reads_clips_from_the_reference_crop(face: FaceModel, photo: Path, video: Path) -> None:
    square = square_from_landmarks(LANDMARKS, CropOptions(2.2, -0.1, upright=True))
    facts = {"crop": (square.x, square.y, square.side), "fps": 25.0}
    item = SimpleNamespace(entry=SimpleNamespace(video=video.name), begin=0.0, end=0.2, facts=facts)
    read = ReadMotion(video.parent, "", "", "cpu")._crops(item, face, CropStatistics())  # type: ignore[arg-type]
    crops = torch.stack(list(read)).numpy() * 255
    off = np.abs(crops - reference_crop(pixels(photo), 2.2, -0.1, False).astype(np.float32))
    assert len(crops) == 5 and off.max() <= 1.001 and off.mean() < 0.02
