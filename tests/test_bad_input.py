"""What people hand over: strange but good files are read, broken ones get one sentence and leave nothing behind."""

from __future__ import annotations

import struct
import wave
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from playmate_core.errors import UserError
from playmate_core.media.audio_files import read_sound
from playmate_core.media.images import MOST_PIXELS, declared_size, read_picture
from playmate_core.media.video_reader import read_frames, video_facts
from playmate_core.media.video_writer import VideoWriter
from playmate_core.speech import frame_count

Reader = Callable[[Path], object]


def watch(path: Path) -> int:
    return sum(1 for _ in read_frames(path))


READERS: dict[str, Reader] = {"picture": read_picture, "speech": read_sound, "video": watch, "facts": video_facts}


def colours(height: int = 80, width: int = 60) -> NDArray[np.uint8]:
    """A picture whose four corners differ: red, green, blue and white."""
    picture = np.zeros((height, width, 3), np.uint8)
    h, w = height // 2, width // 2
    picture[:h, :w], picture[:h, w:], picture[h:, :w], picture[h:, w:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255
    return picture


def save(path: Path, rgb: NDArray[np.generic]) -> Path:
    order = [2, 1, 0, 3][: rgb.shape[2]] if rgb.ndim == 3 else slice(None)
    assert cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., order] if rgb.ndim == 3 else rgb))
    return path


def corners(image: torch.Tensor) -> list[list[int]]:
    return [[round(v) for v in image[y, x].tolist()] for y, x in ((9, 9), (9, -9), (-9, 9), (-9, -9))]


RED, GREEN, BLUE, WHITE = [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]


def save_wav(path: Path, rate: int, samples: int, channels: int = 1, volume: float = 0.3) -> Path:
    voice = volume * np.sin(np.arange(samples) * 2 * np.pi * 200 / rate)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat((voice * 32767).astype("<i2")[:, None], channels, 1).tobytes())
    return path


def save_video(path: Path, frames: int = 50) -> Path:
    noise = torch.randint(0, 256, (frames, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with VideoWriter(path) as video:
        video.write(noise)
    return path


# Pictures -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tiff"])
def test_every_type_gives_the_same_colours(tmp_path: Path, name: str) -> None:
    image = read_picture(save(tmp_path / name, colours()))
    assert image.shape == (80, 60, 3) and image.dtype == torch.float32
    assert 0 <= image.min() and image.max() <= 1 and corners(image) == [RED, GREEN, BLUE, WHITE]


def test_sixteen_bits_and_grey(tmp_path: Path) -> None:
    deep = read_picture(save(tmp_path / "deep.png", colours().astype(np.uint16) * 257))
    assert corners(deep) == [RED, GREEN, BLUE, WHITE]
    for dtype, full in ((np.uint8, 255), (np.uint16, 65535)):
        grey = read_picture(save(tmp_path / "grey.png", np.full((40, 40), full // 2, dtype)))
        assert grey.shape == (40, 40, 3) and torch.allclose(grey, torch.tensor(0.5), atol=0.01)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_transparency_is_laid_on_white(tmp_path: Path, depth: type) -> None:
    full = np.iinfo(depth).max
    alpha = np.full((80, 60, 1), full)
    alpha[:40, :30] = 0  # the red corner cannot be seen
    alpha[40:, :30] = full // 2
    rgba = np.concatenate([colours().astype(np.uint64) * (full // 255), alpha], 2).astype(depth)
    image = read_picture(save(tmp_path / "a.png", rgba))
    assert corners(image)[0] == WHITE and corners(image)[1] == GREEN
    assert image[-9, 9].tolist() == pytest.approx([0.5, 0.5, 1.0], abs=0.01)


def exif(orientation: int) -> bytes:
    tag = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"Exif\0\0" + tag


#: Corners as the camera meant them, by orientation: the stored picture is always red, green / blue, white.
CORNERS_UPRIGHT = {
    1: [RED, GREEN, BLUE, WHITE],
    2: [GREEN, RED, WHITE, BLUE],
    3: [WHITE, BLUE, GREEN, RED],
    4: [BLUE, WHITE, RED, GREEN],
    5: [RED, BLUE, GREEN, WHITE],
    6: [BLUE, RED, WHITE, GREEN],
    7: [WHITE, GREEN, BLUE, RED],
    8: [GREEN, WHITE, RED, BLUE],
}


@pytest.mark.parametrize("orientation", CORNERS_UPRIGHT)
def test_jpeg_orientation(tmp_path: Path, orientation: int) -> None:
    data = save(tmp_path / "a.jpg", colours()).read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(exif(orientation)) + 2) + exif(orientation)
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    image = read_picture(tmp_path / "a.jpg")
    assert image.shape == ((80, 60, 3) if orientation < 5 else (60, 80, 3))
    assert corners(image) == CORNERS_UPRIGHT[orientation]


@pytest.mark.parametrize("orientation", CORNERS_UPRIGHT)
def test_orientation_of_a_transparent_png(tmp_path: Path, orientation: int) -> None:
    alpha = np.full((80, 60, 1), 255, np.uint8)
    alpha[:40, :30] = 0
    data = save(tmp_path / "a.png", np.concatenate([colours(), alpha], 2)).read_bytes()
    body = b"eXIf" + exif(orientation)[6:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    expected = [WHITE if corner == RED else corner for corner in CORNERS_UPRIGHT[orientation]]
    found = corners(read_picture(tmp_path / "a.png"))
    unturned = [WHITE, GREEN, BLUE, WHITE]  # older OpenCV does not read this tag in PNG
    assert found in (expected, unturned)


def test_large_pictures_are_shrunk_and_sides_even(tmp_path: Path) -> None:
    assert read_picture(save(tmp_path / "a.png", colours(700, 2001))).shape == (446, 1280, 3)
    assert read_picture(save(tmp_path / "b.jpg", colours(301, 203))).shape == (300, 202, 3)
    wide = read_picture(save(tmp_path / "c.jpg", colours(500, 20_000)))
    assert wide.shape == (32, 1280, 3) and corners(wide[..., :]) == [RED, GREEN, BLUE, WHITE]


def test_a_picture_too_large_to_decode_is_refused_by_its_head(tmp_path: Path) -> None:
    data = bytearray(save(tmp_path / "bomb.png", colours()).read_bytes())
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    (tmp_path / "bomb.png").write_bytes(data)
    assert declared_size(bytes(data)) == (100_000, 100_000) and MOST_PIXELS < 100_000**2
    with pytest.raises(UserError, match="100000 x 100000"):
        read_picture(tmp_path / "bomb.png")


@pytest.mark.parametrize(("channels", "looks"), [(3, 1), (4, 2)])
def test_only_what_may_be_transparent_is_decoded_twice(
    tmp_path: Path, channels: int, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", np.full((64, 64, channels), 255, np.uint8))
    seen: list[int] = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, flag: seen.append(flag) or decode(data, flag))
    read_picture(path)
    assert len(seen) == looks


def test_a_large_transparent_picture_is_shrunk_before_it_is_weighed(tmp_path: Path) -> None:
    rgba = np.zeros((2600, 2600, 4), np.uint8)
    rgba[:, :1300] = (255, 0, 0, 255)  # the right half cannot be seen
    image = read_picture(save(tmp_path / "a.png", rgba))
    assert image.shape == (1280, 1280, 3) and corners(image) == [RED, WHITE, RED, WHITE]


def test_the_decoder_keeps_its_own_complaints(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(UserError, match="cut short"):
        read_picture(path)
    assert capfd.readouterr() == ("", "")


def test_tiny_pictures_are_refused(tmp_path: Path) -> None:
    for size in ((1, 1), (31, 500), (2, 9000), (9000, 4)):  # the last are decoded smaller
        with pytest.raises(UserError, match="at least 32"):
            read_picture(save(tmp_path / "a.png", colours(*size)))


# Speech ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 48_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    sound = read_sound(save_wav(tmp_path / "a.wav", rate, rate // 2, channels))
    assert sound.rate == 16_000 and len(sound.waveform) == 8_000 and sound.waveform.dtype == np.float32
    assert 0.1 < np.abs(sound.waveform).max() < 1.2


def test_ten_milliseconds_and_silence(tmp_path: Path) -> None:
    blink = read_sound(save_wav(tmp_path / "a.wav", 44_100, 441))
    assert frame_count(len(blink.waveform), blink.rate) == 1
    assert not read_sound(save_wav(tmp_path / "b.wav", 44_100, 44_100, volume=0.0)).waveform.any()


@pytest.mark.parametrize(
    ("name", "codec", "layout"),
    [("a.mp3", "libmp3lame", "stereo"), ("a.m4a", "aac", "5.1"), ("a.flac", "flac", "mono")],
)
def test_any_container(tmp_path: Path, name: str, codec: str, layout: str) -> None:
    with (
        av.open(str(tmp_path / name), "w") as container,
        av.open(str(save_wav(tmp_path / "a.wav", 48_000, 48_000))) as wav,
    ):
        stream = container.add_stream(codec, rate=48_000, layout=layout)
        for frame in wav.decode(audio=0):
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sound = read_sound(tmp_path / name)
    assert sound.seconds == pytest.approx(1.0, abs=0.05) and np.abs(sound.waveform).max() > 0.1


def test_a_float_file_with_nan_is_cleaned(tmp_path: Path) -> None:
    wave_form = np.full(1600, np.nan, "<f4")
    wave_form[::2] = np.inf
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 6400, b"WAVE", b"fmt ", 16, 3, 1, 16_000, 64_000, 4, 32, b"data", 6400
    )
    (tmp_path / "a.wav").write_bytes(head + wave_form.tobytes())
    assert np.isfinite(read_sound(tmp_path / "a.wav").waveform).all()


# Broken ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
def test_missing_empty_folder_and_nonsense(tmp_path: Path, reader: str) -> None:
    (tmp_path / "empty.bin").touch()
    (tmp_path / "text.txt").write_text("This is a letter to a friend, not what you asked for.\n" * 50)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    for name in ("missing.bin", "empty.bin", "text.txt", "noise.mp4", "."):
        with pytest.raises(UserError) as problem:
            READERS[reader](tmp_path / name)
        sentence = str(problem.value)
        assert str(tmp_path) in sentence and sentence.endswith(".") and "\n" not in sentence and len(sentence) < 400


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.wav", "a.mp4", "slow.mp4"])
def test_cut_short(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".wav":
        save_wav(path, 16_000, 32_000)
    elif path.suffix == ".mp4":
        save_video(path)
    else:
        rng = np.random.default_rng(0)
        save(path, rng.integers(0, 256, (200, 200, 3), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3] if name != "slow.mp4" else whole[: len(whole) * 9 // 10])
    reader = {".wav": read_sound, ".mp4": watch}.get(path.suffix, read_picture)
    with pytest.raises(UserError, match="cut short"):
        reader(path)


def test_cut_before_the_index(tmp_path: Path) -> None:
    path = save_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError):
        watch(path)


def test_one_kind_for_another(tmp_path: Path) -> None:
    video, speech = save_video(tmp_path / "film.mp4", 5), save_wav(tmp_path / "a.wav", 16_000, 1600)
    with pytest.raises(UserError, match="no audio in it"):
        read_sound(video)
    with pytest.raises(UserError, match="no video in it"):
        watch(speech)
    with pytest.raises(UserError, match="is not a picture"):
        read_picture(video)
    for reader in (read_sound, watch, video_facts):
        with pytest.raises(UserError, match="still picture"):
            reader(save(tmp_path / "a.png", colours()))


def test_recorders_that_never_came_back_are_believed(tmp_path: Path) -> None:
    data = bytearray(save_wav(tmp_path / "a.wav", 16_000, 16_000).read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(data)
    assert read_sound(tmp_path / "a.wav").seconds == pytest.approx(1.0)
