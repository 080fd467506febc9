"""The noise sources: what windows share, and what they do not."""

from __future__ import annotations

import pytest
import torch

from playmate_core.diffusion.noise import ClipNoise, FreshNoise, SharedStart, SharedSteps
from playmate_core.diffusion.windows import WindowPlan, cross_fade

SHAPE = (1, 4, 3)


def drawn(source: ClipNoise, window: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    noise = source.window(window)
    start = noise.start(SHAPE)
    return start, noise.draw(start), noise.draw(start)


@pytest.mark.parametrize("kind, shares_start, shares_steps", [
    (FreshNoise, False, False), (SharedStart, True, False), (SharedSteps, False, True),
])  # fmt: skip
def test_what_windows_share(kind: type, shares_start: bool, shares_steps: bool) -> None:
    first, second = drawn(kind(7), 0), drawn(kind(7), 1)
    assert torch.equal(first[0], second[0]) is shares_start
    assert torch.equal(first[1], second[1]) is shares_steps
    assert not torch.equal(first[1], first[2]) and not torch.equal(first[0], first[1])
    assert all(torch.equal(a, b) for a, b in zip(drawn(kind(7), 1), second, strict=True))
    assert not torch.equal(drawn(kind(8), 0)[0], first[0])


@pytest.mark.parametrize("frames, count", [(1, 1), (80, 1), (81, 2), (150, 2), (151, 3)])
def test_windows_cover_every_frame(frames: int, count: int) -> None:
    plan = WindowPlan(frames, 80, 10)
    assert plan.count == count and plan.begin(count - 1) + plan.length >= frames


def test_a_cross_fade_begins_with_the_old_and_ends_with_the_new() -> None:
    old, new = torch.zeros(3, 2), torch.ones(3, 2)
    assert cross_fade(old, new, torch.tensor([0.0, 0.5, 1.0]))[:, 0].tolist() == [0.0, 0.5, 1.0]
