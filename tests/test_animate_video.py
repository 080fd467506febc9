"""Videos as portraits and as drivers: lost faces, uneven rates, two heads, edges."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from driven_videos import PLAIN, motion_clip, pictures, request, scene, video  # noqa: F401
from source_videos import draw_source_video
from torch import Tensor

from playmate_core.detection import detectors
from playmate_core.detection.crop import CropOptions
from playmate_core.detection.detect import Pick
from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceReading
from playmate_core.geometry import place_motion
from playmate_core.media.video_reader import has_sound
from playmate_core.media.video_writer import VideoWriter
from playmate_core.motion.driving import DrivingOptions
from playmate_core.motion.edit import Regions
from playmate_core.motion.motion_file import load_motion_clip
from playmate_core.pipelines.animate import animate, source_video_keypoints
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.source_video import FaceVideoOptions, read_driving, read_source_video
from playmate_core.weights.files import load_face


class Lamp(torch.nn.Module):
    """A face network that reads how bright a picture is, as the head's place from left to right, and draws grey."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.motion, self.stitching = FaceConfig.tiny(), torch.nn.Linear(1, 1), None
        self.generator = torch.nn.Linear(1, 1)

    def read(self, image: Tensor) -> FaceReading:
        n = len(image)
        points = torch.linspace(-0.5, 0.5, 63).reshape(1, 21, 3).expand(n, -1, -1) ** 3
        place = torch.cat([image.mean((1, 2, 3))[:, None], torch.zeros(n, 2)], 1)
        return FaceReading(
            points, torch.zeros(n, 3), place, torch.ones(n, 1), torch.zeros(n, 21, 3), torch.zeros(n, 3, 66)
        )

    def appearance(self, image: Tensor) -> Tensor:
        return image[:, :, None]

    def draw(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        return torch.full((len(x_d), 3, 64, 64), 0.5)


def glowing(path: Path, times: list[float], size: tuple[int, int] = (64, 64)) -> Path:
    """A video without sound, as bright as its own time in seconds, with frames at ``times``."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = size[1], size[0], "yuv420p"
        stream.options = {"crf": "1"}
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            grey = np.full((*size, 3), round(255 * (0.2 + 0.5 * time)), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_video_of_no_steady_rate_is_read_by_the_clock(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.3, 0.34, 0.6, 0.62, 0.9, 1.0]
    video = glowing(tmp_path / "vfr.mp4", times)
    face: Any = Lamp()
    read = read_driving(face, video, PLAIN)
    seconds = torch.arange(len(read.motion)) / read.motion.fps
    length = len(read.motion) / read.motion.fps
    assert length == pytest.approx(1.0 + 0.06, abs=0.1)
    inside = seconds <= 1.0
    bright = 0.2 + 0.5 * seconds
    assert torch.allclose(read.motion.pose.translation[inside, 0], bright[inside], atol=0.02)


def test_a_face_that_is_lost_moves_on_a_straight_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = glowing(tmp_path / "f.mp4", [i / 25 for i in range(12)], (64, 96))

    def sees(image: Tensor) -> tuple[detectors.Face, ...]:
        number = round((float(image.mean()) - 0.2) / 0.5 * 25)
        return () if number in (4, 5) else (detectors.Face((30.0, 20.0, 60.0, 50.0)),)

    monkeypatch.setitem(detectors.DETECTORS, "lamp", lambda: sees)
    face: Any = Lamp()
    told: list[tuple[int, int]] = []
    read = read_driving(face, video, FaceVideoOptions("lamp"), lambda *step: told.append(step))
    place = read.motion.pose.translation[:, 0]
    assert torch.allclose(place[3:7], torch.lerp(place[3], place[6], torch.arange(4) / 3), atol=1e-6)
    assert told[-1] == (24, 24) and told == sorted(told)
    monkeypatch.setitem(detectors.DETECTORS, "lamp", lambda: lambda image: sees(image) if image.mean() < 0.3 else ())
    with pytest.raises(UserError, match=r"frames \(4-11\)"):
        read_driving(face, video, FaceVideoOptions("lamp"))


@pytest.fixture
def two_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector for videos 192 wide: two faces side by side, one a little lower."""

    def sees(image: Tensor) -> tuple[detectors.Face, ...]:
        return (detectors.Face((20.0, 15.0, 74.0, 80.0)), detectors.Face((120.0, 20.0, 170.0, 80.0)))

    monkeypatch.setitem(detectors.DETECTORS, "pair", lambda: sees)


@pytest.fixture
def wide_video(tmp_path: Path, speech_wave: Path) -> Path:
    path = tmp_path / "wide.mp4"
    with VideoWriter(path, 25.0, speech_wave) as writer:
        for i in range(8):
            writer.write(torch.from_numpy(np.hstack([scene(i % 3), scene(-(i % 3))]))[None])
    return path


def test_a_video_of_somebody_is_driven_in_its_place(
    tmp_path: Path, tiny_face: Path, wide_video: Path, motion_clip: Path, two_heads: None
) -> None:
    face = load_face(tiny_face)
    options = FaceVideoOptions("pair", Pick("left", 1), CropOptions(scale=1.3), batch=3)
    source_video = read_source_video(face, wide_video, options)
    assert (
        len(source_video) == 8 and source_video.crops.shape == (8, 2, 3) and source_video.keypoints.shape == (8, 21, 3)
    )
    read = load_motion_clip(motion_clip).at(25.0)
    x_s, x_d = source_video_keypoints(face, source_video, read, DrivingOptions())
    drawn = torch.cat(list(draw_source_video(face, source_video, x_s, x_d, 3)))
    plate = np.stack(pictures(wide_video))
    assert len(drawn) == len(x_d) == 8  # 10 frames at 30 last as long as 8 at 25
    assert np.array_equal(drawn[:, :, :96].numpy(), plate[:, :, :96])  # the other head, bit for bit
    assert not np.array_equal(drawn[:, 30:70, 120:170].numpy(), plate[:, 30:70, 120:170])
    out = tmp_path / "out.mp4"
    changes = {"crop": "pair", "face": Pick("left", 1), "around": CropOptions(scale=1.3)}
    report = animate(request(wide_video, motion_clip, out, tiny_face, fps=50.0, **changes))
    assert report.frames == len(pictures(out)) == 16 and has_sound(out)
    with pytest.raises(UserError, match="always pasted back"):
        animate(request(wide_video, motion_clip, out, tiny_face, paste_back=False, **changes))


def test_a_face_at_the_edge_brings_no_darkness_into_the_picture(
    tmp_path: Path, speech_wave: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies beyond a white picture is white, in what is read of it and in what is drawn."""
    video, seen = tmp_path / "white.mp4", list[float]()
    with VideoWriter(video, 25.0, speech_wave) as writer:
        writer.write(torch.full((3, 64, 64, 3), 255, dtype=torch.uint8))
    corner = (detectors.Face((0.0, 0.0, 30.0, 30.0)),)
    monkeypatch.setitem(detectors.DETECTORS, "corner", lambda: lambda image: corner)

    class Watching(Lamp):
        def read(self, image: Tensor) -> FaceReading:
            seen.append(float(image.min()))
            return super().read(image)

        def appearance(self, image: Tensor) -> Tensor:
            seen.append(float(image.min()))
            return super().appearance(image)

    face: Any = Watching()
    read_driving(face, video, FaceVideoOptions("corner"))
    source_video = read_source_video(face, video, FaceVideoOptions("corner", crop=CropOptions()))
    x = torch.zeros(3, 21, 3)
    list(draw_source_video(face, source_video, x, x, profile="plain"))
    read_portrait(face, torch.ones(64, 64, 3), corner[0].box)
    assert len(seen) == 5 and min(seen) > 0.97


def test_a_video_nothing_drives_is_itself(tmp_path: Path, tiny_face: Path, video: Path, motion_clip: Path) -> None:
    face = load_face(tiny_face)
    source_video = read_source_video(face, video, PLAIN)
    still = Regions(0.0, 0.0, 0.0, 0.0)
    x_s, x_d = source_video_keypoints(
        face, source_video, load_motion_clip(motion_clip), DrivingOptions(regions=still, stitching=False)
    )
    assert torch.allclose(x_s, x_d, atol=1e-5)
    assert torch.allclose(x_s[3], place_motion(source_video.keypoints[3], source_video.motion[3:4])[0], atol=1e-6)
