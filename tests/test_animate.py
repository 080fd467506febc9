"""A portrait follows a video: whole runs on a tiny face, any frame rate, gaps, two faces or no sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from driven_videos import PLAIN, motion_clip, pictures, request, scene, video  # noqa: F401

from playmate_core.errors import UserError
from playmate_core.media.images import read_picture
from playmate_core.media.video_reader import has_sound, video_facts
from playmate_core.motion.driving import DrivingOptions
from playmate_core.motion.edit import Regions
from playmate_core.motion.motion_file import load_motion_clip, save_motion_clip
from playmate_core.pipelines.animate import animate
from playmate_core.pipelines.extract import extract

#: The head follows and the face stays as it is.
POSE_ONLY = DrivingOptions(regions=Regions(lips=0.0, eyes=0.0, expression=0.0))


@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001, 60.0])
def test_a_video_drives_at_its_rate_and_shows_at_any(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, video: Path, fps: float
) -> None:
    out = tmp_path / "out.mp4"
    report = animate(request(portrait_picture, video, out, tiny_face, fps=fps))
    facts, shown = video_facts(out), pictures(out)
    assert report.frames == len(shown) == round(10 * fps / 30) and facts.fps == pytest.approx(fps, rel=1e-5)
    assert (facts.width, facts.height) == (96, 96) and has_sound(out)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_the_three_commands_agree(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, video: Path, motion_clip: Path
) -> None:
    """FrameInterpolation a motion into a file and rendering that is what animate does at once, to the last bit."""
    read = load_motion_clip(motion_clip)
    assert len(read.motion) == 10 and read.motion.fps == 30 and read.source == "driving.mp4"
    animate(request(portrait_picture, video, tmp_path / "a.mp4", tiny_face))
    animate(request(portrait_picture, motion_clip, tmp_path / "b.mp4", tiny_face))
    assert not has_sound(tmp_path / "b.mp4")
    for one, other in zip(pictures(tmp_path / "a.mp4"), pictures(tmp_path / "b.mp4"), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("portrait", ["picture", "film"])
def test_a_picture_drives(tmp_path: Path, tiny_face: Path, portrait_picture: Path, video: Path, portrait: str) -> None:
    """A picture is held under it for a second, a video moves on; what is not the driver's stays the portrait's."""
    out, driver = tmp_path / "out.mp4", tmp_path / "driver.png"
    cv2.imwrite(str(driver), scene(3))
    driven = portrait_picture if portrait == "picture" else video
    report = animate(request(driven, driver, out, tiny_face, crop="whole", fps=30.0))
    shown = pictures(out)
    assert report.frames == len(shown) == (30 if portrait == "picture" else 10)
    animate(request(driven, driver, tmp_path / "none.mp4", tiny_face, crop="whole", fps=30.0, how=HELD))
    moved = np.abs(np.stack(shown).astype(int) - np.stack(pictures(tmp_path / "none.mp4"))).mean((1, 2, 3))
    assert (moved > 0.05).all()


#: Nothing of the driver is taken.
HELD = DrivingOptions(regions=Regions(0.0, 0.0, 0.0, 0.0))


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


def test_stopping_leaves_nothing(tmp_path: Path, tiny_face: Path, portrait_picture: Path, video: Path) -> None:
    def stop_at(stage: str) -> Any:
        def stop(name: str, done: int, total: int) -> None:
            if name == stage:
                raise KeyboardInterrupt

        return stop

    for stage in ("read driving video", "render and encode"):
        with pytest.raises(KeyboardInterrupt):
            animate(request(portrait_picture, video, tmp_path / "o.mp4", tiny_face), stop_at(stage))
    with pytest.raises(KeyboardInterrupt):
        extract(video, tmp_path / "m.safetensors", PLAIN, tiny_face, progress=stop_at("read motion"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def broken(tmp_path: Path, video: Path) -> Iterator[dict[str, Path]]:
    names = {name: tmp_path / name for name in ("empty.mp4", "half.mp4", "text.mp4", "mask.png")}
    names["empty.mp4"].touch()
    names["half.mp4"].write_bytes(video.read_bytes()[:2000])
    names["text.mp4"].write_text("no video at all")
    yield names


def test_mistakes_are_told_before_the_slow_part(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, video: Path, motion_clip: Path, broken: dict[str, Path]
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
    copy.write_bytes(video.read_bytes())
    for changes, says in (
        ({"output": copy, "driving": copy}, "would overwrite"),
        ({"fps": 0.0}, "1 to 240"),
        ({"sound": portrait_picture}, "no audio"),
        ({"device": "toaster"}, "cannot be used"),
        ({"output": tmp_path / "o.avi"}, "must end in .mp4"),
        ({"how": DrivingOptions(close_lips=True)}, "how open they are"),
    ):
        facts: dict[str, Any] = {"portrait": portrait_picture, "driving": video, "output": out, "weights": tiny_face}
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
    assert "keeps the portrait's expression" not in caplog.text
    animate(request(portrait_picture, theirs, tmp_path / "foreign.mp4", tiny_face))
    assert caplog.text.count("the head moves, the face keeps the portrait's expression") == 1
    pose_only = replace(request(portrait_picture, motion_clip, tmp_path / "pose.mp4", tiny_face), how=POSE_ONLY)
    animate(pose_only)
    foreign, held, own = (np.stack(pictures(path)) for path in (tmp_path / "foreign.mp4", tmp_path / "pose.mp4", ours))
    assert np.array_equal(foreign, held) and not np.array_equal(foreign, own)
