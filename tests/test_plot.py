"""Motion curves as a picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from playmate_core.motion.plot import GREY, MARGIN, MARGIN_LEFT, MARGIN_RIGHT, ORANGE, PALE, PURPLE, SKY, plot_motion
from playmate_core.motion.plot_marks import jumps, read_marks
from playmate_core.motion.pose import neutral_pose
from playmate_core.motion.retime import join_motions
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


def test_jumps_are_found_where_two_motions_meet_and_nowhere_else() -> None:
    wave = 0.01 * torch.sin(torch.arange(100) / 8.0)
    calm = Motion(neutral_pose(100), wave[:, None, None].expand(-1, 21, 3).clone())
    assert jumps(calm) == [] == jumps(calm[:3])
    other = replace(calm, expression=calm.expression + 0.1)
    assert jumps(join_motions(calm, other, 0.0)) == [100]
    assert jumps(join_motions(calm, other, 0.6)) == []
    turned = replace(calm, pose=replace(calm.pose, rotation=calm.pose.rotation + 15.0))
    assert jumps(join_motions(calm, turned, 0.0)) == [100]


def test_silences_jumps_and_keys_are_drawn_in_their_colours() -> None:
    calm = Motion(neutral_pose(100), torch.zeros(100, 21, 3))
    torn = join_motions(calm, replace(calm, expression=calm.expression + 0.1), 0.0)
    voice = torch.ones(200)
    voice[50:75] = 0.0
    plain, marked = plot_motion(torn[:100]), plot_motion(torn, voice, marks=read_marks("6, 0:01, 9"))
    row = marked[MARGIN + 40, MARGIN_LEFT:]
    colours = {tuple(int(part) for part in colour) for colour in row}
    assert {PALE, PURPLE, SKY} <= colours and not {PALE, PURPLE} & {tuple(map(int, c)) for c in plain[66, 90:]}
    pale = [x / (1200 - MARGIN_LEFT - MARGIN_RIGHT) * 8 for x in range(len(row)) if tuple(row[x]) == PALE]
    assert 2.0 <= min(pale) < 2.3 and 2.7 < max(pale) <= 3.0
