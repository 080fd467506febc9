"""Sound and pictures lie where their timestamps say: late, with holes, with priming, at no steady rate."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from media_files import RATE, Track, click, flash, make_video, onset, save_wav
from shared_facts import SHARED

from playmate_core.face import FaceModel
from playmate_core.media import video_reader
from playmate_core.media.audio_files import read_sound
from playmate_core.media.sound_source import find_sound
from playmate_core.media.timestamps import Timeline
from playmate_core.media.video_reader import Frame, read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.motion.pose import ROTATION_ONLY
from playmate_core.motion.pose_sources import FollowOptions
from playmate_core.pipelines.stages import follow_video
from playmate_core.rendering import timed_motion
from playmate_core.rendering.footage import VideoFile
from playmate_core.rendering.source_video import _pictures
from playmate_core.values import Motion, Pose

FIELD = SHARED / "field"
CONTAINERS = ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.avi", "a.flv"]


def flashed(path: Path) -> float:
    """When the first bright picture is shown."""
    return next(frame.time for frame in read_frames(path) if frame.picture.mean() > 128)


def written(tmp_path: Path, video: Path) -> Path:
    """The video's pictures and sound written anew as the pipelines do."""
    out = tmp_path / "out.mp4"
    with VideoWriter(out, 25.0, find_sound(video)) as writer:
        for frame in read_frames(video):
            writer.write(torch.from_numpy(frame.picture)[None])
    return out


def apart(video: Path) -> float:
    """By how much the click comes after the flash, read as we read a video."""
    sound = read_sound(video)
    return onset(sound.waveform, sound.rate) - flashed(video)


@pytest.mark.parametrize("name", CONTAINERS)
def test_flash_and_click_stay_together(tmp_path: Path, name: str) -> None:
    # An AVI keeps no timestamps, so that H.264's would be guessed.
    codecs = ("mpeg4", "pcm_s16le") if name == "a.avi" else ("libx264", "aac")
    video = make_video(tmp_path / name, tracks=[Track(click())], codecs=codecs)
    assert apart(video) == pytest.approx(0, abs=0.004)
    assert apart(written(tmp_path, video)) == pytest.approx(0, abs=0.004)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.flv"])
@pytest.mark.parametrize("start", [0.378, 1.2])
def test_sound_that_begins_late_stays_late(tmp_path: Path, name: str, start: float) -> None:
    video = make_video(tmp_path / name, tracks=[Track(click(2.0, 0.5), start)])
    expected = start + 0.5 - 1.0
    assert apart(video) == pytest.approx(expected, abs=0.004)
    assert apart(written(tmp_path, video)) == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.flv"])
def test_holes_in_the_sound_are_silent(tmp_path: Path, name: str) -> None:
    video = make_video(tmp_path / name, tracks=[Track(click(), hole=(0.2, 0.53))])
    sound = read_sound(video)
    assert onset(sound.waveform, sound.rate) == pytest.approx(1.0, abs=0.004)
    quiet = sound.waveform[round(0.27 * sound.rate) : round(0.5 * sound.rate)]
    assert not quiet.any() and sound.seconds == pytest.approx(2.0, abs=0.05)
    assert apart(written(tmp_path, video)) == pytest.approx(0, abs=0.004)


def test_pictures_may_begin_after_the_sound(tmp_path: Path) -> None:
    """The video begins with its first picture; as speech, what was said before it is kept."""
    video = make_video(tmp_path / "a.mkv", [0.52 + i / 25 for i in range(50)], [Track(click(2.5))])
    assert apart(video) == pytest.approx(0, abs=0.004)
    kept = read_sound(find_sound(video, keep_lead=True))
    assert onset(kept.waveform, kept.rate) == pytest.approx(1.0, abs=0.03)


def test_sound_alone_begins_with_its_first_sample(tmp_path: Path) -> None:
    for name, codec in (("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.mka", "aac"), ("a.opus", "libopus")):
        sound = read_sound(make_video(tmp_path / name, (), [Track(click(), 0.7)], codecs=("", codec)))
        assert onset(sound.waveform, sound.rate) == pytest.approx(1.0, abs=0.03), name


def test_every_rate_and_layout_is_filled_with_silence(tmp_path: Path) -> None:
    for codec, channels in (("pcm_u8", 1), ("pcm_s16le", 2), ("pcm_s32le", 6), ("pcm_f32le", 2)):
        video = make_video(
            tmp_path / "a.mkv", tracks=[Track(click(2.0, 0.5, channels), 0.5)], codecs=("libx264", codec)
        )
        sound = read_sound(video)
        assert np.abs(sound.waveform[: round(0.49 * sound.rate)]).max() < 0.01, codec
        assert np.flatnonzero(np.abs(sound.waveform) > 0.1)[0] / sound.rate == pytest.approx(1.0, abs=0.004), codec


def test_jitter_neither_inserts_nor_drops(tmp_path: Path) -> None:
    """Matroska counts milliseconds: 21.33 ms packets lie up to half a millisecond off, and nothing is done about it."""
    sound = read_sound(make_video(tmp_path / "a.mkv", tracks=[Track(click(10.0, 9.0))]))
    assert onset(sound.waveform, sound.rate) == pytest.approx(9.0, abs=0.004)
    hum = sound.waveform[8000 : 8 * 16_000]
    assert np.abs(np.diff(hum)).max() < 0.001  # a sample that is missing or doubled would show as a jump


def test_timestamps_that_begin_anew_or_leap_go_on() -> None:
    line = Timeline(5.0, length=10.0)
    assert line.at(5.0, None) == 0 and line.at(6.0, 1.0) == 1.0
    assert line.at(1.0, 2.0) == 2.0 and line.at(1.5, 2.5) == 2.5  # joined recordings
    assert line.at(90_000.0, 3.0) == 3.0 and line.at(90_000.5, 3.5) == 3.5  # the clock was set
    assert line.at(None, 4.0) == 4.0
    unknown = Timeline(0.0)
    assert unknown.at(30.0, 1.0) == 30.0 and unknown.at(500.0, 31.0) == 31.0
    assert Timeline(0.0).at(9000.0, None) == 0.0  # hours of silence first are nobody's sound


def test_pictures_at_no_steady_rate_keep_their_times(tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 0.5, 0.54, 1.0, 1.04, 1.8]
    video = make_video(tmp_path / "a.mp4", times)
    assert [frame.time for frame in read_frames(video)][:8] == pytest.approx(times, abs=0.002)


def test_a_video_is_read_from_its_first_picture_however_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def every_picture_a_key(stream: Any) -> None:
        stream.codec_context.gop_size = 1

    video = make_video(tmp_path / "a.mp4", setup=every_picture_a_key)
    monkeypatch.setattr(video_reader, "SEEK_FROM", 0.1)
    for warn in (True, False):
        times: list[float] = []
        assert sum(1 for _ in _pictures(VideoFile(video), times, warn)) == 50 and times[0] == 0


@pytest.mark.parametrize(
    "times",
    [
        [0.0, 0.04, 0.08, 0.12, 0.7, 0.74, 0.78, 1.4, 1.44, 1.9],
        [0.0, *(i / 25 for i in range(40, 60)), 8.0],  # what moves is dense, though the average is low
        [*(i / 25 for i in range(40)), *(3.0 + i / 25 for i in range(40))],  # one stays beyond the end of the speech
    ],
)
def test_a_pose_video_of_no_steady_rate_is_followed_by_its_timestamps(
    monkeypatch: pytest.MonkeyPatch, times: list[float]
) -> None:
    """A head that turns 10 degrees a second and nods at every picture, seen now densely, now rarely."""
    seen = [Frame(np.full((8, 8, 3), i, np.uint8), time) for i, time in enumerate(times)]
    nods = [0.0, *(float(1 + i % 2) for i in range(len(times) - 1))]

    def read(face: Any, crops: Any, fps: float, *_: Any) -> tuple[Motion, None]:
        places = [round(float(crop.mean()) * 255) for crop in crops]
        turn = torch.tensor([[nods[i], 10 * times[i], 0.0] for i in places])
        return Motion(Pose(turn, turn * 0, torch.ones(len(turn), 1), fps), torch.zeros(len(turn), 21, 3)), None

    monkeypatch.setattr(
        timed_motion, "fixed_crops", lambda face, pictures, crop: (torch.tensor(p) / 255 for p in pictures)
    )
    monkeypatch.setattr(timed_motion, "read_crops", read)
    monkeypatch.setattr(timed_motion.FaceSamples, "warn_unless_face", lambda *_: None)
    rest = Pose(torch.zeros(1, 3), torch.zeros(1, 3), torch.ones(1, 1), 25.0)
    average = (len(times) - 1) / times[-1]
    how = FollowOptions("first", 0.0, ROTATION_ONLY)
    pose = follow_video(FaceModel.__new__(FaceModel), iter(seen), average, rest, how, 45)
    turned = pose.rotation[:45].numpy()
    clock = np.arange(45) / 25
    assert pose.fps == 25.0 and len(turned) == 45
    assert np.abs(turned[:, 1] - np.interp(clock, times, np.array(times) * 10)).max() < 0.2
    seen_then = np.isclose(clock[:, None], times).any(1)
    assert seen_then.sum() >= 5
    assert np.abs(turned[:, 0] - np.interp(clock, times, nods))[seen_then].max() < 0.2


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("late", [0.6, 5.0])
def test_what_is_left_out_before_the_first_picture_is_not_called_lost(
    tmp_path: Path, name: str, late: float, caplog: pytest.LogCaptureFixture
) -> None:
    video = make_video(tmp_path / name, [late + i / 25 for i in range(100)], [Track(click(late + 4.0, late + 1.0))])
    with caplog.at_level(logging.WARNING):
        sound = read_sound(video)
        assert sum(1 for _ in read_frames(video)) == 100
    assert onset(sound.waveform, sound.rate) == pytest.approx(1.0, abs=0.004)
    assert sound.seconds == pytest.approx(4.0, abs=0.05) and not caplog.records


@pytest.mark.skipif(not FIELD.is_dir(), reason=f"no field recordings at {FIELD}")
def test_what_the_field_sent_is_in_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        late, twin = (FIELD / "05_sound_offset" / name for name in ("audlate.mp4", "f25.mp4"))
        assert onset(read_sound(late).waveform, 16_000) == pytest.approx(1.399, abs=0.012)
        assert onset(read_sound(twin).waveform, 16_000) == pytest.approx(1.0, abs=0.035)
        assert onset(read_sound(written(tmp_path, late)).waveform, 16_000) == pytest.approx(1.399, abs=0.012)
    assert not caplog.records


def test_a_wav_is_not_touched(tmp_path: Path) -> None:
    sound = click()
    read = read_sound(save_wav(tmp_path / "a.wav", sound), rate=None)
    np.testing.assert_allclose(read.waveform, sound[0], atol=1e-4)
    assert read.rate == RATE and flash(1.0).max() == 255
