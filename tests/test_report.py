"""The motion report measures what was put into a motion."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from edited_motions import SPACES, blinking

from playmate_core.interpolation import loudness_at
from playmate_core.motion.directions import directions, slider_values
from playmate_core.motion.edit import resample_motion
from playmate_core.motion.pose import neutral_pose
from playmate_core.motion.report import lips_and_voice, motion_report, moving_in_silence
from playmate_core.values import AudioFeatures, Motion

FRAMES = 250


def voice(until: int = FRAMES) -> torch.Tensor:
    """Syllables of random loudness, twelve frames apart on average."""
    draw = torch.Generator().manual_seed(0)
    energy = torch.zeros(FRAMES)
    for at in range(5, until - 5, 9):
        energy[at - 2 : at + 3] = torch.rand(1, generator=draw) * torch.tensor([0.4, 0.8, 1.0, 0.8, 0.4])
    energy[:until] += 0.1
    return energy


def lips(opening: torch.Tensor, space: str) -> Motion:
    """A still head whose lips open as told, in steps of aaa."""
    aaa = directions(space).offset(slider_values({"aaa": 1.0})).float()
    return Motion(neutral_pose(len(opening)), opening[:, None, None] * aaa, space)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("late", [-4, 0, 3])
def test_the_lag_that_was_put_in_is_found(space: str, late: int) -> None:
    found = lips_and_voice(lips(40 * voice().roll(late), space), voice())
    assert found.lag == pytest.approx(late / 25) and found.correlation > 0.95


@pytest.mark.parametrize("fps", [30_000 / 1001, 50.0, 60.0])
def test_the_lag_is_found_at_the_rate_of_a_video(fps: float) -> None:
    speech = AudioFeatures(torch.zeros(FRAMES, 1, 1), voice(), "logmel")
    motion = resample_motion(lips(40 * voice().roll(3), "liveportrait"), fps)
    found = lips_and_voice(motion, loudness_at(speech, len(motion), fps))
    assert found.lag == pytest.approx(3 / 25, abs=0.6 / fps) and found.correlation > 0.95


def test_loudness_at_its_own_rate_keeps_every_bit_and_beyond_its_end_is_none() -> None:
    speech = AudioFeatures(torch.zeros(FRAMES, 1, 1), voice(), "logmel")
    assert torch.equal(loudness_at(speech, FRAMES + 7, 25.0), torch.cat([voice(), torch.zeros(7)]))
    assert torch.equal(loudness_at(speech, 50, 12.5), voice()[:100:2])
    assert torch.equal(loudness_at(speech, 100, 50.0)[::2], voice()[:50])
    nothing = AudioFeatures(torch.zeros(0, 1, 1), torch.zeros(0), "logmel")
    assert torch.equal(loudness_at(nothing, 3, 25.0), torch.zeros(3))


def test_lips_that_have_nothing_to_do_with_the_voice_do_not_follow_it() -> None:
    noise = 20 * torch.rand(FRAMES, generator=torch.Generator().manual_seed(1))
    assert lips_and_voice(lips(noise, "liveportrait"), voice()).correlation < 0.3
    still = lips_and_voice(lips(torch.zeros(FRAMES), "liveportrait"), voice())
    assert (still.correlation, still.lag) == (0.0, 0.0)


def test_moving_in_silence_is_counted_in_seconds() -> None:
    spoken = voice(until=125)
    assert moving_in_silence(lips(40 * spoken, "liveportrait"), spoken) < 0.1
    assert moving_in_silence(lips(40 * voice(), "liveportrait"), spoken) > 1.5


def test_jitter_is_told_from_movement_and_blinks_are_counted() -> None:
    slow = blinking("liveportrait", (40, 140), FRAMES)
    wave = torch.sin(torch.arange(FRAMES) / 12.0)
    pose = replace(neutral_pose(FRAMES), rotation=torch.stack([8 * wave, 30 * wave, 0 * wave], -1))
    calm = Motion(pose, 0.02 * wave[:, None, None].expand(-1, 21, 3).clone(), "liveportrait")
    calm.expression[:, [11, 13, 15, 16]] = slow.expression[:, [11, 13, 15, 16]]
    report = motion_report(calm)
    shares = dict(report.jitter)
    assert shares["rest"] < 0.02 and shares["head"] < 0.02
    assert report.blinks == pytest.approx(12.0) and report.head[1][1] == pytest.approx(30.0, abs=0.1)
    noise = torch.randn(FRAMES, 21, 3, generator=torch.Generator().manual_seed(2))
    assert dict(motion_report(replace(calm, expression=0.01 * noise)).jitter)["rest"] > 0.5


def test_the_report_speaks() -> None:
    wide = replace(neutral_pose(FRAMES), rotation=torch.tensor([[0.0, 50.0, 0.0]]).repeat(FRAMES, 1))
    late = replace(lips(40 * voice().roll(5), "liveportrait"), pose=wide)
    said = str(motion_report(late, voice())).splitlines()
    assert any(line.startswith("!") and "200 ms late" in line for line in said)
    assert any(line.startswith("!") and "yaw: 50.0 to 50.0" in line for line in said)
    assert any("connect the speech" in line for line in motion_report(late).lines())
    assert len(str(motion_report(late[:0])).splitlines()) > 4, "an empty motion has a report too"
