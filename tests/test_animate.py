"""A portrait follows a film: whole runs on a tiny face, any frame rate, and films with gaps, two faces or no sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from source_videos import draw_source_video
from torch import Tensor

from playmate_core.detection import detectors
from playmate_core.detection.crop import CropOptions
from playmate_core.detection.detect import Pick
from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceReading
from playmate_core.geometry import place_motion
from playmate_core.media.images import read_picture
from playmate_core.media.video_reader import has_sound, read_frames, video_facts
from playmate_core.media.video_writer import VideoWriter
from playmate_core.motion.driving import DrivingOptions
from playmate_core.motion.edit import Regions
from playmate_core.motion.motion_file import load_motion_clip, save_motion_clip
from playmate_core.pipelines.animate import AnimateRequest, animate, extract, source_video_keypoints
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.source_video import FaceVideoOptions, read_driving, read_source_video
from playmate_core.weights.files import load_face

#: Takes any film for what it shows, asks no detector.
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
def film(workshop: Path, speech_wave: Path) -> Path:
    """Ten frames at 30 a second, with sound."""
    path = workshop / "driving.mp4"
    with VideoWriter(path, 30.0, speech_wave) as video:
        for i in range(10):
            video.write(torch.from_numpy(scene(i % 5))[None])
    return path


@pytest.fixture(scope="module")
def motion_clip(workshop: Path, tiny_face: Path, film: Path) -> Path:
    path = workshop / "motion.safetensors"
    extract(film, path, PLAIN, tiny_face)
    return path


#: The head follows and the face stays as it is.
POSE_ONLY = DrivingOptions(regions=Regions(lips=0.0, eyes=0.0, expression=0.0))


def request(portrait: Path, driving: Path, output: Path, weights: Path, **changes: Any) -> AnimateRequest:
    facts = {"weights": weights, "limits": None, "film": PLAIN, "batch": 4, **changes}
    return AnimateRequest(portrait, driving, output, **facts)


def pictures(path: Path) -> list[np.ndarray]:
    return [frame.picture for frame in read_frames(path)]


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
    """A film without sound, as bright as its own time in seconds, with frames at ``times``."""
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


@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001, 60.0])
def test_a_film_drives_at_its_rate_and_shows_at_any(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, film: Path, fps: float
) -> None:
    out = tmp_path / "out.mp4"
    report = animate(request(portrait_picture, film, out, tiny_face, fps=fps))
    facts, shown = video_facts(out), pictures(out)
    assert report.frames == len(shown) == round(10 * fps / 30) and facts.fps == pytest.approx(fps, rel=1e-5)
    assert (facts.width, facts.height) == (96, 96) and has_sound(out)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_the_three_commands_agree(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, film: Path, motion_clip: Path
) -> None:
    """FrameInterpolation a motion into a file and rendering that is what animate does at once, to the last bit."""
    read = load_motion_clip(motion_clip)
    assert len(read.motion) == 10 and read.motion.fps == 30 and read.source == "driving.mp4"
    animate(request(portrait_picture, film, tmp_path / "a.mp4", tiny_face))
    animate(request(portrait_picture, motion_clip, tmp_path / "b.mp4", tiny_face))
    assert not has_sound(tmp_path / "b.mp4")
    for one, other in zip(pictures(tmp_path / "a.mp4"), pictures(tmp_path / "b.mp4"), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("portrait", ["picture", "film"])
def test_a_picture_drives(tmp_path: Path, tiny_face: Path, portrait_picture: Path, film: Path, portrait: str) -> None:
    """A picture is held under it for a second, a film moves on; what is not the driver's stays the portrait's."""
    out, driver = tmp_path / "out.mp4", tmp_path / "driver.png"
    cv2.imwrite(str(driver), scene(3))
    driven = portrait_picture if portrait == "picture" else film
    report = animate(request(driven, driver, out, tiny_face, crop="whole", fps=30.0))
    shown = pictures(out)
    assert report.frames == len(shown) == (30 if portrait == "picture" else 10)
    animate(request(driven, driver, tmp_path / "none.mp4", tiny_face, crop="whole", fps=30.0, how=HELD))
    moved = np.abs(np.stack(shown).astype(int) - np.stack(pictures(tmp_path / "none.mp4"))).mean((1, 2, 3))
    assert (moved > 0.05).all()


#: Nothing of the driver is taken.
HELD = DrivingOptions(regions=Regions(0.0, 0.0, 0.0, 0.0))


def test_a_film_of_no_steady_rate_is_read_by_the_clock(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.3, 0.34, 0.6, 0.62, 0.9, 1.0]
    film = glowing(tmp_path / "vfr.mp4", times)
    face: Any = Lamp()
    read = read_driving(face, film, PLAIN)
    seconds = torch.arange(len(read.motion)) / read.motion.fps
    length = len(read.motion) / read.motion.fps
    assert length == pytest.approx(1.0 + 0.06, abs=0.1)
    inside = seconds <= 1.0
    bright = 0.2 + 0.5 * seconds
    assert torch.allclose(read.motion.pose.translation[inside, 0], bright[inside], atol=0.02)


def test_a_face_that_is_lost_moves_on_a_straight_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = glowing(tmp_path / "f.mp4", [i / 25 for i in range(12)], (64, 96))

    def sees(image: Tensor) -> tuple[detectors.Face, ...]:
        number = round((float(image.mean()) - 0.2) / 0.5 * 25)
        return () if number in (4, 5) else (detectors.Face((30.0, 20.0, 60.0, 50.0)),)

    monkeypatch.setitem(detectors.DETECTORS, "lamp", lambda: sees)
    face: Any = Lamp()
    told: list[tuple[int, int]] = []
    read = read_driving(face, film, FaceVideoOptions("lamp"), lambda *step: told.append(step))
    place = read.motion.pose.translation[:, 0]
    assert torch.allclose(place[3:7], torch.lerp(place[3], place[6], torch.arange(4) / 3), atol=1e-6)
    assert told[-1] == (24, 24) and told == sorted(told)
    monkeypatch.setitem(detectors.DETECTORS, "lamp", lambda: lambda image: sees(image) if image.mean() < 0.3 else ())
    with pytest.raises(UserError, match=r"frames \(4-11\)"):
        read_driving(face, film, FaceVideoOptions("lamp"))


@pytest.fixture
def two_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector for films 192 wide: two faces side by side, one a little lower."""

    def sees(image: Tensor) -> tuple[detectors.Face, ...]:
        return (detectors.Face((20.0, 15.0, 74.0, 80.0)), detectors.Face((120.0, 20.0, 170.0, 80.0)))

    monkeypatch.setitem(detectors.DETECTORS, "pair", lambda: sees)


@pytest.fixture
def wide_film(tmp_path: Path, speech_wave: Path) -> Path:
    path = tmp_path / "wide.mp4"
    with VideoWriter(path, 25.0, speech_wave) as video:
        for i in range(8):
            video.write(torch.from_numpy(np.hstack([scene(i % 3), scene(-(i % 3))]))[None])
    return path


def test_a_film_of_somebody_is_driven_in_its_place(
    tmp_path: Path, tiny_face: Path, wide_film: Path, motion_clip: Path, two_heads: None
) -> None:
    face = load_face(tiny_face)
    options = FaceVideoOptions("pair", Pick("left", 1), CropOptions(scale=1.3), batch=3)
    source_video = read_source_video(face, wide_film, options)
    assert (
        len(source_video) == 8 and source_video.crops.shape == (8, 2, 3) and source_video.keypoints.shape == (8, 21, 3)
    )
    read = load_motion_clip(motion_clip).at(25.0)
    x_s, x_d = source_video_keypoints(face, source_video, read, DrivingOptions())
    drawn = torch.cat(list(draw_source_video(face, source_video, x_s, x_d, 3)))
    plate = np.stack(pictures(wide_film))
    assert len(drawn) == len(x_d) == 8  # 10 frames at 30 last as long as 8 at 25
    assert np.array_equal(drawn[:, :, :96].numpy(), plate[:, :, :96])  # the other head, bit for bit
    assert not np.array_equal(drawn[:, 30:70, 120:170].numpy(), plate[:, 30:70, 120:170])
    out = tmp_path / "out.mp4"
    changes = {"crop": "pair", "face": Pick("left", 1), "around": CropOptions(scale=1.3)}
    report = animate(request(wide_film, motion_clip, out, tiny_face, fps=50.0, **changes))
    assert report.frames == len(pictures(out)) == 16 and has_sound(out)
    with pytest.raises(UserError, match="always pasted back"):
        animate(request(wide_film, motion_clip, out, tiny_face, paste_back=False, **changes))


def test_a_face_at_the_edge_brings_no_darkness_into_the_picture(
    tmp_path: Path, speech_wave: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies beyond a white picture is white, in what is read of it and in what is drawn."""
    film, seen = tmp_path / "white.mp4", list[float]()
    with VideoWriter(film, 25.0, speech_wave) as video:
        video.write(torch.full((3, 64, 64, 3), 255, dtype=torch.uint8))
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
    read_driving(face, film, FaceVideoOptions("corner"))
    source_video = read_source_video(face, film, FaceVideoOptions("corner", crop=CropOptions()))
    x = torch.zeros(3, 21, 3)
    list(draw_source_video(face, source_video, x, x, profile="plain"))
    read_portrait(face, torch.ones(64, 64, 3), corner[0].box)
    assert len(seen) == 5 and min(seen) > 0.97


def test_a_film_nothing_drives_is_itself(tmp_path: Path, tiny_face: Path, film: Path, motion_clip: Path) -> None:
    face = load_face(tiny_face)
    source_video = read_source_video(face, film, PLAIN)
    still = Regions(0.0, 0.0, 0.0, 0.0)
    x_s, x_d = source_video_keypoints(
        face, source_video, load_motion_clip(motion_clip), DrivingOptions(regions=still, stitching=False)
    )
    assert torch.allclose(x_s, x_d, atol=1e-5)
    assert torch.allclose(x_s[3], place_motion(source_video.keypoints[3], source_video.motion[3:4])[0], atol=1e-6)


def test_the_mask_says_where_the_picture_may_change(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, motion_clip: Path
) -> None:
    mask = np.zeros((96, 96), np.uint8)
    mask[60:76, 30:66] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    animate(request(portrait_picture, motion_clip, tmp_path / "o.mp4", tiny_face, mask=tmp_path / "mask.png"))
    plate = (read_picture(portrait_picture) * 255).round().numpy()
    changed = np.abs(pictures(tmp_path / "o.mp4")[5] - plate).max(-1)
    assert changed[:50].mean() < 3 and changed[62:74, 34:62].mean() > 30  # H.264 leaves its own traces
    cv2.imwrite(str(tmp_path / "mask.png"), mask[:90])
    with pytest.raises(UserError, match="mask is 96 x 90 and the portrait 96 x 96"):
        animate(request(portrait_picture, motion_clip, tmp_path / "o.mp4", tiny_face, mask=tmp_path / "mask.png"))


def test_stopping_leaves_nothing(tmp_path: Path, tiny_face: Path, portrait_picture: Path, film: Path) -> None:
    def stop_at(stage: str) -> Any:
        def stop(name: str, done: int, total: int) -> None:
            if name == stage:
                raise KeyboardInterrupt

        return stop

    for stage in ("read driving video", "render and encode"):
        with pytest.raises(KeyboardInterrupt):
            animate(request(portrait_picture, film, tmp_path / "o.mp4", tiny_face), stop_at(stage))
    with pytest.raises(KeyboardInterrupt):
        extract(film, tmp_path / "m.safetensors", PLAIN, tiny_face, progress=stop_at("read motion"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def broken(tmp_path: Path, film: Path) -> Iterator[dict[str, Path]]:
    names = {name: tmp_path / name for name in ("empty.mp4", "half.mp4", "text.mp4", "mask.png")}
    names["empty.mp4"].touch()
    names["half.mp4"].write_bytes(film.read_bytes()[:2000])
    names["text.mp4"].write_text("no film at all")
    yield names


def test_mistakes_are_told_before_the_slow_part(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, film: Path, motion_clip: Path, broken: dict[str, Path]
) -> None:
    out = tmp_path / "o.mp4"
    for driving, says in (
        (broken["empty.mp4"], "empty"),
        (broken["half.mp4"], "cut short"),
        (broken["text.mp4"], "text"),
    ):
        with pytest.raises(UserError, match=says):
            animate(request(portrait_picture, driving, out, tiny_face))
        with pytest.raises(UserError, match=says):
            extract(driving, tmp_path / "m.safetensors", PLAIN, tiny_face)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    for changes, says in (
        ({"output": copy, "driving": copy}, "would overwrite"),
        ({"fps": 0.0}, "1 to 240"),
        ({"sound": portrait_picture}, "no audio"),
        ({"device": "toaster"}, "cannot be used"),
        ({"output": tmp_path / "o.avi"}, "must end in .mp4"),
        ({"how": DrivingOptions(close_lips=True)}, "how open they are"),
    ):
        facts: dict[str, Any] = {"portrait": portrait_picture, "driving": film, "output": out, "weights": tiny_face}
        with pytest.raises(UserError, match=says):
            animate(request(**{**facts, **changes}))
    assert not out.exists() and not (tmp_path / "m.safetensors").exists()


def test_a_motion_of_other_keypoints_moves_the_head_alone(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, motion_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs, ours = tmp_path / "theirs.safetensors", tmp_path / "ours.mp4"
    clip = load_motion_clip(motion_clip)
    save_motion_clip(replace(clip, motion=replace(clip.motion, keypoint_space="liveportrait")), theirs)
    animate(request(portrait_picture, motion_clip, ours, tiny_face))
    assert not caplog.records
    animate(request(portrait_picture, theirs, tmp_path / "foreign.mp4", tiny_face))
    assert caplog.text.count("the head moves, the face keeps the portrait's expression") == 1
    pose_only = replace(request(portrait_picture, motion_clip, tmp_path / "pose.mp4", tiny_face), how=POSE_ONLY)
    animate(pose_only)
    assert (tmp_path / "foreign.mp4").read_bytes() == (tmp_path / "pose.mp4").read_bytes() != ours.read_bytes()
