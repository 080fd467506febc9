"""The golden numbers of data/goldens, or of the folder that ``PLAYMATE_PARITY`` names, and how each is compared."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_fill import filled_state_dict, seeded_uniform
from safetensors.torch import load_file
from torch import Tensor, nn

GOLDENS = Path(os.environ.get("PLAYMATE_PARITY") or Path(__file__).parent / "data" / "goldens")


class Golden:
    """The golden tensors, and how each is compared."""

    def __init__(self) -> None:
        told = json.loads((GOLDENS / "liveportrait_golden.json").read_text())
        self.facts: dict[str, Any] = told["tensors"]
        self.seed: int = told["about"]["seed"]
        self.tensors = load_file(GOLDENS / "liveportrait_golden.safetensors")

    def input(self, name: str) -> Tensor:
        return self.tensors[f"input.{name}"]

    def picture(self, *names: str) -> Tensor:
        return torch.stack([self.input(f"image_{n}").movedim(-1, 0).float() / 255 for n in names])

    def drawn(self, name: str) -> Tensor:
        """An input too large to store, made from its recipe."""
        facts = self.facts[f"recipe {name}"]
        call = re.fullmatch(r"seeded_uniform\(\(.*\), (\d+), '(.+)', (-?[\d.]+), (-?[\d.]+)\)", facts["call"])
        assert call is not None, facts["call"]
        seed, key, low, high = int(call[1]), call[2], float(call[3]), float(call[4])
        value = seeded_uniform(tuple(facts["shape"]), seed, key, low, high)
        assert value.flatten()[:4].tolist() == pytest.approx(facts["first_values"], abs=1e-7)
        assert float(value.double().sum()) == pytest.approx(facts["sum"], rel=1e-6)
        return value

    def filled(self, net: nn.Module, prefix: str = "") -> nn.Module:
        shapes = {prefix + k: tuple(v.shape) for k, v in net.state_dict().items()}
        values = filled_state_dict(shapes, self.seed)
        net.load_state_dict({k.removeprefix(prefix): v for k, v in values.items()}, strict=True, assign=True)
        return net.eval().requires_grad_(False)

    def check(self, prefix: str, got: dict[str, Tensor]) -> None:
        """Every net tensor under ``prefix``, none left out, within its own tolerance."""
        names = [n for n, f in self.facts.items() if n.startswith(prefix) and f.get("kind") == "net"]
        assert names
        wrong = {}
        for name in names:
            base, _, figure = name.partition(".channel_")
            value, atol = reduced(got[base].detach(), figure), self.facts[name]["atol"]
            if not figure:
                value = value[parsed(self.facts[name].get("slice"))]
            error = float((value.reshape(self.tensors[name].shape) - self.tensors[name]).abs().max())
            if not error <= atol:
                wrong[name] = (error, atol)
        assert not wrong


def reduced(value: Tensor, figure: str) -> Tensor:
    if not figure:
        return value
    axes = tuple(i for i in range(value.ndim) if i != 1)
    value = value.double()
    return (value.mean(axes) if figure == "mean" else value.std(axes, correction=0)).float()


def parsed(text: str | None) -> tuple[slice | int, ...]:
    def one(part: str) -> slice | int:
        if ":" not in part:
            return int(part)
        return slice(*(int(n) if n else None for n in part.split(":")))

    return tuple(one(part.strip()) for part in text.split(",")) if text else ()
