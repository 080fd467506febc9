"""Which sound is listened to, and what of a damaged one: the track that speaks, the channel that is not cancelled."""

from __future__ import annotations

import logging
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from media_files import RATE, Track, click, make_video, onset, save_wav
from shared_facts import SHARED

from playmate_core.errors import UserError
from playmate_core.media.audio_files import Recording, read_sound
from playmate_core.media.sound_source import find_sound
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.speech import make_encoder
from playmate_core.speech.waveform import mono

ROOT = Path(__file__).resolve().parent.parent
FIELD = SHARED / "field"
needs_field = pytest.mark.skipif(not FIELD.is_dir(), reason=f"no field recordings at {FIELD}")
SILENCE = np.zeros((1, 2 * RATE), np.float32)
#: Louder than rounding, quieter than any voice.
DITHER = (np.random.default_rng(0).standard_normal((1, 2 * RATE)) * 2e-5).astype(np.float32)


def voice(at: float) -> Track:
    return Track(click(2.0, at))


def heard(path: Path, track: int | None = None) -> float:
    return onset(read_sound(find_sound(path, track)).waveform, 16_000)


# Tracks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quiet", [SILENCE, DITHER])
def test_a_silent_first_track_is_passed_over(
    tmp_path: Path, quiet: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    video = make_video(tmp_path / "a.mkv", tracks=[Track(quiet), voice(0.5)])
    with caplog.at_level(logging.WARNING):
        assert find_sound(video).track == 1 and heard(video) == pytest.approx(0.5, abs=0.03)
    assert "track 1, counted from 0, is taken, since track 0 is silent" in caplog.text


def test_of_two_voices_the_first_is_taken_and_any_can_be_asked_for(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mkv", tracks=[voice(0.5), voice(1.5)])
    assert find_sound(video).track == 0
    assert heard(video, 0) == pytest.approx(0.5, abs=0.03) and heard(video, 1) == pytest.approx(1.5, abs=0.03)
    for track in (2, -1):
        with pytest.raises(UserError, match=f"2 audio tracks, counted from 0, so there is no track {track}"):
            find_sound(video, track)


def test_the_track_marked_as_default_is_taken(tmp_path: Path) -> None:
    first = make_video(tmp_path / "a.mkv", tracks=[voice(0.5), voice(1.5)])
    assert find_sound(first).track == 0
    data = bytearray(first.read_bytes())
    flag = data.rfind(b"\x88\x81\x00", 0, data.rfind(b"A_AAC"))  # FlagDefault of the second
    assert data.find(b"A_AAC") < flag
    data[flag + 2] = 1
    first.write_bytes(data)
    assert find_sound(first).track == 1 and heard(first) == pytest.approx(1.5, abs=0.03)


def test_all_tracks_silent_is_the_first(tmp_path: Path) -> None:
    assert find_sound(make_video(tmp_path / "a.mkv", tracks=[Track(SILENCE), Track(SILENCE)])).track == 0


def test_the_chosen_track_is_written(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mkv", tracks=[voice(0.5), voice(1.5)])
    with VideoWriter(tmp_path / "o.mp4", 25.0, find_sound(video, 1)) as writer:
        for frame in read_frames(video):
            writer.write(torch.from_numpy(frame.picture)[None])
    assert heard(tmp_path / "o.mp4") == pytest.approx(1.5, abs=0.03)


# Channels -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "side"), [(1.0, "left"), (0.98, "right")])
def test_channels_that_cancel_are_not_mixed(
    tmp_path: Path, share: float, side: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = click()
    path = save_wav(tmp_path / "a.wav", np.concatenate([share * one, -one]))
    with caplog.at_level(logging.WARNING):
        sound = read_sound(path)
    assert onset(sound.waveform, sound.rate) == pytest.approx(1.0, abs=0.003)
    assert f"cancel each other out; its {side} one is listened to" in caplog.text
    np.testing.assert_allclose(np.abs(mono(np.concatenate([share * one, -one]))), np.abs(one[0]))


def test_channels_that_do_not_cancel_are_mixed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = click()
    for pair in (np.concatenate([one, one]), np.concatenate([one, 0 * one]), np.concatenate([one, -0.3 * one])):
        path = save_wav(tmp_path / "a.wav", pair)
        np.testing.assert_allclose(read_sound(path, None).waveform, pair.mean(0), atol=1e-4)
        np.testing.assert_allclose(mono(pair), pair.mean(0), atol=1e-6)
    assert not caplog.records


@pytest.mark.parametrize(
    ("signs", "chosen"),
    [
        ((1, -1, 0, 0, 0, 0), 0),  # left against right
        ((0, 0, 0, 0, 1, -1), 4),  # behind
        ((0, 0, 0, 1, 0, 0), 3),  # low frequencies, which no mix contains
        ((1, -1, 0, 0), 0),
        ((0,) * 15 + (1,), 15),
        ((0,) * 39 + (1,), 39),
    ],
)
def test_the_loudest_of_many_channels_is_taken_where_mixing_leaves_nothing(
    tmp_path: Path, signs: tuple[int, ...], chosen: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = save_wav(tmp_path / "a.wav", np.concatenate([sign * click() for sign in signs]))
    with caplog.at_level(logging.WARNING):
        sound = read_sound(path, None)
    np.testing.assert_allclose(sound.waveform, click()[0], atol=1e-4)
    assert f"channel {chosen}, counted from 0, is listened to" in caplog.text


def test_a_voice_in_the_centre_of_many_channels_is_mixed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save_wav(tmp_path / "a.wav", np.concatenate([sign * click() for sign in (0, 0, 1, 0, 0, 0)]))
    np.testing.assert_allclose(read_sound(path, None).waveform, 0.7071 * click()[0], atol=1e-4)
    assert not caplog.records


def test_more_channels_than_a_frame_has_planes(tmp_path: Path) -> None:
    """16 planar channels, beside a silent track, whose levels are compared."""
    path = tmp_path / "a.mka"
    samples = np.repeat(click()[0][:, None], 16, 1).reshape(1, -1)
    with av.open(str(path), "w") as container:
        streams = [
            container.add_stream("libopus", rate=RATE, layout="mono"),
            container.add_stream("libopus", rate=RATE, layout="hexadecagonal", options={"mapping_family": "255"}),
        ]
        for stream, sound in zip(streams, (SILENCE, samples), strict=True):
            frame = av.AudioFrame.from_ndarray(sound, format="flt", layout=stream.codec_context.layout)
            frame.sample_rate, frame.pts = RATE, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    assert find_sound(path).track == 1 and heard(path) == pytest.approx(1.0, abs=0.01)
    with VideoWriter(tmp_path / "o.mp4", sound=find_sound(path)) as writer:
        writer.write(torch.zeros(50, 32, 32, 3))


def test_a_silent_voice_is_said_when_it_is_listened_to(caplog: pytest.LogCaptureFixture) -> None:
    encoder = make_encoder("logmel", None)
    for wave, silent in ((SILENCE[0], True), (DITHER[0], True), (click()[0], False)):
        caplog.clear()
        encoder.listen(wave, RATE)
        assert ("is silent" in caplog.text) == silent


# Numbers --------------------------------------------------------------------------------------------------------------


def float_wav(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    body = samples.astype("<f4").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, rate, 4 * rate, 4, 32)
    head = b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVE" + form
    path.write_bytes(head + b"data" + struct.pack("<I", len(body)) + body)
    return path


def test_samples_that_are_no_numbers_are_silenced_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = 0.1 * np.sin(np.arange(16_000) / 10)
    samples[4000:4100], samples[8000] = np.nan, np.inf
    path = float_wav(tmp_path / "a.wav", samples)
    with caplog.at_level(logging.WARNING):
        sound = read_sound(path)
    assert np.isfinite(sound.waveform).all() and np.abs(sound.waveform).max() < 0.11
    assert "holds 101 samples that are no numbers" in caplog.text
    with VideoWriter(tmp_path / "o.mp4", sound=path) as writer:
        writer.write(torch.zeros(25, 32, 32, 3))
    assert np.abs(read_sound(tmp_path / "o.mp4").waveform).max() < 0.2


def test_samples_beyond_all_measure_are_bounded_where_they_are_written(tmp_path: Path) -> None:
    path = float_wav(tmp_path / "a.wav", np.full(16_000, 1e30))
    for sound in (path, Recording(np.full((1, 16_000), np.inf, np.float32), 16_000)):
        with VideoWriter(tmp_path / "o.mp4", sound=sound) as writer:
            writer.write(torch.zeros(25, 32, 32, 3))
        assert np.isfinite(read_sound(tmp_path / "o.mp4").waveform).all()


@pytest.mark.parametrize("rate", [1, 50, 1999, 4_000_000])
def test_a_rate_that_no_sound_has_is_refused_at_once(tmp_path: Path, rate: int) -> None:
    path = save_wav(tmp_path / "a.wav", click())
    data = bytearray(path.read_bytes())
    data[24:28], data[28:32] = struct.pack("<I", rate), struct.pack("<I", 2 * rate)
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"audio of {rate:,} samples a second"):
        read_sound(path)


# The command line -----------------------------------------------------------------------------------------------------


def test_the_command_line_refuses_a_track_that_is_not_there(tmp_path: Path, portrait_picture: Path) -> None:
    video = make_video(tmp_path / "a.mkv", tracks=[voice(0.5)])
    command = [sys.executable, "-m", "playmate_core", "talk", str(portrait_picture), str(video), "-o", "o.mp4"]
    done = subprocess.run(
        [*command, "--audio-track", "3"], cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and "1 audio track, counted from 0, so there is no track 3" in done.stderr
    assert not (tmp_path / "o.mp4").exists()


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


@needs_field
def test_what_the_field_sent_is_heard() -> None:
    assert find_sound(FIELD / "10_silent_listening" / "twotracks.mkv").track == 1
    assert np.abs(read_sound(FIELD / "10_silent_listening" / "anti.wav").waveform).max() > 0.05
    for name, seconds in (("bad.aac", 2.0), ("junkmid.mp3", 8.0)):
        assert read_sound(FIELD / "11_one_bad_packet" / name).seconds == pytest.approx(seconds, abs=0.03)
