"""What is left of a damaged recording: one bad packet costs itself, and what is missing is said."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from media_files import RATE, Track, click, make_video

from playmate_core.errors import UserError
from playmate_core.media.audio_files import read_sound

DAMAGED = {
    **{"a.mp3": "libmp3lame", "a.m4a": "aac", "a.aac": "aac", "a.opus": "libopus", "a.mp2": "mp2", "a.ac3": "ac3"},
    **{"a.flac": "flac", "a.oga": "flac", "b.mp4": "flac", "b.m4a": "alac", "a.ts": "mp2", "b.ts": "aac"},
    **{"a.mka": "aac", "b.mka": "libmp3lame", "a.webm": "libopus", "b.wav": "libmp3lame"},
}
#: Those without timestamps lose the time of the packets, others only the packets.
UNTIMED = (".mp3", ".aac", ".mp2", ".ac3", ".wav")


@pytest.mark.parametrize(("name", "codec"), DAMAGED.items())
def test_some_damaged_bytes_cost_themselves(
    tmp_path: Path, name: str, codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal((1, 8 * RATE))).astype(np.float32)
    path = make_video(tmp_path / name, (), [Track(noise)], codecs=("", codec))
    whole = read_sound(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = rng.bytes(400)
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        sound = read_sound(path)
    assert sound.seconds == pytest.approx(whole.seconds, abs=0.15)
    early, late = slice(16_000, 3 * 16_000), slice(6 * 16_000, 7 * 16_000)
    assert np.corrcoef(sound.waveform[early], whole.waveform[early])[0, 1] > 0.99
    shift = int(np.correlate(sound.waveform[late], whole.waveform[late][800:-800]).argmax()) - 800
    assert abs(shift) <= (0.07 if path.suffix in UNTIMED else 0.001) * 16_000
    assert "packets are damaged and were skipped" in caplog.text or "are missing, and silent here" in caplog.text


def test_a_sound_that_ends_before_its_file_says_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Matroska states a length for the whole file only, which is that of its only track."""
    path = make_video(tmp_path / "a.mka", (), [Track(np.tile(click(), 4))], codecs=("", "pcm_s16le"))
    data = bytearray(path.read_bytes())
    data[len(data) * 6 // 10 :] = bytes(len(data) - len(data) * 6 // 10)
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert 2 < read_sound(path).seconds < 6
    assert "says that its sound lasts 8.00 s, but only" in caplog.text


def test_what_comes_before_the_lost_rest_of_a_file_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal((1, 8 * RATE))).astype(np.float32)
    path = make_video(tmp_path / "a.wv", (), [Track(noise)], codecs=("", "wavpack"))
    data = bytearray(path.read_bytes())
    fourth = [i for i in range(len(data)) if data[i : i + 4] == b"wvpk"][3]
    data[fourth + 4 : fourth + 2004] = b"\xff" * 2000
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert read_sound(path).seconds == pytest.approx(3.0)
    assert "packets are damaged" in caplog.text and "but only" in caplog.text


def test_what_is_mostly_damaged_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.m4a", (), [Track(click())], codecs=("", "aac"))
    data = bytearray(path.read_bytes())
    begin = data.find(b"mdat") + 4
    end = data.find(b"moov") - 4
    assert 0 < begin < end
    data[begin:end] = b"\xff" * (end - begin)
    path.write_bytes(data)
    with pytest.raises(UserError, match="not a speech file that can be decoded"):
        read_sound(path)
