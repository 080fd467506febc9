"""Motion curves as a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from playmate_core.motion.plot import GREY, ORANGE, plot_motion
from playmate_core.values import KEYPOINTS, Motion, Pose


def a_motion(frames: int) -> Motion:
    yaw = torch.linspace(0, 20, frames)
    rotation = torch.stack([torch.zeros(frames), yaw, torch.zeros(frames)], 1)
    return Motion(Pose(rotation, torch.zeros(frames, 3), torch.ones(frames, 1)), torch.zeros(frames, KEYPOINTS, 3))


def rows_of(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the head's panel, right of the curves' names, that have about this colour."""
    distance = np.abs(picture[30:180, 300:1180].astype(int) - colour).max(-1)
    rows, columns = np.nonzero(distance < 60)
    return rows, columns + 300


def test_a_rising_yaw_is_drawn_rising() -> None:
    picture = plot_motion(a_motion(200))
    assert picture.shape == (720, 1200, 3) and picture.dtype == np.uint8
    rows, columns = rows_of(picture, ORANGE)
    assert len(rows) > 100 and np.corrcoef(rows, columns)[0, 1] < -0.9


def test_the_voice_is_shaded_where_it_speaks() -> None:
    energy = torch.zeros(200)
    energy[100:] = 0.7
    picture = plot_motion(a_motion(200), energy)
    assert (picture[150, 700:1180] == GREY).mean() > 0.9
    assert (picture[150, 120:580] == GREY).all(-1).mean() < 0.1


@pytest.mark.parametrize("frames", [0, 1, 2, 20_000])
def test_any_length_is_drawn(frames: int) -> None:
    assert plot_motion(a_motion(frames), torch.ones(frames)).min() < 255
