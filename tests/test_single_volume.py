"""A small volume alone is convolved as it is in a batch of two, and by the same kernels."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from playmate_core.face.layers import LONGEST_SUM, SMALL_VOLUME, convolved

#: Channels in and out, depth, height and width.
SMALL = [
    (58, 58, 8, 16, 16),
    (46, 24, 8, 16, 16),
    (3, 5, 1, 2, 7),
    (4, 2, 4, 4, 3),
    (LONGEST_SUM // 27 + 9, 8, 2, 4, 4),
]


@pytest.mark.parametrize("size", [*SMALL, (4, 2, 3, 5, 5), (8, 4, 16, 64, 64)])  # the last two: odd, and large
def test_one_volume_is_convolved_as_one_of_two(size: tuple[int, ...]) -> None:
    inside, outside, *volume = size
    random = torch.Generator().manual_seed(0)
    maps = torch.randn(1, inside, *volume, generator=random)
    conv = nn.Conv3d(inside, outside, 3, padding=1).double()
    wanted = conv(maps.double())
    conv.float()
    assert (convolved(conv, maps) - wanted).abs().max() < 2e-5
    assert convolved(conv, maps).shape == wanted.shape
    pair = convolved(conv, maps.expand(2, -1, -1, -1, -1))[:1]
    torch.testing.assert_close(convolved(conv, maps), pair, atol=1e-5, rtol=0)


def test_one_volume_has_gradients_of_the_whole() -> None:
    maps, conv = (
        torch.randn(1, 3, 2, 4, 4, dtype=torch.float64, requires_grad=True),
        nn.Conv3d(3, 2, 3, padding=1).double(),
    )
    (gradient,) = torch.autograd.grad(convolved(conv, maps).sin().sum(), maps)
    (wanted,) = torch.autograd.grad(conv(maps).sin().sum(), maps)
    torch.testing.assert_close(gradient, wanted)


def test_pytorchs_slow_convolution_is_not_taken() -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch has no oneDNN")
    maps, conv = torch.randn(1, 58, 8, 16, 16), nn.Conv3d(58, 58, 3, padding=1)
    assert maps.numel() <= SMALL_VOLUME
    with profile(activities=[ProfilerActivity.CPU]) as seen, torch.inference_mode():
        convolved(conv, maps)
    assert not [event.key for event in seen.key_averages() if "slow" in event.key]
