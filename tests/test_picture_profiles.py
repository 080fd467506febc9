"""Pictures with a colour profile are read as sRGB."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from colour_patches import COLOURS, in_p3, p3_profile, patches, save_with_profile, seen

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
