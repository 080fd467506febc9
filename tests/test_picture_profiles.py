"""Pictures with a colour profile are read as sRGB."""

from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from colour_patches import COLOURS, in_p3, linear, p3_profile, patches, save_with_profile, seen

from playmate_core.media.images import read_picture, to_bytes


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tiff", "a.webp"])
def test_a_picture_in_display_p3_becomes_srgb(tmp_path: Path, name: str) -> None:
    path = save_with_profile(tmp_path / name, in_p3(patches(64, 128)), p3_profile())
    error = np.abs(seen(to_bytes(read_picture(path)).numpy()) - np.array(COLOURS)).max()
    assert error <= (8 if name == "a.webp" else 3)


def test_a_profile_of_srgb_changes_nothing(tmp_path: Path) -> None:
    from PIL import ImageCms

    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = save_with_profile(tmp_path / "a.png", picture, profile)
    assert (to_bytes(read_picture(path)).numpy() == picture).all()


def test_a_damaged_profile_is_said_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture = patches(64, 128)
    path = save_with_profile(tmp_path / "a.png", picture, b"this is no profile" * 20)
    with caplog.at_level(logging.WARNING):
        assert (to_bytes(read_picture(path)).numpy() == picture).all()
    assert "colour profile" in caplog.text


def test_a_grey_picture_with_the_profile_of_a_colour_one_is_read(tmp_path: Path) -> None:
    path = save_with_profile(tmp_path / "a.png", np.full((64, 64, 3), 100, np.uint8), p3_profile(), "L")
    assert np.abs(to_bytes(read_picture(path)).numpy().astype(int) - 100).max() <= 1


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def said(path: Path, picture: Any, *chunks: bytes) -> Any:
    """The patches of a PNG with these chunks, as they are read."""
    png = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    path.write_bytes(png[:33] + b"".join(chunks) + png[33:])
    return seen(to_bytes(read_picture(path)).numpy())


SRGB_POINTS, P3_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000), (31270, 32900, 68000, 32000, 26500)
CHRM_SRGB = chunk(b"cHRM", struct.pack(">8I", *SRGB_POINTS))
CHRM_P3 = chunk(b"cHRM", struct.pack(">8I", *P3_POINTS, 69000, 15000, 6000))


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


@pytest.mark.parametrize("value", [1 / 1.8, 1.0, 0.4])
def test_the_gamma_of_a_png_counts(tmp_path: Path, value: float) -> None:
    stored = np.round(255 * linear(patches(64, 128)) ** value).astype(np.uint8)
    error = np.abs(said(tmp_path / "a.png", stored, gamma(value), CHRM_SRGB) - np.array(COLOURS)).max()
    assert error <= (8 if value == 1.0 else 2)  # eight bits of linear light are coarse in the dark


@pytest.mark.parametrize("chunks", [[chunk(b"cICP", bytes([12, 13, 0, 1]))], [gamma(0.45455), CHRM_P3]])
def test_the_gamut_of_a_png_counts(tmp_path: Path, chunks: list[bytes]) -> None:
    assert np.abs(said(tmp_path / "a.png", in_p3(patches(64, 128)), *chunks) - np.array(COLOURS)).max() <= 3


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(b"cICP", bytes([1, 13, 0, 1]))],
        [gamma(0.45455), CHRM_SRGB],
        [chunk(b"sRGB", b"\0"), gamma(1.0), CHRM_P3],  # sRGB goes before the others
        [gamma(0.0)],
        [chunk(b"cHRM", bytes(32))],
        [chunk(b"cHRM", b"x"), chunk(b"gAMA", b""), chunk(b"cICP", b"")],
    ],
)
def test_a_png_that_says_srgb_or_nonsense_is_unchanged(tmp_path: Path, chunks: list[bytes]) -> None:
    assert (said(tmp_path / "a.png", patches(64, 128), *chunks) == np.array(COLOURS)).all()


def test_an_hdr_png_is_tone_mapped(tmp_path: Path) -> None:
    """PQ in the primaries of BT.2020, at the reference white of 203 cd/m2."""
    to_bt2020 = np.linalg.inv(
        np.array([[1.660491, -0.587641, -0.07285], [-0.12455, 1.1329, -0.008349], [-0.018151, -0.100579, 1.11873]])
    )
    power = (linear(patches(64, 128)) @ to_bt2020.T * 203 / 10_000).clip(0) ** 0.1593017578125
    code = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    result = said(tmp_path / "a.png", np.round(65535 * code).astype(np.uint16), chunk(b"cICP", bytes([9, 16, 0, 1])))
    dim = [3, 4, 5, 6]
    assert np.abs(result[dim] - np.array(COLOURS)[dim]).max() <= 6 and result[1].min() > 215
