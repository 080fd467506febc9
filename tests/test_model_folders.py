"""Where model files are looked for: who named a folder more directly is searched first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from model_places import put

from playmate_core.weights import folders
from playmate_core.weights.catalogue import HUMAN
from playmate_core.weights.folders import Places, model_file


def test_folders_of_the_environment_come_before_those_of_comfyui(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file in every place: the variable's folders in their order, then ComfyUI's, then the home's."""
    comfy, first, second, home = (tmp_path / name for name in ("ComfyUI", "first", "second", "home"))
    monkeypatch.setattr(folders, "PACKAGE", comfy / "custom_nodes" / "playmate" / "playmate_core")
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setenv("PLAYMATE_MODELS", os.pathsep.join([str(first), str(second)]))
    wanted = HUMAN.files[0]
    places = [root / wanted.below_models for root in (first, second, comfy / "models", home / ".playmate/models")]
    for path in places:
        put(path)
    for path in places:
        assert Places.standard().find(wanted) == path == model_file(f"{wanted.folder}/{wanted.name}")
        path.unlink()
    assert Places.standard().find(wanted) is None
