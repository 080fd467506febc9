"""The reference's W and G in other engines: PyTorch in channels-last and compiled, ONNX Runtime, OpenVINO.

``python -m benchmarks.render --reference DIR --contenders ...`` times them on a processor; ``pip install
"playmate-portrait[benchmarks]"`` brings the packages. A contender that cannot run is left out with the reason.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playmate_core.face.fast.trilinear import corners

from .reference import Draw

#: volume (1, C, D, h, w), x_s and x_d (1, K, 3): the shapes that graphs are exported with.
Inputs = tuple[Tensor, Tensor, Tensor]
#: GridSample of volumes: the first opset that has it.
OPSET = 20
NAMES = ("volume", "x_s", "x_d")

#: What NNCF would quantise besides convolutions. With all of it in 8 bits, coordinates too, the pictures have 16 dB.
NOT_IN_INT8 = (
    *("Add", "Subtract", "Multiply", "Divide", "SquaredDifference", "Maximum", "Minimum", "Clamp", "Power", "Sqrt"),
    *("ReduceMean", "ReduceSum", "MVN", "GroupNormalization", "Softmax", "Sigmoid", "Exp", "PRelu"),
    *("Gather", "GatherElements", "Interpolate", "MatMul"),
)


@dataclass(frozen=True)
class Engine:
    """``make`` turns the reference's networks, inputs of one frame and a number of threads into a draw function; it
    needs ``packages`` (as imported) and, with ``compiles``, a C++ compiler."""

    title: str
    make: Callable[[nn.Module, Inputs, int], Draw]
    packages: tuple[str, ...] = ()
    compiles: bool = False


def channels_last(networks: nn.Module, inputs: Inputs, threads: int) -> Draw:
    """The layout that PyTorch's guide recommends for convolutions, where the reference can take it: in 2-D, as W looks
    at volumes by ``view``, which refuses another layout of them."""
    for module in networks.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
    return networks


def inductor(networks: nn.Module, inputs: Inputs, threads: int) -> Draw:
    """``torch.compile`` with its defaults."""
    return torch.compile(networks)


def onnx_runtime(networks: nn.Module, inputs: Inputs, threads: int) -> Draw:
    """W and G as one graph with the published sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting is no processor time of a frame
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.onnx"
        exported = torch.onnx.export(
            networks, inputs, dynamo=True, opset_version=OPSET, input_names=NAMES, output_names=["pictures"]
        )
        exported.save(path, external_data=True)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def draw(*values: Tensor) -> Tensor:
        feed = {name: value.numpy() for name, value in zip(NAMES, values, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return draw


def openvino_of(precision: str) -> Callable[[nn.Module, Inputs, int], Draw]:
    """OpenVINO's processor plugin, which is told to compute in ``precision``."""

    def make(networks: nn.Module, inputs: Inputs, threads: int) -> Draw:
        return openvino_draw(openvino_model(networks, inputs), threads, precision)

    return make


def openvino_model(networks: nn.Module, inputs: Inputs) -> Any:
    """OpenVINO's model of the networks, with samplings written out: its GridSample knows pictures only."""
    import openvino

    with sampling_written_out():
        model = openvino.convert_model(torch.export.export(networks, inputs))
    model.reshape({place: list(value.shape) for place, value in enumerate(inputs)})
    return model


def openvino_int8(networks: nn.Module, inputs: Inputs, threads: int) -> Draw:
    """OpenVINO with the convolutions, all but coordinates, in 8 bits: NNCF's quantisation after training, with ranges
    and biases from the frame of ``inputs`` itself and one with the keypoints exchanged."""
    import nncf

    model = openvino_model(networks, inputs)
    volume, x_s, x_d = (value.numpy() for value in inputs)
    quantised = nncf.quantize(
        model,
        nncf.Dataset([(volume, x_s, x_d), (volume, x_d, x_s)]),
        subset_size=2,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(types=list(NOT_IN_INT8), validate=False),
    )
    return openvino_draw(quantised, threads, "f32")


def openvino_draw(model: Any, threads: int, precision: str) -> Draw:
    """The draw function of an OpenVINO model."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        compiled = openvino.Core().compile_model(model, "CPU", settings)
    except RuntimeError:  # its fusion of small operations (2026.4) fails on networks of few channels
        compiled = openvino.Core().compile_model(model, "CPU", settings | {"SNIPPETS_MODE": "DISABLE"})
    request = compiled.create_infer_request()

    def draw(*values: Tensor) -> Tensor:
        return torch.from_numpy(request.infer([value.contiguous().numpy() for value in values])[0].copy())

    return draw


@contextmanager
def sampling_written_out() -> Iterator[None]:
    """Within, ``F.grid_sample`` of volumes is traced as eight look-ups."""
    plain = F.grid_sample

    def sample(volume: Tensor, grid: Tensor, *rest: Any, **named: Any) -> Tensor:
        if volume.ndim == 4:
            return plain(volume, grid, *rest, **named)
        rows, shares = corners(volume.shape[2:], grid.flatten(1, -2))
        table, shares = volume.flatten(2), shares.to(volume.dtype)
        total = torch.zeros_like(table[..., :1])
        for corner in range(rows.shape[-1]):
            row = rows[:, None, :, corner].long().expand(-1, volume.shape[1], -1)
            total = total + table.gather(2, row) * shares[:, None, :, corner]
        return total.unflatten(2, grid.shape[1:-1])

    F.grid_sample = sample
    try:
        yield
    finally:
        F.grid_sample = plain


ENGINES = {
    "channels-last": Engine("reference, channels-last in 2-D", channels_last),
    "inductor": Engine("reference, torch.compile", inductor, compiles=True),
    "onnxruntime": Engine("reference, ONNX Runtime", onnx_runtime, ("onnx", "onnxscript", "onnxruntime")),
    "openvino": Engine("reference, OpenVINO fp32", openvino_of("f32"), ("openvino",)),
    "openvino-bf16": Engine("reference, OpenVINO bf16", openvino_of("bf16"), ("openvino",)),
    "openvino-int8": Engine("reference, OpenVINO int8 convolutions", openvino_int8, ("openvino", "nncf")),
}


def engine_draws(
    names: list[str], networks: Callable[[], nn.Module], inputs: Inputs, threads: int
) -> tuple[dict[str, Draw], tuple[str, ...]]:
    """The draw functions of ENGINES that run here, after a frame each, and a sentence for each that does not.

    ``networks`` makes the reference's anew for every engine, as some change what they are given.
    """
    draws: dict[str, Draw] = {}
    left_out: list[str] = []
    for name in names:
        engine = ENGINES[name]
        if missing := what_is_missing(engine):
            left_out.append(f"{engine.title}: {missing}")
            continue
        try:
            # What was made in inference mode cannot be traced.
            with torch.inference_mode(False), torch.no_grad():
                one, two, three = (value.clone() for value in inputs)
                draws[name] = engine.make(networks(), (one, two, three), threads)
            require_picture(draws[name](*inputs))
        except Exception as problem:  # whatever the engine raises: others are to be measured still
            draws.pop(name, None)
            left_out.append(f"{engine.title}: {reason(problem)}")
    return draws, tuple(left_out)


def require_picture(drawn: Tensor) -> None:
    """Raise ArithmeticError unless ``drawn`` lies in [0, 1] and varies: an engine that computes nothing is fast."""
    low, high = float(drawn.min()), float(drawn.max())
    if not 0 <= low < high <= 1:
        raise ArithmeticError(f"draws no picture but values from {low:.3g} to {high:.3g}")


def what_is_missing(engine: Engine) -> str:
    """Which packages or tools an engine lacks here; empty when none."""
    packages = [name for name in engine.packages if importlib.util.find_spec(name) is None]
    if packages:
        return f"package {', '.join(packages)} is missing"
    if engine.compiles and not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "c++", "clang++")))):
        return "a C++ compiler is missing"
    return ""


def reason(problem: Exception) -> str:
    """The first lines of an error that say something, short and without paths."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip() and "/" not in line]
    return f"{type(problem).__name__}: {' '.join(lines)[:300]}"
