"""No number of a golden stands in the code: goldens of another seed must pass as well (``PLAYMATE_PARITY``)."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: What computes the numbers that goldens compare.
CODE = ("diffusion/joyvasa", "diffusion/ditto", "speech")
#: Digits of a number that nobody chose: the constants of these models (0.00335, 1e-5, 10000, 0.0007) have fewer.
DIGITS = 5


def measured(source: str) -> list[str]:
    """The floats of a source with at least DIGITS significant digits."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            digits = f"{node.value!r}".split("e")[0].replace(".", "").replace("-", "").strip("0")
            found += [repr(node.value)] if len(digits) >= DIGITS else []
    return found


def test_no_measured_number_stands_in_the_code_of_the_public_generators() -> None:
    files = [path for folder in CODE for path in (ROOT / "playmate_core" / folder).rglob("*.py")]
    assert len(files) > 20
    assert {path.name: found for path in files if (found := measured(path.read_text(encoding="utf-8")))} == {}


def test_a_measured_number_is_found() -> None:
    assert measured("A = 0.25\nB = (1e-5, -0.04713)\nC = 0.123456") == ["0.123456"]
    assert measured("A = 1.2346") == ["1.2346"]


@pytest.mark.parametrize("module", ["motion_goldens", "golden"])
def test_the_folder_of_the_goldens_is_the_one_that_is_named(module: str, tmp_path: Path) -> None:
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    environment = {**os.environ, "PLAYMATE_PARITY": str(tmp_path), "PYTHONPATH": paths}
    said = subprocess.run(
        [sys.executable, "-c", f"import {module}; print({module}.GOLDENS)"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == str(tmp_path)
