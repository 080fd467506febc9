"""run.py decides where PyTorch comes from; nothing is installed and no network is asked."""

from __future__ import annotations

import contextlib
import importlib.util
import urllib.error
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def never(index: str) -> bool:
    raise AssertionError(f"{index} was asked and need not be")


def test_without_a_card_the_cpu_build_is_taken_where_its_index_answers(run: ModuleType) -> None:
    asked: list[str] = []

    def yes(index: str) -> bool:
        asked.append(index)
        return True

    assert run.torch_index("", True, yes) == run.CPU_INDEX
    assert asked == [run.CPU_INDEX]
    assert run.torch_index("", True, lambda _: False) == ""


def test_with_a_card_or_another_system_no_index_is_asked(run: ModuleType) -> None:
    assert run.torch_index("", False, never) == ""


@pytest.mark.parametrize("needs_cpu_index", [True, False])
def test_the_variable_overrides_and_is_not_tried_first(run: ModuleType, needs_cpu_index: bool) -> None:
    assert run.torch_index("cpu", needs_cpu_index, never) == run.CPU_INDEX
    assert run.torch_index("default", needs_cpu_index, never) == ""
    assert run.torch_index("https://example.invalid/simple", needs_cpu_index, never) == "https://example.invalid/simple"


def test_another_word_in_the_variable_is_refused(run: ModuleType) -> None:
    with pytest.raises(SystemExit, match="cpu, default or the address"):
        run.torch_index("cuda", True, never)


@pytest.mark.parametrize(
    ("system", "card", "reachable", "expected"),
    [
        ("linux", False, True, True),
        ("linux", False, False, False),
        ("linux", True, True, False),
        ("darwin", False, True, False),
        ("win32", False, True, False),
    ],
)
def test_what_pip_is_told(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, system: str, card: bool, reachable: bool, expected: bool
) -> None:
    monkeypatch.delenv(run.INDEX_VARIABLE, raising=False)
    monkeypatch.setattr(run.sys, "platform", system)
    monkeypatch.setattr(run, "has_nvidia", lambda: card)
    monkeypatch.setattr(run, "answers", lambda index: reachable)
    index = ["--index-url", run.CPU_INDEX] if expected else []
    assert run.torch_packages() == [*index, run.TORCH]


def test_the_variable_reaches_pip(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "answers", never)
    for value, expected in (("cpu", ["--index-url", run.CPU_INDEX, run.TORCH]), ("default", [run.TORCH])):
        monkeypatch.setenv(run.INDEX_VARIABLE, value)
        assert run.torch_packages() == expected


@pytest.mark.parametrize("problem", [TimeoutError(), urllib.error.URLError("no name"), ConnectionResetError()])
def test_an_index_that_does_not_answer_is_no_index(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, problem: OSError
) -> None:
    asked: list[tuple[str, float]] = []

    def urlopen(url: str, timeout: float) -> Any:
        asked.append((url, timeout))
        if len(asked) == 1:
            raise problem
        return contextlib.nullcontext()

    monkeypatch.setattr(run.urllib.request, "urlopen", urlopen)
    assert not run.answers("https://example.invalid/simple")
    assert run.answers("https://example.invalid/simple")
    assert asked[0] == ("https://example.invalid/simple/torch/", 5.0), "a few seconds at most"


def test_floors_are_pinned_and_the_newest_left_open() -> None:
    """``run.py check --floors``: what pip is told for each of its two environments, from pyproject.toml itself."""
    pytest.importorskip("tomllib")
    spec = importlib.util.spec_from_file_location("floors", ROOT / ".ci" / "floors.py")
    assert spec and spec.loader
    floors = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(floors)
    declared = floors.tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lowest = floors.requirements("lowest", declared)
    assert "av==14.2" in lowest and len(lowest) == len(declared) and all("==" in line for line in lowest)
    assert floors.requirements("newest", declared) == declared
    assert (ROOT / "requirements.txt").read_text().split() == declared
    assert all((ROOT / "tests" / f"{name}.py").is_file() for name in floors.TESTS)
    with pytest.raises(SystemExit, match="no plain floor"):
        floors.requirements("lowest", ["torch"])
