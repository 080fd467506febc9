"""Matrices and table rows in the place of the 5-D look-up: each is what ``grid_sample`` gives, however far outside."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from playmate_core.face.fast import split_conv
from playmate_core.face.fast.candidates import evidence, heat, interpolation, translated
from playmate_core.face.fast.generator import normalised
from playmate_core.face.fast.trilinear import gather
from playmate_core.face.fast.winograd import TorchConv
from playmate_core.face.warping import DenseMotion, axis, heatmaps, identity_grid, sample_volume

shifts = st.floats(-9, 9)
sides = st.integers(2, 9)


@settings(max_examples=60, deadline=None)
@given(sides, shifts)
def test_a_row_of_the_matrix_is_a_look_up_along_a_line(samples: int, shift: float) -> None:
    """The line is as wide as high, so that grid_sample reads its middle: two equal rows, looked up between them."""
    by = torch.tensor(shift, dtype=torch.float64)
    line = torch.eye(samples, dtype=torch.float64)  # one unit sample at a time
    places = torch.stack([axis(samples, by) + by, torch.zeros(samples, dtype=torch.float64)], -1)
    grid = places.expand(samples, 1, -1, -1)
    rows = F.grid_sample(line[:, None, None].expand(-1, 1, 2, -1), grid, "bilinear", "zeros", align_corners=False)
    torch.testing.assert_close(interpolation(samples, by), rows[:, 0, 0].T, atol=1e-12, rtol=0)
    assert int((interpolation(samples, by) > 0).sum(-1).max()) <= 2


@settings(max_examples=30, deadline=None)
@given(st.tuples(sides, sides, sides), st.tuples(shifts, shifts, shifts))
def test_matrices_carry_a_volume_as_the_look_up_does(size: tuple[int, int, int], shift: tuple[float, ...]) -> None:
    random = torch.Generator().manual_seed(sum(size))
    volume = torch.randn(2, 3, *size, generator=random, dtype=torch.float64)
    by = torch.tensor([[[0.0, 0.0, 0.0], shift], [shift, [0.1, -0.2, 0.3]]], dtype=torch.float64)
    got = translated(volume.permute(0, 2, 3, 1, 4).contiguous(), by).permute(0, 1, 4, 2, 3, 5)
    for candidate in range(2):
        grid = identity_grid(*size, by) + by[:, candidate, None, None, None]
        torch.testing.assert_close(got[:, candidate], sample_volume(volume, grid), atol=1e-11, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.tuples(sides, sides, sides), st.integers(1, 3), st.floats(0.1, 4))
def test_rows_of_a_table_are_the_look_up(size: tuple[int, int, int], pictures: int, reach: float) -> None:
    random = torch.Generator().manual_seed(sum(size))
    volume = torch.randn(pictures, 5, *size, generator=random, dtype=torch.float64)
    grid = reach * torch.randn(pictures, 4, 3, 2, 3, generator=random, dtype=torch.float64)
    grid[:, 0, 0, 0], grid[:, 0, 0, 1], grid[:, 0, 1, 0] = -1, 1, 1e6  # corners, and far away
    wanted = sample_volume(volume, grid).movedim(1, -1)
    torch.testing.assert_close(gather(volume, grid), wanted, atol=1e-11, rtol=0)
    one = volume[:1].expand(pictures, -1, -1, -1, -1)  # a portrait's volume, not copied for its pictures
    torch.testing.assert_close(gather(one, grid), sample_volume(one, grid).movedim(1, -1), atol=1e-11, rtol=0)


@pytest.mark.parametrize("dtype, worst", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_evidence_is_that_of_the_plain_module(dtype: torch.dtype, worst: float) -> None:
    random = torch.Generator().manual_seed(3)
    compressed = torch.rand(2, 4, 3, 8, 6, generator=random).to(dtype)
    x_s, x_d = (torch.randn(2, 21, 3, generator=random).to(dtype) for _ in range(2))
    x_d[0, 5] = 40  # a keypoint far outside
    grid = identity_grid(3, 8, 6, x_d)
    plain = DenseMotion.evidence(None, compressed, grid, grid.expand(2, *grid.shape), x_s - x_d, x_s, x_d)  # type: ignore[arg-type]
    torch.testing.assert_close(evidence(compressed, x_s, x_d), plain.movedim(1, -1), atol=worst, rtol=0)
    torch.testing.assert_close(heat(x_d, 3, 8, 6), heatmaps(x_d, 3, 8, 6).movedim(1, -1), atol=worst, rtol=0)


def test_a_half_precision_volume_is_added_up_in_full() -> None:
    random = torch.Generator().manual_seed(4)
    volume = torch.randn(1, 3, 2, 4, 4, generator=random).bfloat16()
    grid = torch.rand(1, 2, 4, 4, 3, generator=random) * 2 - 1
    got = gather(volume, grid)
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, gather(volume.float(), grid).bfloat16())


@pytest.mark.parametrize("depth", [0, 3])
def test_a_parted_convolution_is_the_plain_one(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taps = (3,) * (3 if depth else 2)
    monkeypatch.setattr(split_conv, "LONGEST_PRODUCT_SUM", 2 * 3 ** len(taps))
    random = torch.Generator().manual_seed(5)
    weight, bias = (torch.randn(n, generator=random, dtype=torch.float64) for n in ((4, 7, *taps), (4,)))
    maps = torch.randn(2, depth or 1, 5, 6, 7, generator=random, dtype=torch.float64)
    form = split_conv.SplitChannelConv(weight, bias)
    torch.testing.assert_close(form(maps), TorchConv(weight, bias)(maps), atol=1e-12, rtol=0)
    assert len(form._parts) == 4


def test_normalised_is_the_instance_norm_also_far_from_zero() -> None:
    random = torch.Generator().manual_seed(6)
    x = torch.randn(2, 1, 9, 7, 5, generator=random) + 300
    wanted = F.instance_norm(x.double()[:, 0].movedim(-1, 1)).movedim(1, -1)[:, None]
    torch.testing.assert_close(normalised(x).double(), wanted, atol=1e-4, rtol=0)
