"""Options of LivePortrait's command line on ours: the driving crop, detection scores, sound, smoothing, columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from driven_videos import PLAIN, motion_clip, pictures, request, scene, video  # noqa: F401

from playmate_core.cli import animate as commands
from playmate_core.cli.main import MISTAKE, main
from playmate_core.cli.main import parser as command_parser
from playmate_core.detection import detectors
from playmate_core.detection.crop import DRIVING_CROP, CropOptions
from playmate_core.detection.detect import detector, select_face
from playmate_core.errors import UserError
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines.animate import AnimateRequest, animate, find_request_sound
from playmate_core.rendering import segments
from playmate_core.rendering.source_video import FaceVideoOptions, read_source_video
from playmate_core.weights.files import load_face

BOX = detectors.Face((30.0, 20.0, 60.0, 50.0))


def parsed(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[Any, ...]:
    """What a command hands to the pipeline for these words."""
    seen: list[tuple[Any, ...]] = []
    for name in ("animate", "extract"):
        monkeypatch.setattr(commands, name, lambda *given: seen.append(given))
    monkeypatch.setattr(commands, "summary", lambda *_: "")
    assert main(list(words)) == 0
    return seen[0]


def test_the_driving_crop_has_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["animate", "me.png", "dance.mp4", "-o", "out.mp4"]
    assert parsed(monkeypatch, *both)[0].video.crop == DRIVING_CROP
    flags = ["--driving-scale", "2.6", "--driving-shift", "-0.2", "--driving-aside", "0.05", "--crop-scale", "2"]
    asked: AnimateRequest = parsed(monkeypatch, *both, *flags)[0]
    assert asked.video.crop == CropOptions(2.6, -0.2, True, 0.05) and asked.around.scale == 2
    flags = ["--crop-scale", "2.6", "--crop-shift", "-0.2", "--crop-aside", "0.05", "--threshold", "0.3"]
    options = parsed(monkeypatch, "motion", "dance.mp4", "-o", "m.safetensors", *flags)[2]
    assert options.crop == CropOptions(2.6, -0.2, True, 0.05) and options.threshold == 0.3


def test_the_other_flags_reach_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["animate", "me.png", "dance.mp4", "-o", "out.mp4", "--threshold", "0.2", "--driving-threshold", "0.4"]
    asked: AnimateRequest = parsed(
        monkeypatch, *words, "--crop-smoothing", "0", "--sound-from", "source", "--side-by-side"
    )[0]
    assert (asked.threshold, asked.video.threshold, asked.video.smoothing) == (0.2, 0.4, 0.0)
    assert asked.sound_from == "source" and asked.side_by_side
    plain = parsed(monkeypatch, *words[:5])[0]
    assert (plain.threshold, plain.video.smoothing, plain.sound_from) == (None, 1e-4, "driving")
    assert not plain.side_by_side
    assert main([*words, "--sound-from", "nobody"]) == MISTAKE == main([*words[:5], "--threshold", "1.5"])


def test_help_names_the_smoothing_of_video_portraits(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        command_parser().parse_args(["animate", "--help"])
    assert "3e-7 is LivePortrait's default for video portraits" in " ".join(capsys.readouterr().out.split())


def scored(score: float) -> Callable[..., detectors.Detector]:
    """A constructor of detectors that find one face of this score, by default from 0.5 on."""
    return lambda threshold=0.5: lambda image: (BOX,) if score >= threshold else ()


def test_a_threshold_decides_what_counts_as_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(detectors.DETECTORS, "scored", scored(0.4))
    picture = torch.zeros(96, 96, 3)
    assert not detector("scored")(picture) and detector("scored", 0.3)(picture)
    with pytest.raises(UserError, match="No face"):
        select_face(picture, "scored")
    assert select_face(picture, "scored", threshold=0.3).face == BOX


def test_a_threshold_counts_for_portrait_and_driving(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(detectors.DETECTORS, "scored", scored(0.4))
    asked = request(
        portrait_picture, video, tmp_path / "o.mp4", tiny_face, crop="scored", video=FaceVideoOptions("scored")
    )
    low = FaceVideoOptions("scored", threshold=0.3)
    for wrong in (asked, replace(asked, threshold=0.3), replace(asked, video=low)):
        with pytest.raises(UserError):
            animate(wrong)
    assert animate(replace(asked, threshold=0.3, video=low)).frames == 10


def test_sound_is_taken_from_either_video(
    tmp_path: Path, video: Path, portrait_picture: Path, speech_wave: Path
) -> None:
    def source(request: AnimateRequest) -> Path | None:
        found = find_request_sound(request)
        return found and found.path

    speaking, silent = tmp_path / "speaking.mp4", tmp_path / "silent.mp4"
    for path, sound in ((speaking, speech_wave), (silent, None)):
        with VideoWriter(path, 25.0, sound) as writer:
            writer.write(torch.zeros(4, 64, 64, 3, dtype=torch.uint8))
    asked = AnimateRequest(speaking, video, tmp_path / "o.mp4")
    assert source(asked) == video and source(replace(asked, sound_from="source")) == speaking
    assert source(replace(asked, portrait=silent, sound_from="source")) == video
    assert source(replace(asked, driving=silent)) == speaking
    with pytest.raises(ValueError, match="sound_from"):
        replace(asked, sound_from="nobody")


def test_crops_of_a_video_portrait_are_as_detected_on_request(
    tmp_path: Path, tiny_face: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A face that trembles by two pixels; its crops tremble as much only where they are not smoothed."""
    path, number = tmp_path / "v.mp4", iter(range(1000))

    def sees(image: torch.Tensor) -> tuple[detectors.Face, ...]:
        off = 2.0 * (next(number) % 2)
        return (detectors.Face((30.0 + off, 20.0, 60.0 + off, 50.0)),)

    monkeypatch.setitem(detectors.DETECTORS, "lamp", lambda: sees)
    with VideoWriter(path, 25.0) as video:
        video.write(torch.from_numpy(np.stack([scene(i % 2) for i in range(12)])))
    face = load_face(tiny_face)

    def trembling(smoothing: float) -> float:
        options = FaceVideoOptions("lamp", crop=CropOptions(scale=1.3), smoothing=smoothing)
        return float(read_source_video(face, path, options).crops[:, 0, 2].diff().abs().mean())

    assert trembling(0.0) == pytest.approx(2.0, abs=0.05) and trembling(1e-4) < 1.0


def test_side_by_side_shows_source_driving_and_result(
    tmp_path: Path,
    tiny_face: Path,
    portrait_picture: Path,
    video: Path,
    motion_clip: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The right column is the plain result, also across segments; the others are the pictures that were given."""
    plain = request(portrait_picture, video, tmp_path / "plain.mp4", tiny_face, fps=15.0)
    animate(plain)
    monkeypatch.setattr(segments, "PART", 3)
    animate(replace(plain, output=tmp_path / "row.mp4", side_by_side=True))
    rows, results = pictures(tmp_path / "row.mp4"), pictures(tmp_path / "plain.mp4")
    driving, portrait = pictures(video), cv2.imread(str(portrait_picture))[..., ::-1]
    assert len(rows) == len(results) == 5 and rows[0].shape == (96, 3 * 96, 3)
    for i, (row, result) in enumerate(zip(rows, results, strict=True)):
        for column, wanted in enumerate((portrait, driving[2 * i], result)):
            shown = row[:, 96 * column + 4 : 96 * (column + 1) - 4].astype(int)
            assert np.abs(shown - wanted[:, 4:-4]).mean() < 4  # H.264 twice
    animate(replace(plain, output=tmp_path / "two.mp4", driving=motion_clip, side_by_side=True, paste_back=False))
    assert pictures(tmp_path / "two.mp4")[0].shape == (64, 128, 3)


def test_side_by_side_scales_columns_to_the_result(tmp_path: Path, tiny_face: Path, video: Path) -> None:
    """A video portrait under a driving picture of another height, which stays while the portrait moves on."""
    driver = tmp_path / "driver.png"
    cv2.imwrite(str(driver), cv2.resize(scene(3), (192, 288)))
    animate(request(video, driver, tmp_path / "o.mp4", tiny_face, crop="whole", side_by_side=True, video=PLAIN))
    rows, source = pictures(tmp_path / "o.mp4"), [frame.picture for frame in read_frames(video)]
    assert len(rows) == 10 and rows[0].shape == (96, 96 + 64 + 96, 3)
    for row, picture in zip(rows, source, strict=True):
        assert np.abs(row[:, 4:92].astype(int) - picture[:, 4:92]).mean() < 4
