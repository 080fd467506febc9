"""One version: pyproject.toml's, whether the package is installed, cloned or copied into ComfyUI."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from playmate_core import version as room
from playmate_core.cli.main import main

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest needs it there
    import tomli as tomllib

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_is_the_project_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert room.version() == PROJECT["version"] and room.DISTRIBUTION == PROJECT["name"]
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"playmate {PROJECT['version']}\n"


def test_an_installed_package_says_what_was_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside it lies no file, or that of another project."""
    monkeypatch.setattr(room, "PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(metadata, "version", {room.DISTRIBUTION: "9.8.7"}.__getitem__)
    assert room.version() == "9.8.7"
    room.PYPROJECT.write_text('[project]\nname = "another"\nversion = "1.2.3"\n')
    assert room.version() == "9.8.7"

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert room.version() == "unknown"
