"""The prepared W and G draw what the plain ones draw; each rearrangement is the convolution it stands for."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fast_faces import CONFIGS, lively, over, sitting
from golden import GOLDENS
from golden_fill import filled_state_dict
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from playmate_core.face import FaceConfig, FaceModel, layers
from playmate_core.face import fast as room
from playmate_core.face.fast.depth_taps import SliceByTap
from playmate_core.face.fast.fft_conv import FFTConv
from playmate_core.face.fast.folding import kernel_of, with_norm, with_pointwise
from playmate_core.face.fast.generator import Modulation
from playmate_core.face.fast.products import BLAS, ONEDNN, ProductPlan
from playmate_core.face.fast.warping import FoldedDepth
from playmate_core.face.fast.winograd import (
    AFTER_UPSAMPLED_4,
    UPSAMPLED_2,
    UPSAMPLED_4,
    WINOGRAD,
    Algorithm,
    TorchConv,
    WinogradConv,
)
from playmate_core.geometry import place
from playmate_core.host import HOST

#: What the issue allows between prepared and plain pictures in [0, 1].
WORST = 1e-4


@pytest.mark.parametrize("frames", [1, 3, 7])
@pytest.mark.parametrize("profile", ["structure", "transforms"])
@pytest.mark.parametrize("name", CONFIGS)
def test_prepared_is_plain(name: str, profile: str, frames: int) -> None:
    face = lively(CONFIGS[name])
    volume, x_s, x_d = sitting(face, frames)
    fast = room.build_fast_face(face, profile)
    with torch.inference_mode():
        plain, quick = face.warping(volume, x_s, x_d), fast.warping(volume, x_s, x_d)
        for one, other in zip(vars(plain).values(), vars(quick).values(), strict=True):
            torch.testing.assert_close(other, one, atol=WORST, rtol=0)
        drawn = face.draw(volume, x_s, x_d)
        assert float((fast.draw(volume, x_s, x_d) - drawn).abs().max()) <= WORST
    assert drawn.std() > 0.01  # no even grey, which anything would match
    assert fast.motion is face.motion and fast.config == face.config and fast.warping is not face.warping


@pytest.mark.parametrize("profile", ["structure", "transforms", "half"])
@pytest.mark.parametrize("name", CONFIGS)
def test_an_accelerator_convolves_all_pictures_at_once(
    name: str, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop over pictures launches every kernel once for each."""
    face = lively(CONFIGS[name])
    inputs = [value.double() for value in sitting(face, 3)]
    calls: list[int] = []
    face = face.double()
    fast, convolve = room.build_fast_face(face, profile), F.conv2d
    with torch.inference_mode():
        by_blocks = fast.draw(*inputs)

        def counted(maps: Tensor, *more: Any, **words: Any) -> Tensor:
            calls.append(len(maps))
            return convolve(maps, *more, **words)

        monkeypatch.setattr(Modulation, "_each", Modulation._at_once)
        monkeypatch.setattr(F, "conv2d", counted)
        drawn = fast.draw(*inputs)
        assert set(calls) <= {3, 3 * face.config.volume_depth}
    torch.testing.assert_close(drawn, by_blocks, atol=1e-2 if profile == "half" else 1e-10, rtol=0)


@pytest.mark.parametrize("profile", ["structure", "transforms"])
def test_a_model_that_carries_its_picture_stays_plain(profile: str) -> None:
    face = FaceModel(FaceConfig.small()).eval()
    assert room.build_fast_face(face, profile) is face


@pytest.mark.parametrize("profile", ["structure", "transforms"])
def test_in_double_precision_nothing_is_left_of_the_difference(profile: str) -> None:
    face = lively(CONFIGS["wide mask"]).double()
    volume, x_s, x_d = (v.double() for v in sitting(lively(CONFIGS["wide mask"]), 2))
    with torch.inference_mode():
        error = room.build_fast_face(face, profile).draw(volume, x_s, x_d) - face.draw(volume, x_s, x_d)
    assert float(error.abs().max()) < 1e-11


@pytest.mark.slow
def test_prepared_is_plain_at_the_published_size() -> None:
    """One picture driven by another, as the composed goldens have it."""
    with torch.device("meta"):
        face = FaceModel(FaceConfig())
    for name in ("appearance", "motion", "warping", "generator"):
        part = face.get_submodule(name)
        shapes = {key: tuple(value.shape) for key, value in part.state_dict().items()}
        part.load_state_dict(filled_state_dict(shapes, 2502), assign=True)
    face.eval().requires_grad_(False)
    stored = load_file(GOLDENS / "liveportrait_golden.safetensors")
    pictures = torch.stack([stored[f"input.image_{n}"].movedim(-1, 0).float() / 255 for n in ("s", "d")])
    with torch.inference_mode():
        read = face.read(pictures)
        x_s, x_d = place(read.keypoints, read.rotation, read.expression, read.translation, read.scale).split(1)
        volume = face.appearance(pictures[:1])
        plain = face.draw(volume, x_s, x_d)
        for profile in ("structure", "transforms"):
            error = room.build_fast_face(face, profile).draw(volume, x_s, x_d) - plain
            assert float(error.abs().max()) <= WORST, profile


@pytest.mark.parametrize("depth", [0, 3])
def test_long_sums_are_added_in_parts(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(depth)
    kind, room_for = (nn.Conv3d, (depth, 6, 6)) if depth else (nn.Conv2d, (6, 6))
    conv, x = kind(7, 2, 3, padding=1).double().requires_grad_(False), torch.randn(2, 7, *room_for).double()
    monkeypatch.setattr(layers, "LONGEST_SUM", 2 * 3 ** len(room_for))
    asked: list[int] = []
    name = f"conv{len(room_for)}d"
    plain = getattr(F, name)
    monkeypatch.setattr(layers.F, name, lambda x, *rest, **more: asked.append(x.shape[1]) or plain(x, *rest, **more))
    torch.testing.assert_close(layers.convolved(conv, x), conv(x), atol=1e-12, rtol=0)
    assert asked[:4] == [2, 2, 2, 1]


def case(inside: int, outside: int, cells: tuple[int, int], algorithm: Algorithm, depth: int = 1) -> list[Tensor]:
    random = torch.Generator().manual_seed(inside * 100 + outside)
    kernel = (3,) * (3 if depth > 1 else 2)
    high, wide = (n * algorithm.stride for n in cells)
    shapes = [(2, depth, high, wide, inside), (outside, inside, *kernel), (outside,)]
    return [torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]


sizes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.tuples(st.integers(1, 4), st.integers(1, 4)))


@pytest.mark.parametrize("scratch", [1 << 21, 1], ids=["one block", "row by row"])
@pytest.mark.parametrize("form", [BLAS, ONEDNN])
@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("algorithm, scale", [(WINOGRAD, 1), (UPSAMPLED_2, 2)], ids=["winograd", "upsampled 2"])
def test_bilinear_algorithms_are_the_convolution(
    algorithm: Algorithm, scale: int, depth: int, form: str, scratch: int
) -> None:
    @settings(max_examples=15, deadline=None)
    @given(sizes)
    def check(size: tuple[int, int, tuple[int, int]]) -> None:
        maps, weight, bias = case(*size, algorithm, depth)
        got = WinogradConv(weight, bias, algorithm, ProductPlan(form, scratch))(maps)
        torch.testing.assert_close(got, over(maps, weight, bias, scale), atol=1e-11, rtol=0)

    check()


@settings(max_examples=15, deadline=None)
@given(sizes)
def test_two_convolutions_over_a_map_enlarged_by_four(size: tuple[int, int, tuple[int, int]]) -> None:
    """Its four pixels a cell are left, inner, inner, right; the first makes the three, the second reads them."""
    maps, weight, bias = case(*size, UPSAMPLED_4)
    thrice = WinogradConv(weight, bias, UPSAMPLED_4)(maps)
    fully = over(maps, weight, bias, 4)
    kept = [slice(None)] * 2 + [torch.arange(fully.shape[2]) % 4 != 2]
    torch.testing.assert_close(
        thrice, fully[tuple(kept)][:, :, :, torch.arange(fully.shape[3]) % 4 != 2], atol=1e-11, rtol=0
    )
    again, bias = torch.randn(3, len(bias), 3, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    got = WinogradConv(again, bias, AFTER_UPSAMPLED_4)(thrice)
    torch.testing.assert_close(got, TorchConv(again, bias)(fully), atol=1e-10, rtol=0)


@pytest.mark.parametrize("kernel, depth", [(3, 5), (5, 4), (7, 2), (7, 16)])
def test_mask_and_occlusion_three_ways(kernel: int, depth: int) -> None:
    torch.manual_seed(kernel)
    mask = nn.Conv3d(3, 4, kernel, padding=kernel // 2).double()
    hides = nn.Conv2d(3 * depth, 1, kernel, padding=kernel // 2).double()
    maps = torch.randn(2, depth, 32, 16, 3, dtype=torch.float64)
    with torch.inference_mode():
        volume = maps.movedim(-1, 1)
        wanted = mask(volume).movedim(1, -1), hides(volume.flatten(1, 2)).movedim(1, -1)
        by_slices = SliceByTap(kernel_of(mask))(maps), FoldedDepth(kernel_of(hides), depth)(maps)
        by_spectrum = FFTConv(kernel_of(mask), kernel_of(hides), depth)(maps)
    for got in (by_slices, by_spectrum):
        for one, other in zip(got, wanted, strict=True):
            torch.testing.assert_close(one, other, atol=1e-11, rtol=0)


def test_folding() -> None:
    torch.manual_seed(0)
    conv, norm, mix = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3).eval(), nn.Conv2d(3, 4, 1, bias=False)
    for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        value.detach().uniform_(0.5, 1.5)
    x = torch.rand(1, 2, 5, 5)
    with torch.inference_mode():
        folded, composed = with_norm(conv, norm), with_pointwise(kernel_of(conv), mix.weight)
        torch.testing.assert_close(F.conv2d(x, folded.weight, folded.bias, padding=1), norm(conv(x)))
        torch.testing.assert_close(F.conv2d(x, composed.weight, composed.bias, padding=1), mix(conv(x)))


def test_the_prepared_form_is_made_once_and_again_when_weights_change() -> None:
    face = lively(FaceConfig.tiny())
    first = room.cached_fast_face(face)
    assert room.cached_fast_face(face) is first and first is not face
    with torch.no_grad():
        face.generator.fc.weight.mul_(0.5)
    second = room.cached_fast_face(face)
    assert second is not first
    volume, x_s, x_d = sitting(face, 1)
    with torch.inference_mode():
        torch.testing.assert_close(second.draw(volume, x_s, x_d), face.draw(volume, x_s, x_d), atol=WORST, rtol=0)
    assert room.cached_fast_face(copy.deepcopy(face)) is not second


@pytest.mark.parametrize("profile", room.PROFILES)
def test_a_model_that_nobody_holds_is_gone(profile: str) -> None:
    face = lively(FaceConfig.tiny())
    held = weakref.ref(face)
    room.cached_fast_face(face, profile)
    del face
    gc.collect()
    assert held() is None


def test_memory_decides_between_the_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    face = lively(FaceConfig.tiny())
    size = sum(p.numel() * 4 for part in (face.warping, face.generator) for p in part.parameters())

    class Memory:
        available = 0

    monkeypatch.setattr(room.psutil, "virtual_memory", Memory)
    assert room.choose_profile(face) == "structure"
    monkeypatch.setattr(Memory, "available", 100 * size)
    assert room.choose_profile(face) == "transforms"
    assert room.choose_profile(copy.deepcopy(face).to("meta")) == "plain"
    assert room.choose_profile(face.bfloat16()) == room.choose_profile(face.to("meta")) == "half"


def test_what_the_prepared_form_does_not_know_stays_plain() -> None:
    face = lively(FaceConfig.tiny())
    face.generator.add_module("novelty", nn.Conv2d(1, 1, 1))
    made = room.build_fast_face(face, "transforms")
    assert made.generator is face.generator and made.warping is not face.warping
    face.warping.dense_motion_network.add_module("novelty", nn.Conv2d(1, 1, 1))
    assert room.build_fast_face(face, "structure").warping is face.warping
    with pytest.raises(ValueError, match="profile must be"):
        room.build_fast_face(face, "magic")


def test_what_is_released_is_gone() -> None:
    face = lively(FaceConfig.tiny())
    made = weakref.ref(room.cached_fast_face(face))
    room.release(face)
    gc.collect()
    assert made() is None
    room.release(face)  # once more does no harm


@pytest.mark.parametrize("profile", ["structure", "transforms", "half"])
def test_a_picture_can_be_stopped_between_its_convolutions(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Exception):
        pass

    face = lively(CONFIGS["wide mask"])
    volume, x_s, x_d = sitting(face, 1)
    fast, heard = room.build_fast_face(face, profile), list[int]()
    monkeypatch.setattr(HOST, "_check_interrupted", lambda: heard.append(1))
    with torch.inference_mode():
        fast.draw(volume, x_s, x_d)
        assert len(heard) > 30

        def stop() -> None:
            raise Stopped

        HOST.set_interrupt_check(stop)
        with pytest.raises(Stopped):
            fast.draw(volume, x_s, x_d)
