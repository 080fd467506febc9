"""Contenders of benchmarks.render: other engines draw the reference's pictures, and what cannot run is named."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks import engines
from benchmarks import render as bench
from benchmarks.engines import ENGINES, Engine, engine_draws, require_picture, sampling_written_out, what_is_missing
from benchmarks.reference import ReferenceNetworks, reference_networks
from benchmarks.subject import BUNDLED, BenchmarkCase, make_case
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.warping import sample_volume

#: The published structure with few channels and small pictures.
SMALL = replace(
    FaceConfig(),
    image_size=64,
    volume_channels=4,
    volume_depth=4,
    appearance_expansion=4,
    appearance_max=16,
    appearance_blocks=1,
    warped_channels=16,
    hourglass_expansion=4,
    hourglass_max=8,
    hourglass_levels=2,
    generator_middle=16,
    generator_blocks=1,
    generator_up_0=8,
    generator_up_1=8,
    spade_hidden=4,
    with_stitching=False,
)
IN_FEWER_BITS = ("openvino-bf16", "openvino-int8")
WARP = """
from playmate_core.face.warping import WarpingModule
from tests.test_contenders import SMALL

class WarpingNetwork(WarpingModule):
    def __init__(self, **sizes):
        super().__init__(SMALL)

    def forward(self, feature_3d, kp_driving, kp_source):
        return {"out": super().forward(feature_3d, kp_source, kp_driving).features}
"""
PAINT = """
from playmate_core.face.generator import Generator
from tests.test_contenders import SMALL

class SPADEDecoder(Generator):
    def __init__(self, **sizes):
        super().__init__(SMALL)

    def forward(self, feature):
        return super().forward(feature)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A folder laid out as LivePortrait's, whose networks are small."""
    folder = tmp_path / "checkout"
    (folder / "src/config").mkdir(parents=True)
    (folder / "src/modules").mkdir()
    (folder / "src/config/models.yaml").write_text(
        "model_params: {warping_module_params: {num_kp: 21}, spade_generator_params: {upscale: 2}}"
    )
    (folder / "src/modules/warping_network.py").write_text(WARP)
    (folder / "src/modules/spade_generator.py").write_text(PAINT)
    yield folder
    for name in [name for name in sys.modules if name == "src" or name.startswith("src.")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def face() -> FaceModel:
    torch.manual_seed(0)
    return FaceModel(SMALL).eval().requires_grad_(False)


def inputs_of(face: FaceModel) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    with torch.device("meta"):
        shape = FaceModel(face.config).appearance(torch.zeros(1, 3, 64, 64)).shape
    points = torch.rand(1, 21, 3, generator=random) - 0.5
    return torch.randn(shape, generator=random), points, points + 0.1 * torch.randn(points.shape, generator=random)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if one.compiles else []) for name, one in ENGINES.items()]
)
def test_every_engine_draws_what_the_reference_draws(name: str, checkout: Path, face: FaceModel) -> None:
    if missing := what_is_missing(ENGINES[name]):
        pytest.skip(missing)
    inputs = inputs_of(face)
    with torch.inference_mode():
        draws, left_out = engine_draws([name], lambda: reference_networks(checkout, face), inputs, 1)
        wanted = face.draw(*inputs)
        if left_out and name in IN_FEWER_BITS:
            pytest.skip(left_out[0])  # OpenVINO 2026.4 fails on some processors, and on networks of few channels
        assert not left_out
        got = draws[name](*inputs)
    if name not in IN_FEWER_BITS:
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)


class Convolutions(nn.Module):
    """A picture of a volume and keypoints by a convolution of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.deep, self.flat = nn.Conv3d(4, 8, 3, padding=1), nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        return (self.flat(self.deep(volume).relu().flatten(1, 2)) + (x_d - x_s).mean()).sigmoid()


def test_convolutions_in_8_bits_are_rounded_and_no_more(face: FaceModel) -> None:
    if missing := what_is_missing(ENGINES["openvino-int8"]):
        pytest.skip(missing)
    torch.manual_seed(0)
    networks, inputs = Convolutions().eval().requires_grad_(False), inputs_of(face)
    with torch.no_grad():
        error = (engines.openvino_int8(networks, inputs, 1)(*inputs) - networks(*inputs)).abs().max()
    assert 1e-5 < float(error) < 0.02


def test_samplings_are_written_out_exactly_and_only_for_a_while(face: FaceModel) -> None:
    random = torch.Generator().manual_seed(2)
    volume = torch.randn(2, 3, 4, 5, 6, generator=random)
    grid = 3 * torch.rand(2, 2, 3, 4, 3, generator=random) - 1.5  # some of it outside
    wanted, plain = sample_volume(volume, grid), torch.nn.functional.grid_sample
    with sampling_written_out():
        assert torch.nn.functional.grid_sample is not plain
        torch.testing.assert_close(sample_volume(volume, grid), wanted, atol=1e-5, rtol=0)
    assert torch.nn.functional.grid_sample is plain


def test_an_engine_without_its_package_or_that_fails_is_named(
    checkout: Path, face: FaceModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are measured, and the table says who is missing and why."""

    def broken(networks: nn.Module, inputs: engines.Inputs, threads: int) -> engines.Draw:
        raise RuntimeError("no rule for op\n/a/path/of/this/machine\nGridSample5D")

    have = importlib.util.find_spec
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None if name == "openvino" else have(name))
    monkeypatch.setitem(ENGINES, "onnxruntime", Engine("reference, ONNX Runtime", broken))
    case = make_case(BUNDLED, 2)
    volume = inputs_of(face)[0][0]
    small = BenchmarkCase(face, "small", replace(case.portrait, appearance=volume), case.motion)
    monkeypatch.setattr(bench, "make_case", lambda *_: small)
    monkeypatch.setattr(bench, "outside_share", lambda *_: 0.0)
    words = ["--reference", str(checkout), "--profiles", "structure", "--turns", "1", "--out", str(tmp_path / "table")]
    assert bench.main([*words, "--contenders", "channels-last", "onnxruntime", "openvino"]) == 0
    told = json.loads((tmp_path / "table.json").read_text())
    names = ["reference, eager fp32", "reference, channels-last in 2-D", "ours, structure only"]
    assert [row["name"] for row in told["rows"]] == names
    assert told["rows"][1]["worst_error"] < 1e-4 and told["rows"][1]["pace"]["gflop"] is None
    assert told["left_out"] == [
        "reference, ONNX Runtime: RuntimeError: no rule for op GridSample5D",
        "reference, OpenVINO fp32: package openvino is missing",
    ]
    assert "Left out: reference, ONNX Runtime: RuntimeError" in capsys.readouterr().out


def test_a_compiler_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.shutil, "which", lambda name: None)
    assert what_is_missing(ENGINES["inductor"]) == "a C++ compiler is missing"
    assert what_is_missing(ENGINES["channels-last"]) == ""


def test_contenders_without_a_reference_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--contenders", "channels-last"]) == 2
    assert "name a checkout with --reference" in capsys.readouterr().err


def test_networks_of_a_checkout_hold_our_tensors(checkout: Path, face: FaceModel) -> None:
    made = reference_networks(checkout, face)
    assert isinstance(made, ReferenceNetworks)
    assert made.warp.fourth.weight.data_ptr() == face.warping.fourth.weight.data_ptr()


@pytest.mark.parametrize("drawn", [torch.zeros(4), torch.tensor([0.5, float("nan")]), torch.tensor([0.5, 6e37])])
def test_values_that_are_no_picture_are_refused(drawn: Tensor) -> None:
    require_picture(torch.tensor([0.1, 0.2]))
    with pytest.raises(ArithmeticError, match="draws no picture"):
        require_picture(drawn)
