"""Sound and pictures through files: exact counts, the very speech, flat memory, nothing left behind."""

from __future__ import annotations

import resource
import threading
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from child_process import needs_proc, peak_memory, run_script
from numpy.typing import NDArray
from worker_threads import PATIENCE

from playmate_core.errors import UserError
from playmate_core.media import output_file
from playmate_core.media import video_writer as writer
from playmate_core.media.audio_files import Recording, read_sound
from playmate_core.media.output_file import check_output
from playmate_core.media.video_reader import read_frames, video_facts
from playmate_core.media.video_writer import VideoWriter
from playmate_core.speech import frame_count


def tone(rate: int, seconds: float, hertz: float = 220.0) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def save_wav(path: Path, rate: int, channels: list[NDArray[np.float32]]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.stack(channels, 1) * 32767).astype("<i2").tobytes())
    return path


def frames(count: int, height: int = 64, width: int = 96) -> torch.Tensor:
    """Flat frames whose red tells their number."""
    level = (torch.arange(count) * 37 % 200 + 20).to(torch.uint8)
    return level[:, None, None, None].expand(count, height, width, 3).clone()


def streams(path: Path) -> dict[str, object]:
    with av.open(str(path)) as container:
        return {s.type: (s.frames, float(s.duration * s.time_base), s.codec_context.name) for s in container.streams}


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000, 192_000])
def test_resampling_keeps_the_frame_count_and_the_tone(tmp_path: Path, rate: int) -> None:
    for samples in (rate, rate + 1, rate // 25, rate // 100):
        sound = read_sound(save_wav(tmp_path / "a.wav", rate, [tone(rate, samples / rate)]))
        assert frame_count(len(sound.waveform), sound.rate) == frame_count(samples, rate)
    sound = read_sound(save_wav(tmp_path / "a.wav", rate, [tone(rate, 1.0)]))
    spectrum = np.abs(np.fft.rfft(sound.waveform))
    assert abs(int(spectrum.argmax()) - 220) <= 1
    assert np.abs(sound.waveform[2000:-2000]).max() == pytest.approx(0.5, abs=0.02)


def test_native_rate_is_sample_exact(tmp_path: Path) -> None:
    speech = tone(22_050, 0.7)
    sound = read_sound(save_wav(tmp_path / "a.wav", 22_050, [speech]), rate=None)
    assert sound.rate == 22_050
    np.testing.assert_allclose(sound.waveform, speech, atol=1e-4)


def test_channels_are_mixed_without_getting_louder(tmp_path: Path) -> None:
    voice, rest = tone(16_000, 0.5), np.zeros(8_000, np.float32)
    twice = read_sound(save_wav(tmp_path / "2.wav", 16_000, [voice, voice])).waveform
    np.testing.assert_allclose(twice, voice, atol=2e-3)
    left = read_sound(save_wav(tmp_path / "1.wav", 16_000, [voice, rest])).waveform
    np.testing.assert_allclose(left, voice / 2, atol=2e-3)
    silence = np.zeros(24_000, np.float32)
    centre = [silence, silence, tone(48_000, 0.5), silence, silence, silence]
    six = read_sound(save_wav(tmp_path / "6.wav", 48_000, centre))
    assert six.seconds == pytest.approx(0.5) and 0.1 < np.abs(six.waveform).max() < 1


def test_video_has_every_frame_and_the_very_speech(tmp_path: Path) -> None:
    voice = [tone(44_100, 1.99, 300), tone(44_100, 1.99, 700)]
    speech = save_wav(tmp_path / "in.wav", 44_100, voice)
    out = tmp_path / "out.mp4"
    with VideoWriter(out, sound=speech) as video:
        for batch in frames(50).split(8):
            video.write(batch)
    found = streams(out)
    assert found["video"] == (50, 2.0, "h264")
    assert found["audio"][1:] == (pytest.approx(2.0, abs=0.04), "aac")  # type: ignore[index]
    with av.open(str(out)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.sample_rate == 44_100 and stream.codec_context.layout.name == "stereo"
        heard = np.concatenate([f.to_ndarray() for f in container.decode(stream)], 1)
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    for channel, original in zip(heard, voice, strict=True):
        assert np.corrcoef(channel[: len(original)], original)[0, 1] > 0.99  # in place, to the sample
    assert out.read_bytes().find(b"moov") < out.read_bytes().find(b"mdat")
    pictures = [f.picture for f in read_frames(out)]
    levels = [int(p[..., 0].mean()) for p in pictures]
    np.testing.assert_allclose(levels, frames(50)[:, 0, 0, 0].numpy(), atol=3)
    assert [f.time for f in read_frames(out)] == pytest.approx([i / 25 for i in range(50)])
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


@pytest.mark.parametrize("seconds", [0.3, 5.0])
def test_sound_is_cut_or_padded_to_the_pictures(tmp_path: Path, seconds: float) -> None:
    out = tmp_path / "out.mp4"
    with VideoWriter(out, sound=Recording(tone(16_000, seconds)[None], 16_000)) as video:
        video.write(frames(30))
    assert streams(out)["audio"][1] == pytest.approx(30 / 25, abs=0.04)  # type: ignore[index]


@pytest.mark.parametrize(
    ("rate", "channels", "expected"), [(192_000, 1, 48_000), (8_000, 1, 8_000), (48_000, 6, 48_000)]
)
def test_any_speech_can_be_carried(tmp_path: Path, rate: int, channels: int, expected: int) -> None:
    speech = save_wav(tmp_path / "in.wav", rate, [tone(rate, 0.4)] * channels)
    with VideoWriter(tmp_path / "out.mp4", sound=speech) as video:
        video.write(frames(10))
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.audio[0].codec_context
        assert (context.sample_rate, context.layout.nb_channels) == (expected, channels)


def test_odd_sizes_lose_a_row_and_colours_survive(tmp_path: Path) -> None:
    colour = torch.tensor([200, 120, 90], dtype=torch.uint8)
    with VideoWriter(tmp_path / "out.mp4") as video:
        video.write(colour.expand(3, 65, 97, 3))
    assert (video_facts(tmp_path / "out.mp4").width, video_facts(tmp_path / "out.mp4").height) == (96, 64)
    picture = next(read_frames(tmp_path / "out.mp4")).picture
    np.testing.assert_allclose(picture.reshape(-1, 3).mean(0), colour.numpy(), atol=3)


def test_videos_are_turned_upright(tmp_path: Path) -> None:
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:16] = 255  # white along the top as stored
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    unit = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    quarter = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()  # 90 degrees clockwise
    at = data.find(unit, data.find(b"tkhd"))
    data[at : at + 36] = quarter
    path.write_bytes(data)
    seen = next(read_frames(path)).picture
    assert seen.shape == (96, 64, 3)
    assert seen[:, -12:].mean() > 240 and seen[:, :40].mean() < 15  # the top has become the right-hand side


def test_reading_from_the_middle_gives_the_same_frames_at_the_same_times(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "long.mp4", 30.0) as video:
        for part in frames(600).split(100):
            video.write(part)
    every = list(read_frames(tmp_path / "long.mp4"))
    assert len(list(read_frames(tmp_path / "long.mp4", 1.0))) == 600  # too near the start to seek
    for begin in (9.5, 17.2, 19.99, 60.0):
        some = list(read_frames(tmp_path / "long.mp4", begin))
        assert len(some) < 600 and some[0].time <= begin
        for one, other in zip(every[-len(some) :], some, strict=True):
            assert one.time == pytest.approx(other.time) and np.array_equal(one.picture, other.picture)


@pytest.mark.parametrize("problem", [RuntimeError("render"), KeyboardInterrupt()])
def test_an_interrupted_video_leaves_nothing(tmp_path: Path, problem: BaseException) -> None:
    (tmp_path / "out.mp4").write_bytes(b"the old one")
    with pytest.raises(type(problem)), VideoWriter(tmp_path / "out.mp4") as video:
        for _ in range(20):
            video.write(frames(8))
        raise problem
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"the old one"


def test_who_waits_for_the_last_frames_can_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """x264 holds back some twenty frames, seconds of a large video: they are given up one by one, not all at once."""
    given, begun, held_back = list[int](), threading.Event(), writer._held_back

    def slowly(stream: Any) -> Iterator[Any]:
        for packet in held_back(stream):
            given.append(packet.size)
            yield packet
            begun.set()
            assert video._abandoned.wait(PATIENCE), "nobody stopped"

    def stop() -> None:
        if begun.is_set():
            raise KeyboardInterrupt

    monkeypatch.setattr(writer, "_held_back", slowly)
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", waiting=stop) as video:
        video.write(frames(16))
    assert len(given) == 2 and not list(tmp_path.iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name == "video encoder"]


def test_a_failing_encoder_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="no speech file"),
        VideoWriter(tmp_path / "o.mp4", sound=tmp_path / "a.wav") as v,
    ):
        for _ in range(100):
            v.write(frames(8))
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No frame"), VideoWriter(tmp_path / "out.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, torch
from playmate_core.errors import UserError
from playmate_core.media.video_writer import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with VideoWriter(sys.argv[1]) as video:
        for _ in range(40):
            video.write(torch.randint(0, 256, (8, 128, 128, 3), dtype=torch.uint8))
except UserError as problem:
    sys.exit(str(problem))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
def test_a_disk_that_fills_up_is_said_and_cleaned(tmp_path: Path) -> None:
    done = run_script(FULL_DISK, [tmp_path / "out.mp4"])
    assert done.returncode == 1 and "could not be written" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_outputs_are_checked_before_slow_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_output(tmp_path / "out.mp4") == tmp_path / "out.mp4"
    for path, words in ((tmp_path / "no" / "out.mp4", "does not exist"), (tmp_path / "out.avi", "must end in .mp4")):
        with pytest.raises(UserError, match=words):
            check_output(path)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_output(tmp_path / "folder.mp4")

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched, pytest.raises(UserError, match="cannot be written"):
        patched.setattr(output_file.tempfile, "TemporaryFile", refuse)
        check_output(tmp_path / "out.mp4")
    monkeypatch.setattr(output_file, "LEAST_FREE_BYTES", 1 << 62)
    with pytest.raises(UserError, match="full"):
        check_output(tmp_path / "out.mp4")


MEMORY = """
import numpy as np, torch
from playmate_core.media.audio_files import Recording
from playmate_core.media.video_writer import VideoWriter
with VideoWriter(sys.argv[1], sound=Recording(np.zeros((1, 16000), np.float32), 16000)) as video:
    for i in range(int(sys.argv[2]) // 8):
        video.write(torch.full((8, 256, 256, 3), i % 200, dtype=torch.uint8))
"""


@needs_proc
def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    short, long = (peak_memory(MEMORY, [tmp_path / "out.mp4", count]) for count in (160, 960))
    assert long < short + 30_000, f"{short} kB for 160 frames, {long} kB for 960 (157 MB of pixels more)"
