"""Generators in the published form, as files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from generator_models import (
    write_ditto,
    write_joyvasa,
)


@pytest.fixture
def joyvasa(tmp_path: Path) -> Path:
    return write_joyvasa(tmp_path / "models" / "joyvasa")


@pytest.fixture
def ditto(tmp_path: Path) -> Path:
    return write_ditto(tmp_path / "models" / "ditto")


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model folders but the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
