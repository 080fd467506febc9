"""The golden numbers of a public motion generator, data/goldens or the folder that ``PLAYMATE_PARITY`` names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from golden import GOLDENS
from golden_fill import filled_state_dict, seeded_uniform
from safetensors.torch import load_file
from torch import Tensor, nn

from playmate_core.diffusion.noise import WindowNoise
from playmate_core.face import FaceConfig
from playmate_core.face.stitching import Stitching


class MotionGolden:
    """Inputs (stored, or drawn from their recipe), expected outputs, and filled networks of one model."""

    def __init__(self, model: str) -> None:
        told = json.loads((GOLDENS / f"{model}_golden.json").read_text())
        self.facts: dict[str, Any] = json.loads((GOLDENS / f"{model}.json").read_text())
        self.told = told
        self.seed: int = told["seed"]
        self.cases: dict[str, Any] = {case["case"]: case for case in told["cases"]}
        self.about: dict[str, Any] = told["tensors"]
        self.stored = load_file(GOLDENS / f"{model}_golden.safetensors")
        self.checked: set[str] = set()

    def __call__(self, name: str, **numbers: int) -> Tensor:
        """A tensor; ``numbers`` stand for {w}, {t}, {i} in the key of its recipe."""
        if name in self.stored:
            return self.stored[name]
        recipe = self.about[name]["recipe"]
        key = recipe["key"]
        for letter, number in numbers.items():
            key = key.replace("{" + letter + "}", str(number))
        return seeded_uniform(tuple(recipe["shape"]), self.seed, key, recipe["low"], recipe["high"])

    def group(self, prefix: str, *names: str) -> list[Tensor]:
        return [self(f"{prefix}/{name}") for name in names]

    def fill(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Values for parameters by name, adjusted as the golden file says."""
        values = filled_state_dict(shapes, self.seed)
        for ending, factor in self.told["adjust"]["factors"].items():
            for key in values:
                if key.endswith(ending):
                    values[key] = values[key] * factor
        return values

    def filled(self, net: nn.Module, prefix: str = "") -> Any:
        """A network with such values in its parameters; its names get ``prefix`` first."""
        parameters = {prefix + key: tuple(value.shape) for key, value in net.named_parameters()}
        values = {key.removeprefix(prefix): value for key, value in self.fill(parameters).items()}
        for key, value in net.named_buffers():
            values.setdefault(key, value)
        net.load_state_dict(values, strict=False, assign=True)
        return net.eval().requires_grad_(False)

    def check_fill(self, net: nn.Module) -> None:
        """The published network is filled as the golden file says."""
        values = dict(net.named_parameters())
        for key, first in self.told["fill_check"]["values"].items():
            assert values[key].flatten()[:3].tolist() == pytest.approx(first, rel=1e-6)

    def check(self, name: str, got: Tensor) -> None:
        """Within the tolerance of the tensor ``name``: atol + rtol * |expected|."""
        wanted, about = self.stored[name], self.about[name]
        assert got.numel() == wanted.numel(), (name, tuple(got.shape), tuple(wanted.shape))
        wanted = wanted.double()
        error = (got.reshape(wanted.shape).double() - wanted).abs()
        allowed = about["atol"] + about.get("rtol", 0.0) * wanted.abs()
        worst = float((error - allowed).max())
        assert worst <= 0, f"{name}: off by {float(error.max()):g}, allowed {about['atol']:g}"
        self.checked.add(name)

    def names(self, pattern: str) -> list[str]:
        """Cases whose name is like ``pattern``."""
        return [name for name in self.cases if re.fullmatch(pattern, name)]


@cache
def motion_golden(model: str) -> MotionGolden:
    """The one of a model, which remembers across files what was checked."""
    return MotionGolden(model)


class GoldenNoise:
    """A noise source that gives the golden numbers: ``start`` and ``steps`` name their recipes.

    ``places`` are the {t} or {i} of the steps, in the order of their drawing.
    """

    def __init__(self, golden: MotionGolden, start: str, steps: str, places: Iterable[int]) -> None:
        self.golden, self.start, self.steps, self.places = golden, start, steps, list(places)

    def window(self, index: int) -> WindowNoise:
        drawn = iter([self.golden(self.steps, w=index, t=place, i=place) for place in self.places])
        return WindowNoise(lambda shape: self.golden(self.start, w=index), lambda like: next(drawn))


def filled_stitching(golden: MotionGolden) -> Any:
    """A face model of which there is but the stitching network, filled from its flat names without adjustment."""
    net = Stitching(FaceConfig())
    for part, name in (("stitching", "shoulder"), ("lip", "mouth"), ("eye", "eye")):
        module, prefix = getattr(net, part), f"retarget_{name}_module."
        shapes = {prefix + key: tuple(value.shape) for key, value in module.state_dict().items()}
        values = filled_state_dict(shapes, golden.seed)
        module.load_state_dict({key.removeprefix(prefix): value for key, value in values.items()})

    class Face(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stitching = net

    return Face().eval().requires_grad_(False)


def outputs_left(golden: MotionGolden, groups: Iterable[str] = (), others: Iterable[str] = ()) -> list[str]:
    """Expected outputs that no check has looked at: those of ``groups``, or of all groups but ``others``.

    A group is what stands before the first slash of a name.
    """
    outputs = {name for name, about in golden.about.items() if about["role"] == "output"}
    groups, others = set(groups), set(others)
    asked = {n for n in outputs if (group := n.split("/")[0]) not in others and (not groups or group in groups)}
    return sorted(asked - golden.checked)
