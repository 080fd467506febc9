"""What the archive for ComfyUI's registry holds, and that nothing in it misses what was left out."""

from __future__ import annotations

import ast
import subprocess
from pathlib import PurePosixPath

import pytest
from archive import ROOT, published


@pytest.fixture(scope="module")
def archive() -> set[str]:
    try:
        return published()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a clone, whose files are what is published")


def test_the_archive_holds_the_pack_and_nothing_else(archive: set[str]) -> None:
    assert {name.split("/")[0] for name in archive} == {
        *("__init__.py", "nodes", "playmate_core", "locales", "workflows"),
        *("pyproject.toml", "requirements.txt", "README.md", "LICENSE", ".comfyignore"),
    }
    able = [name for name in archive if name.endswith(".py") and "huggingface_hub" in (ROOT / name).read_text()]
    assert not able, "a file that can download would be published"


@pytest.mark.parametrize(
    "folder", ["nodes", "locales", "playmate_core/bundled", "workflows/api", "workflows/blueprints"]
)
def test_the_archive_holds_the_whole_of_a_folder(archive: set[str], folder: str) -> None:
    """Help pages, locales, bundled models and workflows too, not only Python."""
    there = {path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path.relative_to(ROOT).as_posix() for path in there} <= archive


def test_nothing_published_imports_what_was_left_out(archive: set[str]) -> None:
    for name in sorted(name for name in archive if name.endswith(".py")):
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                at = PurePosixPath(name).parents[node.level - 1].joinpath(*(node.module or "").split("."))
                places = [at] if node.module else [at / alias.name for alias in node.names]
                for place in places:
                    assert {f"{place}.py", f"{place}/__init__.py"} & archive, f"{name} misses {place}"
