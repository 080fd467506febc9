"""W and G with products in half precision: right but for rounding, and rounded less than autocast rounds."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fast_faces import CONFIGS, lively, over, sitting
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from playmate_core.face import fast as room
from playmate_core.face.fast.folding import Kernel
from playmate_core.face.fast.half_precision import HalfConv, PhaseConv, Precision, volumes_are_slow

#: Half precision of twice the usual kind, so that only the arrangement can be wrong.
DOUBLE = Precision(torch.float64, torch.float64)
#: What the issue asks between the half form and the reference's own autocast.
ASKED = 5.0


def psnr(got: Tensor, wanted: Tensor) -> float:
    return float(-10 * (got.double() - wanted.double()).square().mean().log10())


sizes = st.tuples(*[st.integers(1, 4)] * 4)


@pytest.mark.parametrize("precision", [DOUBLE, replace(DOUBLE, by_slices=True)], ids=["whole", "by slices"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("up", [2, 4])
def test_phases_are_the_convolution_of_the_enlarged_map(up: int, depth: int, precision: Precision) -> None:
    @settings(max_examples=15, deadline=None)
    @given(sizes)
    def check(size: tuple[int, int, int, int]) -> None:
        inside, outside, high, wide = size
        random = torch.Generator().manual_seed(sum(size))
        taps = (3,) * (3 if depth > 1 else 2)
        maps, weight, bias = (
            torch.randn(shape, generator=random, dtype=torch.float64)
            for shape in ((2, depth, high, wide, inside), (outside, inside, *taps), (outside,))
        )
        form, wanted = PhaseConv(Kernel(weight, bias), up, precision), over(maps, weight, bias, up)
        torch.testing.assert_close(form(maps), wanted, atol=1e-11, rtol=0)
        assert (form.side(high), form.outside) == (wanted.shape[2], wanted.shape[-1])
        pieces = torch.empty_like(wanted)
        for block in form.blocks(maps):
            block.place(pieces).copy_(block.split())
        torch.testing.assert_close(pieces, wanted, atol=1e-11, rtol=0)

    check()


def test_a_bias_of_more_precision_is_added_behind_the_products() -> None:
    """1 + gamma in bfloat16 would forget a gamma of a thousandth."""
    maps, weight, bias = torch.ones(1, 1, 2, 2, 1), torch.zeros(1, 1, 3, 3), torch.tensor([1.001])
    assert float(HalfConv(weight, bias, Precision(torch.bfloat16, torch.float32))(maps)[0, 0, 0, 0]) == pytest.approx(
        1.001
    )
    on_card = HalfConv(weight, bias, Precision(torch.bfloat16, torch.bfloat16))(maps.bfloat16())
    assert on_card.dtype == torch.bfloat16 and float(on_card[0, 0, 0, 0]) == 1.0


@pytest.mark.parametrize(("name", "seed"), [("tiny", 0), ("tiny", 1), ("tiny", 2), ("wide mask", 0)])
def test_pictures_are_nearer_to_full_precision_than_autocast_comes(name: str, seed: int) -> None:
    face = lively(CONFIGS[name], seed)
    volume, x_s, x_d = sitting(face, 3 if name == "tiny" else 1)  # one tiny picture is too few pixels for a mean
    with torch.inference_mode():
        wanted, got = face.draw(volume, x_s, x_d), room.build_fast_face(face, "half").draw(volume, x_s, x_d)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = face.draw(volume, x_s, x_d)
    assert got.dtype == torch.float32 and not torch.equal(got, wanted)
    assert psnr(got, wanted) >= psnr(autocast, wanted) + ASKED


def test_no_volume_is_asked_of_a_pytorch_that_is_slow_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    face = lively(CONFIGS["tiny"])
    volume, x_s, x_d = sitting(face, 2)
    monkeypatch.setattr(room, "precision_of", lambda _face: replace(DOUBLE, by_slices=True))
    face = face.double()
    fast = room.build_fast_face(face, "half")
    with torch.inference_mode():
        wanted = face.draw(volume.double(), x_s.double(), x_d.double())
        compress = fast.warping._compress.weight  # type: ignore[attr-defined,union-attr]
        asked, plain = [], F.conv3d

        def watched(x: Tensor, weight: Tensor, *rest: Any, **more: Any) -> Tensor:
            asked.append(weight)
            return plain(x, weight, *rest, **more)

        monkeypatch.setattr(F, "conv3d", watched)
        got = fast.draw(volume.double(), x_s.double(), x_d.double())
    torch.testing.assert_close(got, wanted, atol=1e-11, rtol=0)
    assert [weight is compress for weight in asked] == [True]  # one tap, and once for a portrait's channels


def test_which_pytorch_is_slow_with_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    for version, slow in (("2.8.0", False), ("2.9.1+cu128", True), ("2.10.0", False)):
        monkeypatch.setattr(torch, "__version__", version)
        assert volumes_are_slow(card) == slow and not volumes_are_slow(torch.device("cpu"))
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91501)
    assert not volumes_are_slow(card)


@pytest.mark.parametrize("profile", room.PROFILES)
def test_everything_is_where_the_model_is(profile: str) -> None:
    """A device that computes nothing refuses what was left on the CPU, as a card would."""
    face = lively(CONFIGS["wide mask"]).to("meta")
    x_s, x_d = (torch.zeros(count, 21, 3, device="meta") for count in (1, 2))
    volume = face.appearance(torch.zeros(1, 3, *[face.config.image_size] * 2, device="meta"))
    drawn = room.build_fast_face(face, profile).draw(volume, x_s, x_d)
    assert drawn.device.type == "meta" and drawn.shape == (2, 3, *[2 * face.config.image_size] * 2)


@pytest.mark.parametrize("maps", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_weights_in_half_precision_are_folded_in_full(
    name: str, maps: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a card the maps between convolutions are half too; a CPU computes that as well, for a test."""
    exact = lively(CONFIGS[name])
    face = copy.deepcopy(exact).set_compute_dtype(torch.float16)
    volume, x_s, x_d = sitting(exact, 2)
    monkeypatch.setattr(room, "precision_of", lambda _face: Precision(torch.float16, maps))
    with torch.inference_mode():
        fast = room.build_fast_face(face, "half")
        warped = fast.warping(volume.half(), x_s, x_d)
        got, wanted = fast.draw(volume.half(), x_s, x_d), exact.draw(volume, x_s, x_d)
    assert room.choose_profile(face) == "half" and room.uses_half_precision(face, "auto") and fast is not face
    assert warped.deformation.dtype == warped.mask.dtype == torch.float32  # what says where is never half
    assert psnr(got, wanted) > 40


def test_statistics_of_half_maps_are_taken_in_full() -> None:
    from playmate_core.face.fast.generator import normalised

    maps = 300 + torch.randn(1, 1, 64, 64, 2, generator=torch.Generator().manual_seed(0)).double()
    got = normalised(maps.to(torch.float16))
    assert got.dtype == torch.float16
    torch.testing.assert_close(got.double(), normalised(maps.half().double()), atol=5e-3, rtol=0)
