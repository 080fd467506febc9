"""Which files are cut short: those whose structure reaches beyond their end, and none whose tracks end apart."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import RATE, Track, click, make_video, save_wav
from shared_facts import SHARED

from playmate_core.errors import UserError
from playmate_core.media.audio_files import read_sound
from playmate_core.media.truncation import announced_bytes
from playmate_core.media.video_reader import read_frames

FIELD = SHARED / "field"
needs_field = pytest.mark.skipif(not FIELD.is_dir(), reason=f"no field recordings at {FIELD}")


def watch(path: Path) -> int:
    return sum(1 for _ in read_frames(path))


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


PCM = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
SAMPLES = (click()[0] * 32767).astype("<i2").tobytes()


def riff(*chunks: bytes, form: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return form + struct.pack("<I", len(body) if size is None else size) + body


WAVES = {
    "data in a tag": riff(chunk(b"LIST", b"INFOINAM" + struct.pack("<I", 8) + b"my data\0"), chunk(b"fmt ", PCM))
    + chunk(b"data", SAMPLES),
    "fmt in a tag": riff(chunk(b"bext", b"fmt \x01\x00 data\x01".ljust(602, b"\0")), chunk(b"fmt ", PCM))
    + chunk(b"data", SAMPLES),
    "odd chunk": riff(chunk(b"cue ", b"data\xff"), chunk(b"fmt ", PCM)) + chunk(b"data", SAMPLES),
    "RF64": riff(
        chunk(b"ds64", struct.pack("<QQQI", 0, len(SAMPLES), len(SAMPLES) // 2, 0)),
        chunk(b"fmt ", PCM),
        b"data\xff\xff\xff\xff" + SAMPLES,
        form=b"RF64",
        size=0xFFFFFFFF,
    ),
    "chunks after": riff(chunk(b"fmt ", PCM), chunk(b"data", SAMPLES), chunk(b"id3 ", bytes(4000))),
    "chunk after is cut": riff(chunk(b"fmt ", PCM), chunk(b"data", SAMPLES), chunk(b"id3 ", bytes(4000)))[:-3000],
    "recorder killed": riff(chunk(b"fmt ", PCM), b"data\0\0\0\0" + SAMPLES),
    "piped": riff(chunk(b"fmt ", PCM), b"data\xff\xff\xff\x7f" + SAMPLES, size=0x7FFFFFFF),
}


@pytest.mark.parametrize("kind", WAVES)
def test_a_whole_wav_is_read_whatever_stands_in_its_chunks(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.wav").write_bytes(WAVES[kind])
    assert read_sound(tmp_path / "a.wav").seconds == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("kind", ["data in a tag", "fmt in a tag", "odd chunk", "RF64"])
def test_a_cut_wav_is_refused_whatever_stands_in_its_chunks(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.wav").write_bytes(WAVES[kind][: len(WAVES[kind]) * 8 // 10])
    with pytest.raises(UserError, match=r"cut short: .* bytes are there \(\d+%\)"):
        read_sound(tmp_path / "a.wav")


def encoded(path: Path, codec: str) -> Path:
    return make_video(path, (), [Track(click())], codecs=("", codec))


@pytest.mark.parametrize("codec", ["adpcm_ima_wav", "adpcm_ms", "pcm_alaw", "pcm_f32le", "pcm_s24le"])
def test_any_coding_of_a_wav_is_whole(tmp_path: Path, codec: str) -> None:
    assert read_sound(encoded(tmp_path / "a.wav", codec)).seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.mp4", "a.mov", "a.avi", "a.ts", "a.flv"])
@pytest.mark.parametrize("seconds", [1.0, 3.5])
def test_tracks_may_end_apart(tmp_path: Path, name: str, seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    codecs = {"a.webm": ("libvpx", "libopus")}.get(name, ("libx264", "aac"))
    video = make_video(tmp_path / name, tracks=[Track(click(seconds, 0.5))], codecs=codecs)
    with caplog.at_level(logging.WARNING):
        assert watch(video) == 50 and read_sound(video).seconds == pytest.approx(seconds, abs=0.1)
    assert not caplog.records


def test_a_subtitle_may_stay_longer_than_everything(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,500 --> 00:01:30,000\nhello\n")
    video = make_video(tmp_path / "a.mkv", tracks=[Track(click())], titles=tmp_path / "a.srt")
    with av.open(str(video)) as container:
        assert (container.duration or 0) > 80e6
    assert watch(video) == 50 and read_sound(video).seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_a_last_picture_may_stay(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Screen recordings and slides end on one picture; it is seen until the video ends."""
    video = make_video(tmp_path / name, [*(i / 25 for i in range(25)), 1.0, 3.0])
    with caplog.at_level(logging.WARNING):
        times = [frame.time for frame in read_frames(video)]
    assert times[25] == pytest.approx(1.0) and times[26] == pytest.approx(3.0) and not caplog.records


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.mp4", "a.mov", "a.avi", "a.aiff", "a.flac"])
def test_what_is_cut_is_refused_before_anything_is_decoded(tmp_path: Path, name: str) -> None:
    if name in ("a.aiff", "a.flac"):
        whole = encoded(tmp_path / name, {"a.aiff": "pcm_s16be", "a.flac": "flac"}[name])
    else:
        codecs = {"a.webm": ("libvpx", "libopus")}.get(name, ("libx264", "aac"))
        noise = np.random.default_rng(0).integers(0, 256, (50, 64, 96, 3), np.uint8)
        options = {"movflags": "+faststart"} if name in ("a.mp4", "a.mov") else {}
        pictures = iter([noise[0], *noise])
        whole = make_video(
            tmp_path / name,
            tracks=[Track(click())],
            picture=lambda time: next(pictures),
            codecs=codecs,
            options=options,
        )
    assert read_sound(whole).seconds == pytest.approx(2.0, abs=0.1)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * 7 // 10])
    with pytest.raises(UserError, match="cut short"):
        read_sound(whole)
    if whole.suffix != ".flac":  # it counts samples, not bytes
        assert (announced_bytes(whole) or 0) > 0.9 * len(data)
        if whole.suffix != ".aiff":
            with pytest.raises(UserError, match="cut short"):
                next(read_frames(whole))


def test_a_size_that_no_box_or_chunk_can_have_proves_nothing(tmp_path: Path) -> None:
    for content in (
        b"RIFF\x10\0\0\0WAVE",
        b"RIFF\x10\0\0\0AVI LIST\xff\xff\xff\xffmovi",
        b"\0\0\0\x08ftyp\0\0\0\x02mdat",
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
        b"\x1a\x45\xdf\xa3",
        b"FORM\0\0\0\0AIFF",
        b"OggS" + bytes(40),
    ):
        (tmp_path / "a").write_bytes(content)
        assert announced_bytes(tmp_path / "a") is None, content


@needs_field
@pytest.mark.parametrize("name", ["02_cut_short_wav_tags", "03_cut_short_tracks", "04_cut_short_last_frame"])
def test_what_the_field_sent_is_read(name: str, caplog: pytest.LogCaptureFixture) -> None:
    files = [path for path in (FIELD / name).iterdir() if path.suffix != ".md"]
    assert files
    with caplog.at_level(logging.WARNING):
        for path in files:
            read_sound(path)
            if path.suffix != ".wav":
                watch(path)
    assert not caplog.records


def test_a_wav_is_as_long_as_its_samples(tmp_path: Path) -> None:
    assert announced_bytes(save_wav(tmp_path / "a.wav", click())) == 44 + 2 * 2 * RATE


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_some_damaged_bytes_of_a_video_cost_some_pictures(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (51, 64, 96, 3), np.uint8)
    pictures = iter(noise)
    video = make_video(tmp_path / name, tracks=[Track(click())], picture=lambda time: next(pictures))
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = np.random.default_rng(1).bytes(300)
    video.write_bytes(data)
    times = [frame.time for frame in read_frames(video)]
    assert len(times) >= 40 and times == sorted(times) and times[-1] == pytest.approx(1.96, abs=0.05)
    assert read_sound(video).seconds == pytest.approx(2.0, abs=0.1)


def test_packets_of_a_video_that_cannot_be_decoded_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    video = make_video(tmp_path / "a.mov", codecs=("png", "aac"), pixels="rgb24")
    data = bytearray(video.read_bytes())
    starts = [i for i in range(len(data) - 2) if data[i : i + 4] == b"\x89PNG"]
    for start in starts[10:13]:  # three pictures without their headers
        data[start : start + 40] = bytes(40)
    video.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        times = [frame.time for frame in read_frames(video)]
    assert "3 of 50 packets are damaged and were skipped" in caplog.text
    assert len(times) == 47 and times[10] == pytest.approx(13 / 25, abs=0.002)
    caplog.clear()
    assert len(list(read_frames(video, warn=False))) == 47 and not caplog.records
