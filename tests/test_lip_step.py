"""The limit on how far lips part within one frame."""

from __future__ import annotations

import torch
from generated_motion import talk
from motion_models import WINDOW

from playmate_core.diffusion.lip_step import limit_lip_step
from playmate_core.values import LIP_KEYPOINTS, LOWER_LIP, UPPER_LIP


def opening(expression: torch.Tensor) -> torch.Tensor:
    return expression[:, LOWER_LIP, 1] - expression[:, UPPER_LIP, 1]


def spoken(frames: int = 40) -> torch.Tensor:
    return 0.02 * torch.randn(frames, 21, 3, generator=torch.Generator().manual_seed(0))


def test_no_step_is_larger_and_nothing_but_the_lips_moves() -> None:
    before = spoken()
    after = limit_lip_step(before, None, 0.01)
    assert float(opening(before).diff().abs().max()) > 0.05
    assert float(opening(after).diff().abs().max()) <= 0.01 + 1e-6
    other = [k for k in range(21) if k not in LIP_KEYPOINTS]
    assert torch.equal(after[:, other], before[:, other])


def test_slow_lips_and_frames_before_a_fast_one_keep_every_bit() -> None:
    slow = 0.001 * spoken()
    assert limit_lip_step(slow, None, 0.01) is slow and limit_lip_step(spoken(), None, 0.0) is not None
    fast = slow.clone()
    fast[20, LOWER_LIP, 1] += 0.05
    after = limit_lip_step(fast, None, 0.01)
    assert torch.equal(after[:20], fast[:20]) and torch.allclose(after[30:], fast[30:])
    shown = opening(after)
    assert float(shown.max()) < float(opening(fast).max()), "it goes a part of the way, and never past"


def test_pieces_give_what_the_whole_gives() -> None:
    whole = limit_lip_step(spoken(), None, 0.01)
    first = limit_lip_step(spoken()[:17], None, 0.01)
    second = limit_lip_step(spoken()[17:], first[-1], 0.01)
    assert torch.equal(torch.cat([first, second]), whole)


def test_a_generated_motion_obeys_it_over_its_windows() -> None:
    free, limited = talk(3 * WINDOW, lip_step=0.0), talk(3 * WINDOW, lip_step=0.002)
    assert float(opening(free.expression).diff().abs().max()) > 0.004
    assert float(opening(limited.expression).diff().abs().max()) <= 0.002 + 1e-6
    assert torch.equal(free.pose.rotation, limited.pose.rotation)
