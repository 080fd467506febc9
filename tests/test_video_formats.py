"""Every format of the table, written and read back with PyAV: pictures, rate, pixel format, alpha, sound and tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.media import stored_frames, video_formats
from playmate_core.media.account import read_account
from playmate_core.media.audio_files import Recording
from playmate_core.media.provenance import DRAWN, Mark
from playmate_core.media.video_formats import VIDEO_FORMATS, VideoFormat
from playmate_core.media.video_options import VideoOptions
from playmate_core.media.video_writer import with_decoding_times
from playmate_core.rendering import segments as room
from playmate_core.rendering.fallback import FallbackRenderer
from playmate_core.rendering.segments import RenderJob, VideoOutput, write_video
from playmate_core.weights.files import load_face

FRAMES, HEIGHT, WIDTH, FPS = 12, 48, 64, 25.0
#: The mean error of decoded colours that is allowed, in levels: lossy codecs, and 256 colours of a GIF.
ERROR = {"png": 0.0, "gif": 6.0}
MARK = Mark(DRAWN, '{"command":"test"}')


@dataclass(frozen=True)
class Case:
    """One container of a format, with or without alpha."""

    format: VideoFormat
    suffix: str
    alpha: bool

    def __str__(self) -> str:
        return f"{self.format.name}{self.suffix}{'-alpha' * self.alpha}"


CASES = [
    Case(row, suffix, alpha)
    for row in VIDEO_FORMATS
    for suffix in row.suffixes
    for alpha in ((False, True) if row.alpha else (False,))
]
cases = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="module")
def face(tiny_face: Path) -> FaceModel:
    return load_face(tiny_face)


def drawn_frames(alpha: bool, frames: int = FRAMES) -> np.ndarray:
    """Smooth pictures that differ in a bar, whose alpha is a ramp that moves."""
    pictures = np.zeros((frames, HEIGHT, WIDTH, 4), np.uint8)
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    for i, picture in enumerate(pictures):
        picture[..., 0], picture[..., 1], picture[..., 2] = 40 + across * 2, 60 + down * 2, 90 + 10 * (i % 16) % 160
        picture[..., 3] = np.clip((across - 20 + i) * 12, 0, 255)
    return pictures if alpha else pictures[..., :3]


def job_of(face: FaceModel, pictures: np.ndarray, fps: float = FPS) -> RenderJob:
    def draw(renderer: FallbackRenderer, start: int, stop: int, progress: Any) -> Iterator[Tensor]:
        yield torch.from_numpy(np.ascontiguousarray(pictures[start:stop]))

    def tensors(start: int, stop: int) -> list[Tensor]:
        return [torch.from_numpy(pictures[start:stop].copy())]

    return RenderJob(face, len(pictures), fps, 4, draw, "pictures", list, tensors)


def sound(seconds: float) -> Recording:
    wave = np.sin(np.arange(round(44_100 * seconds)) * 0.05).astype(np.float32) * 0.5
    return Recording(np.stack([wave, wave]), 44_100)


def written(face: FaceModel, folder: Path, case: Case, frames: int = FRAMES, **encoding: Any) -> Path:
    path = folder / f"out{case.suffix}"
    options = VideoOptions(codec=case.format.name, mark=MARK, **encoding)
    pictures = drawn_frames(case.alpha, frames)
    write_video(job_of(face, pictures), VideoOutput(path, sound(frames / FPS), encoding=options))
    return path


def read_back(path: Path, case: Case) -> tuple[np.ndarray, np.ndarray | None]:
    """The colours, and the alpha planes where there are any. FFmpeg's own VP9 decoder knows no alpha."""
    if path.is_dir():
        found = np.stack([np.asarray(Image.open(one)) for one in sorted(path.iterdir())])
        return found[..., :3], found[..., 3] if found.shape[-1] == 4 else None
    colours, alphas = [], []
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        decoder: Any = stream.codec_context
        if case.alpha and case.format.name == "vp9":
            decoder = av.CodecContext.create("libvpx-vp9", "r")
        for packet in container.demux(stream):
            for frame in decoder.decode(packet if packet.size else None):
                colours.append(frame.to_ndarray(format="rgb24"))
                if case.alpha:
                    alphas.append(alpha_plane(frame))
    return np.stack(colours), np.stack(alphas) if alphas else None


def alpha_plane(frame: Any) -> np.ndarray:
    """The fourth plane in [0, 255], without a conversion."""
    bits = 8 if frame.format.name == "yuva420p" else int(frame.format.name.removesuffix("le")[-2:])
    kind = np.uint8 if bits == 8 else np.dtype("<u2")
    plane = np.frombuffer(frame.planes[3], kind).reshape(frame.height, -1)[:, : frame.width]
    return plane * (255 / (2**bits - 1))


@cases
def test_a_format_holds_the_pictures(tmp_path: Path, face: FaceModel, case: Case) -> None:
    path = written(face, tmp_path, case)
    colours, alpha = read_back(path, case)
    wanted = drawn_frames(case.alpha)
    assert colours.shape == (FRAMES, HEIGHT, WIDTH, 3) and (alpha is not None) == case.alpha
    assert np.abs(colours.astype(int) - wanted[..., :3]).mean() <= ERROR.get(case.format.name, 3.0)
    if alpha is not None:
        assert np.abs(alpha - wanted[..., 3]).max() <= (0 if case.format.name == "png" else 3)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@cases
def test_a_format_states_its_rate_its_colours_and_its_sound(tmp_path: Path, face: FaceModel, case: Case) -> None:
    path = written(face, tmp_path, case)
    if path.is_dir():
        assert [one.name for one in sorted(path.iterdir())] == [f"frame_{i:06d}.png" for i in range(1, FRAMES + 1)]
        assert Image.open(path / "frame_000001.png").mode == ("RGBA" if case.alpha else "RGB")
        return
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        times = [frame.time for frame in container.decode(stream)]
        assert times == pytest.approx([i / FPS for i in range(FRAMES)], abs=1e-3)
        assert stream.average_rate == Fraction(25)
        held = stream.codec_context.pix_fmt
        if case.format.name != "vp9":  # whose second picture the decoder does not know
            assert ("yuva" in held or "rgba" in held) == case.alpha
        if case.format.name != "gif":
            assert stream.codec_context.colorspace == 1 and ("444" in held) == ("444" in case.format.pixels)
        assert case.format.tag in ("", stream.codec_context.codec_tag)
        if not case.format.sound:
            assert not container.streams.audio
            return
        (heard,) = container.streams.audio
        assert heard.codec_context.name == {"libopus": "opus"}.get(case.format.sound, case.format.sound)
        assert float(heard.duration or container.duration / 1000) > 0


@cases
def test_a_format_says_that_it_is_synthetic(tmp_path: Path, face: FaceModel, case: Case) -> None:
    path = written(face, tmp_path, case)
    account = read_account(next(path.iterdir()) if path.is_dir() else path)
    assert account.kind == DRAWN and account.recipe == MARK.recipe and "Synthetic" in account.words
    assert account.software.startswith("Playmate") and account.has_packet == (case.suffix != ".webm")


@cases
def test_parts_join_to_the_same_pictures(
    tmp_path: Path, face: FaceModel, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after the second part, and gone on from."""
    monkeypatch.setattr(room, "PART", 5)
    path = tmp_path / f"again{case.suffix}"
    pictures = drawn_frames(case.alpha)
    output = VideoOutput(path, sound(FRAMES / FPS), True, VideoOptions(codec=case.format.name))
    job = job_of(face, pictures)
    begun: list[int] = []

    def draw(renderer: FallbackRenderer, start: int, stop: int, progress: Any) -> Iterator[Tensor]:
        begun.append(start)
        if begun == [0, 5, 10]:
            raise KeyboardInterrupt
        return job.draw(renderer, start, stop, progress)

    with pytest.raises(KeyboardInterrupt):
        write_video(replace(job, draw=draw), output)
    assert not path.exists()
    assert write_video(replace(job, draw=draw), output) == FRAMES and begun == [0, 5, 10, 10]
    whole = replace(output, path=tmp_path / f"whole{case.suffix}", resumable=False)
    write_video(job, whole)
    for got, wanted in zip(read_back(path, case), read_back(whole.path, case), strict=True):
        assert (got is None) == (wanted is None) and (got is None or np.array_equal(got, wanted))
    with_tag = format_tag(path), format_tag(whole.path)
    assert with_tag[0] == with_tag[1]
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name, whole.path.name]


def format_tag(path: Path) -> str:
    if path.is_dir():
        return ""
    with av.open(str(path)) as container:
        return str(container.streams.video[0].codec_context.codec_tag)


@cases
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_ping_pong_plays_there_and_back(
    tmp_path: Path, face: FaceModel, case: Case, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 2 3 4 5 4 3 2: in parts of two, and with room for one picture when they are read backwards."""
    monkeypatch.setattr(room, "PART", 2)
    monkeypatch.setattr(stored_frames, "BACKWARD_BYTES", 1)
    path = written(face, tmp_path, case, frames, ping_pong=True)
    wanted = drawn_frames(case.alpha)[[0, 1, 2, 3, 4, 3, 2, 1] if frames == 5 else range(frames)]
    colours, _ = read_back(path, case)
    assert len(colours) == len(wanted)
    blues = colours[..., 2].mean((1, 2))
    assert np.abs(blues - wanted[..., 2].mean((1, 2))).max() < 6, blues


def test_ping_pong_is_read_in_blocks(tmp_path: Path, face: FaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that divide neither a part nor the whole give the same pictures, exactly."""
    monkeypatch.setattr(room, "PART", 7)
    monkeypatch.setattr(stored_frames, "BACKWARD_BYTES", 3 * 4 * HEIGHT * WIDTH)
    path = written(face, tmp_path, CASES[-1], 16, ping_pong=True)
    wanted = drawn_frames(True, 16)
    assert np.array_equal(read_back(path, CASES[-1])[0], np.concatenate([wanted, wanted[14:0:-1]])[..., :3])


@pytest.mark.parametrize("fps", [10.0, 24.0, 29.97, 30.0, 50.0])
def test_the_times_of_a_gif_do_not_drift(tmp_path: Path, face: FaceModel, fps: float) -> None:
    path = tmp_path / "a.gif"
    write_video(job_of(face, drawn_frames(False, 40), fps), VideoOutput(path))
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([i / fps for i in range(40)], abs=0.0051)


def test_what_a_format_cannot_hold_is_said_before_the_first_frame(
    tmp_path: Path, face: FaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(job_of(face, drawn_frames(False), 60.0), draw=lambda *asked: pytest.fail("a frame was drawn"))
    monkeypatch.setattr(video_formats, "has_encoder", lambda name: name != "libvpx-vp9")
    for name, words in (("a.gif", "at most 50"), ("a.webm", "no encoder libvpx-vp9"), ("a.avi", "must end in")):
        with pytest.raises(UserError, match=words):
            write_video(job, VideoOutput(tmp_path / name))


def test_the_sound_of_a_ping_pong_plays_once(tmp_path: Path, face: FaceModel) -> None:
    path = written(face, tmp_path, CASES[0], ping_pong=True)
    with av.open(str(path)) as container:
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1)
    half = round(44_100 * FRAMES / FPS)
    assert np.abs(heard[:, : half - 2048]).max() > 0.4 and np.abs(heard[:, half + 4096 :]).max() < 0.01


@dataclass
class Packet:
    """What the encoder says of a packet."""

    pts: int
    dts: int | None


@pytest.mark.parametrize("lost", [[None] * 4, [0, 0, 0, 0], [7, 8, 9, 10], [-90, -3, -2, -1]])
def test_times_of_decoding_that_x265_leaves_undefined(lost: list[int | None]) -> None:
    """Frames in the order 0 3 1 2: decoded one frame before they are shown."""
    packets = [Packet(pts, dts) for pts, dts in zip((0, 3, 1, 2), lost, strict=True)]
    assert [packet.dts for packet in with_decoding_times(packets)] == [-1, 0, 1, 2]
    stated = [Packet(pts, dts) for pts, dts in zip((0, 3, 1, 2), (-2, -1, 0, 1), strict=True)]
    assert [packet.dts for packet in with_decoding_times(stated)] == [-2, -1, 0, 1]


@cases
@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_short_videos_are_written(tmp_path: Path, face: FaceModel, case: Case, frames: int) -> None:
    assert len(read_back(written(face, tmp_path, case, frames), case)[0]) == frames
