"""Files of any name and of any kind that a disk can hold: colons, protocols, pipes, phones' pictures, odd suffixes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from colour_patches import in_p3, p3_profile
from heic_files import box, corners, quarters_of_colour, save_heic
from media_files import Track, click, make_video, save_wav
from shared_facts import SHARED

from playmate_core.errors import UserError
from playmate_core.media.audio_files import read_sound
from playmate_core.media.images import read_picture, read_shown_picture, to_bytes
from playmate_core.media.input_files import check_file
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines.input_kinds import is_picture, is_video

ROOT = Path(__file__).resolve().parent.parent


FIELD = SHARED / "field"


needs_field = pytest.mark.skipif(not FIELD.is_dir(), reason=f"no field recordings at {FIELD}")


NAMES = [
    "2024-01-01T10:30:00",
    "concat:a|b",
    "http:x",
    "-",
    "a%03d",
    "sub file",
    "crypto:key",
    "-i",
    "naïve 音",
    "a:b:c",
]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_path_and_nothing_else(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_wav(Path("a.wav").resolve(), click()).rename(f"{name}.wav")
    make_video(tmp_path / "b.mp4", (0.0, 0.04)).rename(tmp_path / f"{name}.mp4")
    for path in (Path(f"{name}.wav"), Path(".") / f"{name}.wav", tmp_path / f"{name}.wav"):
        assert read_sound(path).seconds == pytest.approx(2.0)
    assert sum(1 for _ in read_frames(f"{name}.mp4")) == 2
    with VideoWriter(f"{name}-out.mp4", sound=f"{name}.wav") as video:
        video.write(torch.zeros(50, 32, 32, 3))
    assert read_sound(Path(f"{name}-out.mp4")).seconds == pytest.approx(2.0, abs=0.05)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
@pytest.mark.parametrize("reader", [read_sound, read_picture, lambda path: next(read_frames(path))])
def test_a_pipe_is_refused_at_once(tmp_path: Path, reader: Any) -> None:
    os.mkfifo(tmp_path / "a.wav")  # nobody writes: opening it would wait for ever
    said: list[str] = []

    def look() -> None:
        try:
            reader(tmp_path / "a.wav")
        except UserError as problem:
            said.append(str(problem))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive() and "is a pipe or a device" in said[0]


def test_standard_input_is_refused_at_once(tmp_path: Path, portrait_picture: Path) -> None:
    for name in ("-", "/dev/stdin"):
        if name != "-" and not Path(name).exists():
            continue
        command = [sys.executable, "-m", "playmate_core", "talk", str(portrait_picture), "-o", "o.mp4", "--", name]
        if name == "-":
            command = [sys.executable, "-m", "playmate_core", "talk", str(portrait_picture), name, "-o", "o.mp4"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=env, input="x" * 100, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2 and "is a pipe or a device" in done.stderr, name


def test_devices_and_folders_are_refused(tmp_path: Path) -> None:
    if Path("/dev/zero").exists():
        with pytest.raises(UserError, match="pipe or a device"):
            check_file(Path("/dev/zero"), "speech")
    with pytest.raises(UserError, match="is a folder"):
        check_file(tmp_path, "speech")


@pytest.mark.parametrize("suffix", [".wmv", ".flv", ".3gp", ".mts", ".m2ts", ".ogv", ".MTS", ".3G2", ".vob", ".asf"])
def test_the_names_of_videos_are_known(suffix: str) -> None:
    assert is_video(Path(f"nowhere{suffix}")) and not is_picture(Path(f"nowhere{suffix}"))


def test_what_a_name_does_not_tell_the_content_does(tmp_path: Path, portrait_picture: Path) -> None:
    video = make_video(tmp_path / "a.mp4", (0.0, 0.04))
    for name in ("film", "film.dat", "film.mp4.1"):
        (tmp_path / name).write_bytes(video.read_bytes())
        assert is_video(tmp_path / name), name
    for name in ("picture", "picture.dat"):
        (tmp_path / name).write_bytes(portrait_picture.read_bytes())
        assert not is_video(tmp_path / name), name
    assert not is_video(save_wav(tmp_path / "speech.dat", click()))


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("a.wmv", ("wmv2", "libmp3lame")),
        ("a.flv", ("flv", "aac")),
        ("a.3gp", ("mpeg4", "aac")),
        ("a.mts", ("libx264", "aac")),
        ("a.m2ts", ("libx264", "aac")),
        ("a.ogv", ("libvpx", "libopus")),
    ],
)
def test_videos_of_every_kind_are_read(tmp_path: Path, name: str, codecs: tuple[str, str]) -> None:
    if name == "a.ogv":
        video = make_video(tmp_path / "a.ogg", tracks=[Track(click())], codecs=codecs)
        video = video.rename(tmp_path / name)
    else:
        video = make_video(tmp_path / name, tracks=[Track(click())], codecs=codecs)
    assert sum(1 for _ in read_frames(video)) in (50, 51) and read_sound(video).seconds == pytest.approx(2, abs=0.15)


needs_x265 = pytest.mark.skipif("libx265" not in av.codecs_available, reason="this PyAV encodes no HEVC")


@needs_x265
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_heic_picture_is_read_upright(tmp_path: Path, quarters: int) -> None:
    picture = quarters_of_colour(128, 192)
    seen = to_bytes(read_picture(save_heic(tmp_path / "a.heic", [picture], 1, (192, 128), quarters))).numpy()
    assert np.abs(corners(seen) - corners(np.rot90(picture, quarters))).max() <= 3


@needs_x265
def test_a_heic_grid_is_put_together_and_cut(tmp_path: Path) -> None:
    whole = quarters_of_colour(256, 384)
    tiles = [whole[y : y + 128, x : x + 128] for y in (0, 128) for x in (0, 128, 256)]
    path = save_heic(tmp_path / "a.heic", [np.ascontiguousarray(t) for t in tiles], 3, (370, 250))
    seen = to_bytes(read_picture(path)).numpy()
    assert seen.shape == (250, 370, 3)
    assert np.abs(seen[8:-16].astype(int) - whole[8:234, :370]).max(-1).mean() < 3
    turned = save_heic(tmp_path / "b.heic", [np.ascontiguousarray(t) for t in tiles], 3, (370, 250), 1)
    assert to_bytes(read_picture(turned)).shape == (370, 250, 3)


@needs_x265
def test_the_profile_of_a_heic_picture_counts(tmp_path: Path) -> None:
    picture = quarters_of_colour(128, 128)
    path = save_heic(tmp_path / "a.heic", [in_p3(picture)], 1, (128, 128), 0, p3_profile())
    assert np.abs(corners(to_bytes(read_picture(path)).numpy()) - corners(picture)).max() <= 4


def test_a_heic_picture_that_cannot_be_read_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(400)) + box(b"mdat", bytes(4000)))
    with pytest.raises(UserError, match=r"HEIC or AVIF picture .* save it as JPEG or PNG"):
        read_picture(path)
    with pytest.raises(UserError):
        read_sound(path)


def test_a_picture_that_comes_out_smaller_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((600, 400, 3), np.uint8))
    assert read_shown_picture(tmp_path / "a.png", 600)[0].shape == (600, 400, 3) and not caplog.records
    assert read_shown_picture(tmp_path / "a.png", 300)[0].shape == (300, 200, 3)
    assert "is 400 x 600 pixels and is shrunk to 200 x 300" in caplog.text


@needs_field
def test_what_the_field_sent_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_picture(FIELD / "13_heic" / "a.heic").shape == (480, 480, 3)
    monkeypatch.chdir(FIELD / "14_colon_name")
    assert read_sound(Path("2024-01-01T10:30:00.wav")).seconds > 1
    video = FIELD / "18_other_film_names" / "f.wmv"
    assert is_video(video) and sum(1 for _ in read_frames(video)) >= 49
