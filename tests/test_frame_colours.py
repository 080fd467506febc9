"""Colours and shapes of videos and pictures: untagged HD, HDR, P3, pixels that are not square, five generations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from colour_patches import COLOURS, SKIN, linear, patches, seen
from media_files import make_video
from numpy.typing import NDArray
from shared_facts import SHARED

from playmate_core.media.frame_colours import guessed_matrix, square_size
from playmate_core.media.images import from_bytes, read_picture, to_bytes
from playmate_core.media.video_options import VideoOptions
from playmate_core.media.video_reader import read_frames, video_facts
from playmate_core.media.video_writer import VideoWriter
from playmate_core.media.wide_colour import WideColour, wide_colour

FIELD = SHARED / "field"


needs_field = pytest.mark.skipif(not FIELD.is_dir(), reason=f"no field recordings at {FIELD}")


#: Kr and Kb of the matrices.
BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)


def planes(rgb: NDArray[Any], weights: tuple[float, float], full: bool = False, bits: int = 8) -> list[NDArray[Any]]:
    """R'G'B' in 0..1 -> Y', Cb, Cr code values, by the definition of the matrix."""
    kr, kb = weights
    luma = rgb @ np.array([kr, 1 - kr - kb, kb])
    cb, cr = (rgb[..., 2] - luma) / (2 - 2 * kb), (rgb[..., 0] - luma) / (2 - 2 * kr)
    unit = 1 << (bits - 8)
    y = luma * 255 if full else (16 + 219 * luma) * unit
    swing = 255 if full else 224 * unit
    chroma = (128 * unit + swing * cb, 128 * unit + swing * cr)
    return [np.round(y), *(np.round(c) for c in chroma)]


def store(
    path: Path,
    parts: list[NDArray[Any]],
    setup: Callable[[Any], None] = lambda stream: None,
    pixels: str = "yuv444p",
) -> Path:
    """Three frames of these planes as lossless H.264, in whose header stands what ``setup`` says."""
    height, width = parts[0].shape
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.options = {"qp": "0", "preset": "ultrafast"}
        setup(stream)
        for number in range(3):
            frame = av.VideoFrame(width, height, pixels)
            for plane, part in zip(frame.planes, parts, strict=True):
                kind = np.uint16 if "10" in pixels else np.uint8
                rows = np.zeros((len(part), plane.line_size // kind().itemsize), kind)
                rows[:, : part.shape[1]] = part
                plane.update(rows.tobytes())
            frame.pts = number
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def tagged(matrix: int, primaries: int = 2, transfer: int = 2, full: bool = False) -> Callable[[Any], None]:
    def setup(stream: Any) -> None:
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        context.color_range = 2 if full else 1

    return setup


def first(path: Path) -> NDArray[np.uint8]:
    return next(read_frames(path)).picture


@pytest.mark.parametrize(
    ("size", "setup", "weights", "full"),
    [
        ((720, 1280), None, BT709, False),
        ((1280, 720), None, BT709, False),
        ((1280, 1024), None, BT709, False),
        ((480, 640), None, BT601, False),
        ((576, 720), None, BT601, False),
        ((720, 1280), tagged(6), BT601, False),
        ((96, 128), tagged(1), BT709, False),
        ((96, 128), tagged(5, full=True), BT601, True),
        ((96, 128), tagged(1, full=True), BT709, True),
    ],
)
def test_the_matrix_is_the_one_that_is_said_or_that_players_take(
    tmp_path: Path, size: tuple[int, int], setup: Any, weights: tuple[float, float], full: bool
) -> None:
    rgb = patches(*size) / 255
    path = store(tmp_path / "a.mp4", planes(rgb, weights, full), setup or (lambda stream: None))
    assert np.abs(seen(first(path)) - np.array(COLOURS)).max() <= 1.0


def test_what_is_larger_than_standard_definition_is_hd() -> None:
    names = [guessed_matrix(*size) for size in ((720, 576), (640, 480), (1280, 720), (720, 1280), (1920, 1080))]
    assert names == ["smpte170m", "smpte170m", "bt709", "bt709", "bt709"]


#: Code values of some HDR colours, none beyond BT.709.
CODES = ((0.55, 0.45, 0.4), (0.3, 0.35, 0.32), (0.5, 0.5, 0.5), (0.4, 0.45, 0.5))
TO_BT2020 = np.linalg.inv(
    np.array([[1.660491, -0.587641, -0.07285], [-0.12455, 1.1329, -0.008349], [-0.018151, -0.100579, 1.11873]])
)


def pq(nits: Any) -> Any:
    power = (np.asarray(nits) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: Any) -> Any:
    """Display light in units of 203 cd/m2 (H, W, 3) -> HLG code, the system gamma of 1.2 undone."""
    nits = np.asarray(light) * 0.203
    luminance = nits @ np.array([0.2627, 0.678, 0.0593])
    scene = nits * (np.maximum(luminance, 1e-9) ** (1 / 1.2 - 1))[..., None]
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )


@pytest.mark.parametrize(("transfer", "code"), [(16, lambda light: pq(light * 203)), (18, hlg)])
def test_hdr_shows_skin_as_it_was_and_keeps_what_is_brighter_apart(
    tmp_path: Path, transfer: int, code: Callable[[Any], Any]
) -> None:
    """Below the knee a tone is itself; white paper and the lamp above it stay apart and below full white."""
    light = linear(patches(96, 128)) @ TO_BT2020.T
    light[:, 16:32] = 1.0  # white paper
    light[:, 32:48] = 3.0  # a lamp
    parts = planes(code(light), BT2020, bits=10)
    path = store(tmp_path / "a.mp4", parts, tagged(9, 9, transfer), "yuv444p10le")
    result = seen(first(path))
    dim = [3, 4, 5, 6]
    assert np.abs(result[dim] - np.array(COLOURS)[dim]).max() <= 4
    assert np.abs(result[0] - np.array(SKIN)).max() <= 12  # its red lies above the knee
    paper, lamp = result[1], result[2]
    assert 215 <= paper.mean() <= 240 and paper.mean() + 8 <= lamp.mean() <= 255
    assert np.ptp(paper) <= 2 and np.ptp(lamp) <= 2  # grey stays grey


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv422p10le", "yuv444p10le"])
def test_hdr_is_read_alike_in_every_sampling_of_its_colours(tmp_path: Path, pixels: str, transfer: int) -> None:
    """Telephones store 4:2:0. The expected picture is computed from the code values themselves."""
    code = np.repeat(np.repeat(np.array(CODES)[None], 96, 0), 32, 1)
    whole = planes(code, BT2020, bits=10)
    down, across = {"yuv420p10le": (2, 2), "yuv422p10le": (1, 2), "yuv444p10le": (1, 1)}[pixels]
    parts = [whole[0], *(part[::down, ::across] for part in whole[1:])]
    path = store(tmp_path / "a.mp4", parts, tagged(9, 9, transfer), pixels)
    colour = wide_colour(9, transfer)
    assert colour is not None
    expected = colour.to_srgb(np.round(code * 65535).astype(np.uint16))
    middles = slice(16, None, 32)
    assert np.abs(first(path)[48, middles].astype(int) - expected[48, middles]).max() <= 8


def test_the_peak_becomes_white_and_nothing_turns_back() -> None:
    ramp = np.repeat(np.arange(0, 65536, 64, dtype=np.uint16)[None, :, None], 3, 2)
    for transfer in (16, 18):
        colour = wide_colour(9, transfer)
        assert colour is not None
        grey = colour.to_srgb(ramp)[0, :, 0].astype(int)
        assert (np.diff(grey) >= 0).all() and grey[0] == 0 and grey[-1] == 255


@pytest.mark.parametrize(("primaries", "matrix"), [(9, 9), (12, 1), (11, 1)])
def test_wide_gamuts_without_hdr_are_converted(tmp_path: Path, primaries: int, matrix: int) -> None:
    to_wide = (
        TO_BT2020
        if primaries == 9
        else np.linalg.inv([[1.22494, -0.22494, 0], [-0.042057, 1.042057, 0], [-0.019638, -0.078636, 1.098274]])
    )
    light = (linear(patches(96, 128)) @ to_wide.T).clip(0, 1)
    code = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    weights = BT2020 if matrix == 9 else BT709
    path = store(tmp_path / "a.mp4", planes(code, weights), tagged(matrix, primaries, 1))
    # Eight bits of the wider gamut are coarse in dark red.
    assert np.abs(seen(first(path)) - np.array(COLOURS)).max() <= (4 if primaries == 9 else 3)


def test_ordinary_videos_are_not_tone_mapped() -> None:
    assert wide_colour(1, 1) is None and wide_colour(2, 2) is None and wide_colour(6, 6) is None
    assert wide_colour(2, 16) == WideColour(9, 16) and wide_colour(1, 18) == WideColour(9, 18)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((64, 45), (91, 64)), ((16, 11), (93, 64)), ((8, 9), (64, 72)), ((1, 2), (64, 128)), ((1, 1), (64, 64))],
)
def test_pixels_become_square(tmp_path: Path, shape: tuple[int, int], expected: tuple[int, int]) -> None:
    def setup(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(*shape)

    for name in ("a.mp4", "a.mkv"):
        disc = np.zeros((64, 64, 3), np.uint8)
        cv2.ellipse(disc, (32, 32), (20, 20), 0, 0, 360, (255, 255, 255), -1)
        video = make_video(tmp_path / name, (0.0, 0.04, 0.08), picture=lambda time, disc=disc: disc, setup=setup)
        facts, picture = video_facts(video), first(video)
        assert (facts.width, facts.height) == expected == picture.shape[1::-1]
        bright = picture[..., 0] > 128
        across, down = int(bright.any(0).sum()), int(bright.any(1).sum())
        assert across / down == pytest.approx(shape[0] / shape[1], rel=0.05)


def test_a_shape_that_no_pixel_has_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def setup(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(40, 1)

    video = make_video(tmp_path / "a.mp4", (0.0, 0.04, 0.08), setup=setup)
    with caplog.at_level(logging.WARNING):
        assert first(video).shape == (64, 96, 3)
    assert "taken for a mistake" in caplog.text and square_size(720, 576, Fraction(64, 45)) == (1024, 576)


@pytest.mark.parametrize(("options", "encoder"), [(VideoOptions(), 1.0), (VideoOptions(crf=1), 0.0)])
def test_five_generations_of_a_video_stay_within_a_level(tmp_path: Path, options: VideoOptions, encoder: float) -> None:
    """Of what they were; ``encoder`` is what x264 itself takes from hard edges between saturated colours."""
    picture, shown = patches(128, 256), []
    for _ in range(5):
        with VideoWriter(tmp_path / "a.mp4", options=options) as video:
            video.write(torch.from_numpy(picture)[None].repeat(3, 1, 1, 1))
        picture = first(tmp_path / "a.mp4")
        shown.append(seen(picture))
    assert np.abs(shown[-1] - shown[0]).max() <= 1.0 + encoder
    assert np.abs(shown[-1] - np.array(COLOURS)).max() <= 1.5 + encoder  # half a level by rounding to 8 bits
    assert np.abs((shown[-1] - np.array(COLOURS)).mean(0)).max() <= 1.0


def test_five_generations_of_a_picture_are_exact(tmp_path: Path) -> None:
    start = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    picture = start
    for _ in range(5):
        cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
        picture = to_bytes(read_picture(tmp_path / "a.png")).numpy()
    assert (picture == start).all() and torch.equal(to_bytes(from_bytes(start)), torch.from_numpy(start))


def test_outputs_keep_their_tags(tmp_path: Path) -> None:
    """Also where parts were joined, whose packets are copied."""
    from playmate_core.media.concat import join

    parts = []
    for number in range(2):
        with VideoWriter(tmp_path / f"{number}.mp4") as video:
            video.write(torch.zeros(5, 64, 64, 3))
        parts.append(video.path)
    join(parts, tmp_path / "a.mp4", 25.0)
    for path in (*parts, tmp_path / "a.mp4"):
        with av.open(str(path)) as container:
            context: Any = container.streams.video[0].codec_context
            next(container.decode(video=0))
            assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)


@needs_field
def test_what_the_field_sent_has_its_colours() -> None:
    video = FIELD / "07_colour_untagged_hd" / "cuntag_hd.mp4"
    colours = {tuple(pixel) for pixel in first(video).reshape(-1, 3)[::5000].tolist()}
    assert any(np.abs(np.array(colour) - SKIN).max() <= 2 for colour in colours)
    photo, twin = (to_bytes(read_picture(FIELD / "12_wide_gamut_photo" / name)).int() for name in ("p3.jpg", "a.png"))
    assert float((photo - twin).abs().float().mean()) < 1.0
