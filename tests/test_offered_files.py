"""The two workflows for photographs offer all files they need: embedded for the page's download, linked in the note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playmate_core.weights.catalogue import DITTO, JOYVASA, LIVEPORTRAIT_HUMAN, ModelFile
from playmate_core.weights.folders import megabytes

WORKFLOWS = Path(__file__).resolve().parent.parent / "workflows"
#: The files that belong to the choice of a loader.
LOADERS = {"PlaymateLoadFaceModel": LIVEPORTRAIT_HUMAN.files, "PlaymateLoadMotionModel": (*JOYVASA.files, *DITTO.files)}


def offer(file: ModelFile) -> dict[str, str]:
    """What the page reads from a node: it compares ``directory`` and ``name`` with the lists of the server."""
    known = {"hash": file.sha256, "hash_type": "SHA256"} if file.sha256 else {}
    return {"name": file.name, "url": file.url, "directory": file.folder, **known}


@pytest.mark.parametrize("name", ["talk_on_a_photograph", "two_models_side_by_side"])
def test_every_missing_file_is_offered_and_linked(name: str) -> None:
    nodes: list[dict[str, Any]] = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))["nodes"]
    note = next(node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote")
    for kind, files in LOADERS.items():
        loaders = [node for node in nodes if node["type"] == kind]
        assert loaders, kind
        for node in loaders:
            assert node["properties"]["models"] == [offer(file) for file in files]
        for file in files:
            assert f"]({file.url})" in note and f"({megabytes(file.size)})" in note and f"models/{file.folder}" in note
    licenses = {file.license.split()[0] for files in LOADERS.values() for file in files}
    assert all(license in note for license in licenses)


@pytest.mark.parametrize("name", ["talk_on_a_photograph", "two_models_side_by_side"])
def test_what_the_loaders_choose_is_among_the_offered_files(name: str) -> None:
    nodes: list[dict[str, Any]] = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))["nodes"]
    for node in (node for node in nodes if node["type"] in LOADERS):
        offered = [file["name"] for file in node["properties"]["models"]]
        assert node["widgets_values"][0] in offered, node["widgets_values"]
