"""One who listens: closed lips in the own silence, nods at the other voice, and nothing else changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.keypoint_space import PLAYMATE_DEMO
from playmate_core.motion.lips_and_lids import lips_open
from playmate_core.motion.listening import Listening, listening
from playmate_core.values import Motion, Pose


def talker(frames: int) -> Motion:
    """Lips that open and close twice a second, a head that sways."""
    time = torch.arange(frames) / 25
    expression = torch.zeros(frames, 21, 3)
    expression[:, 19, 1] = 0.03 * (1 - torch.cos(4 * torch.pi * time)) / 2
    turns = torch.stack([torch.zeros(frames), 5 * torch.sin(time), torch.zeros(frames)], -1)
    return Motion(Pose(turns, torch.zeros(frames, 3), torch.ones(frames, 1)), expression, PLAYMATE_DEMO)


def voice(frames: int, begin: int, end: int) -> Tensor:
    """Syllables, four a second, from one frame to another."""
    time = torch.arange(frames) / 25
    energy = 0.5 + 0.5 * torch.sin(8 * torch.pi * time)
    return energy.clamp(min=0.1) * ((torch.arange(frames) >= begin) & (torch.arange(frames) < end))


FRAMES = 500
#: Speaks in the first ten seconds, hears in the second ten.
OWN, OTHER = voice(FRAMES, 0, 250), voice(FRAMES, 250, 500)


def test_the_lips_stay_closed_while_another_speaks() -> None:
    motion = talker(FRAMES)
    moved = listening(motion, OWN, OTHER)
    assert float(lips_open(moved)[255:].max()) < 1e-6 < 0.02 < float(lips_open(motion)[255:].max())
    assert torch.equal(moved.expression[:245], motion.expression[:245]), "while speaking every bit stays"


def test_the_head_nods_only_while_another_speaks() -> None:
    motion = talker(FRAMES)
    moved = listening(motion, OWN, OTHER)
    pitch = moved.pose.rotation[:, 0] - motion.pose.rotation[:, 0]
    assert torch.equal(moved.pose.rotation[:250], motion.pose.rotation[:250])
    assert 3.0 < float(pitch.max()) < 5.0, "degrees, down"
    lows = [n for n in range(251, 499) if pitch[n] > 2 and pitch[n] >= pitch[n - 1] and pitch[n] > pitch[n + 1]]
    assert 2 <= len(lows) <= 8 and min(b - a for a, b in zip(lows, lows[1:], strict=False)) >= 1.2 * 25 - 1
    assert not torch.equal(listening(motion, OWN, OTHER, Listening(seed=3)).pose.rotation, moved.pose.rotation)
    assert torch.equal(listening(motion, OWN, OTHER, Listening(nods=0.0)).pose.rotation, motion.pose.rotation)
    deeper = listening(motion, OWN, OTHER, Listening(nods=2.0)).pose.rotation[:, 0] - motion.pose.rotation[:, 0]
    assert float(deeper.max()) == pytest.approx(2 * float(pitch.max()), rel=0.02)
    assert torch.equal(moved.pose.translation, motion.pose.translation)


def test_nobody_nods_in_a_silence_of_both_or_over_the_own_voice() -> None:
    motion = talker(FRAMES)
    silent = torch.zeros(FRAMES)
    assert torch.equal(listening(motion, silent, silent).pose.rotation, motion.pose.rotation)
    both = listening(motion, OWN, OWN)
    assert torch.equal(both.pose.rotation[:250], motion.pose.rotation[:250])
    short = listening(motion, OWN, OTHER[:100])
    assert torch.equal(short.pose.rotation, motion.pose.rotation), "a voice that ended is silent"
    with pytest.raises(UserError, match="nods must be"):
        Listening(nods=9.0)


def test_one_who_only_speaks_keeps_every_bit() -> None:
    motion = talker(100)
    loud = torch.full((100,), 0.8)
    assert torch.equal(listening(motion, loud, torch.zeros(100)).expression, motion.expression)
    other = replace(motion, keypoint_space="")
    assert len(listening(other, loud, loud)) == 100
