"""Where model files are looked for, and in which order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from model_places import put

from playmate_core.errors import UserError
from playmate_core.host import HOST
from playmate_core.weights import folders as room
from playmate_core.weights.catalogue import LIVEPORTRAIT_ANIMAL, LIVEPORTRAIT_HUMAN, SETS
from playmate_core.weights.folders import PACKAGE, SearchPaths, below, insightface_folders, model_file
from playmate_core.weights.liveportrait import find_parts

#: As people write them: a disk of models with the folders below it, and a block without.
EXTRA = """
nas:
    base_path: ../nas
    is_default: true
    liveportrait: |
        portraits

    insightface: faces
others:
    liveportrait: /elsewhere/lp
nothing:
"""


def test_files_are_found_in_order_and_bundled_ones_last(tmp_path: Path) -> None:
    places = SearchPaths.below([tmp_path / "a", tmp_path / "b"])
    lips = LIVEPORTRAIT_HUMAN.files[0]
    assert places.find(lips) is None and places.target(lips) == tmp_path / "a" / lips.below_models
    second = put(tmp_path / "b" / lips.below_models)
    assert places.find(lips) == second
    first = put(tmp_path / "a" / lips.below_models)
    assert places.find(lips) == first
    face = next(file for file in SETS["playmate"].files if file.name == "face.safetensors")
    assert places.find(face) == PACKAGE / "bundled" / "face.safetensors"
    assert places.find(face) != put(tmp_path / "b/playmate/face.safetensors")


def test_a_bundled_file_is_found_after_the_user_s_own(tmp_path: Path) -> None:
    face = SETS["playmate"].files[0]
    mine = put(tmp_path / "playmate" / face.name)
    assert SearchPaths.below([tmp_path]).find(face) == mine


def test_folders_that_comfyui_names_are_searched_whatever_their_names(tmp_path: Path) -> None:
    """As nodes fill them from folder_paths, after extra_model_paths.yaml."""
    places = SearchPaths({"liveportrait": (tmp_path / "nas/portraits", tmp_path / "lp")})
    found = put(tmp_path / "lp/animal" / LIVEPORTRAIT_ANIMAL.files[0].name.removeprefix("animal/"))
    assert places.find(LIVEPORTRAIT_ANIMAL.files[0]) == found
    assert places.resolve(Path("liveportrait/animal")) == tmp_path / "lp/animal"
    assert places.resolve(Path("animal")) == tmp_path / "lp/animal"
    assert places.resolve(Path("nowhere")) == Path("nowhere")
    with pytest.raises(UserError, match="No folder is known for audio_encoders"):
        places.target(SETS["wav2vec2"].files[0])


@pytest.mark.parametrize("name", ["liveportrait", "liveportrait-animal", "liveportrait-official-animal"])
def test_what_is_fetched_is_what_the_loader_finds(tmp_path: Path, name: str) -> None:
    places = SearchPaths.below([tmp_path])
    for one in {name, "liveportrait" if "official" not in name else "liveportrait-official"}:
        for file in SETS[one].files:
            put(places.target(file))
    parts = find_parts(places.target(SETS[name].files[0]).parent)
    assert set(parts.values()) >= {places.target(file).resolve() for file in SETS[name].files}
    assert len(parts) == 5  # with the human stitching file


def test_the_pack_looks_into_the_comfyui_it_lies_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "playmate_core.weights.folders.PACKAGE", tmp_path / "ComfyUI/custom_nodes/playmate/playmate_core"
    )
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
    monkeypatch.setattr(HOST, "_model_folders", lambda category: below([tmp_path / "named"], category))
    folders = SearchPaths.standard().folders["liveportrait"]
    assert folders[:2] == (tmp_path / "named/liveportrait", tmp_path / "ComfyUI/models/liveportrait")
    put(tmp_path / "ComfyUI/extra_model_paths.yaml", EXTRA.encode())
    assert SearchPaths.standard().folders["liveportrait"][1:4] == (
        tmp_path / "ComfyUI/models/liveportrait",
        tmp_path / "ComfyUI/../nas/portraits",
        Path("/elsewhere/lp"),
    )
    found = put(tmp_path / "nas/faces/models/buffalo_l/det_10g.onnx")
    assert SearchPaths.standard().find(
        SETS["insightface"].files[0]
    ) == tmp_path / "ComfyUI/../nas/faces" / found.relative_to(tmp_path / "nas/faces")
    assert tmp_path / "ComfyUI/../nas/faces/models/buffalo_l" in insightface_folders("buffalo_l")
    for nonsense in ("liveportrait: folder", "- a\n- b", "a: {base_path: 3}", "a: [", "\x00"):
        put(tmp_path / "ComfyUI/extra_model_paths.yaml", nonsense.encode())
        with pytest.raises(UserError, match="extra_model_paths.yaml is no file of extra model paths"):
            SearchPaths.standard()


def test_folders_of_the_environment_come_before_those_of_comfyui(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file in every place: the variable's folders in their order, then ComfyUI's, then the home's."""
    comfy, first, second, home = (tmp_path / name for name in ("ComfyUI", "first", "second", "home"))
    monkeypatch.setattr(room, "PACKAGE", comfy / "custom_nodes" / "playmate" / "playmate_core")
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setenv("PLAYMATE_MODELS", os.pathsep.join([str(first), str(second)]))
    wanted = LIVEPORTRAIT_HUMAN.files[0]
    places = [root / wanted.below_models for root in (first, second, comfy / "models", home / ".playmate/models")]
    for path in places:
        put(path)
    for path in places:
        assert SearchPaths.standard().find(wanted) == path == model_file(f"{wanted.folder}/{wanted.name}")
        path.unlink()
    assert SearchPaths.standard().find(wanted) is None
