"""The shipped workflows, help pages and locales are what their scripts write, and every node stands in a workflow."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from training.thumbnails import SHOTS

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest needs it there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
NODES: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "nodes.json").read_text(encoding="utf-8"))
API = sorted((ROOT / "workflows" / "api").glob("*.json"))
UI = sorted((ROOT / "workflows").glob("*.json"))


def script(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of the repository as a module, its neighbours importable."""
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_workflow_files_are_what_the_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = script(ROOT / "workflows" / "build.py", monkeypatch).files()
    found = {path.relative_to(ROOT / "workflows").as_posix() for path in UI + API}
    found |= {f"blueprints/{path.name}" for path in (ROOT / "workflows" / "blueprints").glob("*.json")}
    assert found == set(made)
    stale = [name for name, text in made.items() if (ROOT / "workflows" / name).read_text(encoding="utf-8") != text]
    assert not stale, "run `python workflows/build.py`"


def test_help_and_locales_are_what_the_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = script(ROOT / ".ci" / "words.py", monkeypatch).files()
    stale = [name for name, text in made.items() if (ROOT / name).read_text(encoding="utf-8") != text]
    assert not stale, "run `python .ci/words.py`"


def test_every_workflow_has_a_small_wide_picture_of_its_own_for_the_template_browser() -> None:
    pictures = {path.stem: path.read_bytes() for path in (ROOT / "workflows").glob("*.jpg")}
    assert set(pictures) == {path.stem for path in UI} == set(SHOTS)
    for name, data in pictures.items():
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert len(data) < 40_000 and picture is not None and picture.shape == (360, 640, 3), name
    assert len(set(pictures.values())) == len(pictures), "no two alike"


@pytest.mark.parametrize("path", UI, ids=lambda path: path.stem)
def test_a_workflow_has_groups_colours_and_a_titled_note_and_no_box_over_another(path: Path) -> None:
    workflow = json.loads(path.read_text(encoding="utf-8"))
    assert all(node["color"] and node["bgcolor"] and node["title"] for node in workflow["nodes"])
    nodes = [node for node in workflow["nodes"] if node["type"] != "MarkdownNote"]
    groups = [group["bounding"] for group in workflow["groups"]]
    for node in nodes:
        (left, top), (width, height) = node["pos"], node["size"]
        inside = [
            (x, y)
            for x, y, wide, tall in groups
            if x <= left and left + width <= x + wide and y <= top - 30 and top + height <= y + tall
        ]
        assert len(inside) == 1, (node["type"], "lies in one group")
    for left, top, width, height in groups:
        ends = [node["pos"][1] + node["size"][1] for node in nodes if left <= node["pos"][0] <= left + width]
        assert any(-200 < end - (top + height) < 0 for end in ends), "a group ends where its nodes end"
    for n, (x, y, wide, tall) in enumerate(groups):
        for left, top, width, height in groups[:n]:
            apart = x >= left + width or left >= x + wide or y >= top + height or top >= y + tall
            assert apart, "groups do not overlap"


def test_every_type_of_link_has_a_colour() -> None:
    script = (ROOT / "nodes" / "web" / "link_colours.js").read_text(encoding="utf-8")
    colours = dict(re.findall(r'(PLAYMATE_\w+): "(#[0-9a-f]{6})"', script))
    assert set(colours) == {
        kind for info in NODES.values() for kind in info["output"] if kind.startswith("PLAYMATE")
    } | {"PLAYMATE_AUDIO_ENCODER"}
    assert len(set(colours.values())) == len(colours)


@pytest.mark.parametrize("path", API, ids=lambda path: path.stem)
def test_picture_voice_and_video_are_chosen_by_comfyuis_own_pickers_with_the_demo_files_chosen(path: Path) -> None:
    prompt = json.loads(path.read_text(encoding="utf-8"))
    core = [entry for entry in prompt.values() if entry["class_type"].startswith("Load")]
    chosen = {entry["class_type"]: entry["inputs"] for entry in core}
    titles = {entry["class_type"]: entry["_meta"]["title"] for entry in prompt.values()}
    over_video = "PlaymateEncodeVideoPortrait" in titles
    assert chosen.get("LoadImage") == (None if over_video else {"image": "playmate_portrait.png"})
    spoken = any(name in titles for name in ("PlaymateEncodeAudio", "PlaymateTalk"))
    driven = over_video or any(name in titles for name in ("PlaymatePoseFromVideo", "PlaymateMotionFromVideo"))
    voice = "playmate_dialogue.wav" if "SplitAudioChannels" in titles else "playmate_speech.wav"
    assert chosen.get("LoadAudio") == ({"audio": voice} if spoken else None)
    assert chosen.get("LoadVideo") == ({"file": "playmate_driving.mp4"} if driven else None)
    note = json.loads((ROOT / "workflows" / path.name).read_text(encoding="utf-8"))["nodes"][-1]["widgets_values"][0]
    for kind, words in (("LoadImage", "your picture"), ("LoadAudio", "your voice"), ("LoadVideo", "your video")):
        assert (f"**{words}**" in note or f"**Choose {words}**" in note) == (kind in chosen), kind
        assert kind not in chosen or titles[kind] in note, "the note names the node as it is titled"


@pytest.mark.parametrize("path", API, ids=lambda path: path.stem)
def test_speech_is_encoded_for_the_model_that_is_chosen(path: Path) -> None:
    """Another choice at Load Motion Model needs another audio encoder, and no rewiring."""
    prompt = json.loads(path.read_text(encoding="utf-8"))
    speaking = [entry["inputs"] for entry in prompt.values() if "speech" in entry["inputs"]]
    for inputs in speaking:
        if "motion_model" in inputs:
            assert prompt[inputs["speech"][0]]["inputs"]["motion_model"] == inputs["motion_model"]


def test_every_node_stands_in_a_workflow() -> None:
    used = {entry["class_type"] for path in API for entry in json.loads(path.read_text(encoding="utf-8")).values()}
    assert not set(NODES) - used


@pytest.mark.parametrize("path", UI, ids=lambda path: path.stem)
def test_a_workflow_has_a_note_owners_and_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    nodes = json.loads(text)["nodes"]
    note = next(node for node in nodes if node["type"] == "MarkdownNote")
    note = note["widgets_values"][0]
    assert "LivePortrait" in note and ("**Choose your picture**" in note or "**Choose your video**" in note)
    assert all(node["properties"].get("cnr_id") for node in nodes)
    assert not [word for word in ("/home/", "/root/", "/work/", "C:\\\\", "/tmp/") if word in text]


def test_the_project_file_says_what_the_registry_asks() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, comfy = told["project"], told["tool"]["comfy"]
    assert project["license"] == {"file": "LICENSE"} and "Repository" in project["urls"]
    assert {"PublisherId", "DisplayName", "Icon", "requires-comfyui"} <= set(comfy)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {project['version']}" in changes, "every version has its chapter"
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert wanted == project["dependencies"], "the Manager installs requirements.txt, the registry shows these"
    assert not [line for line in wanted if "==" in line or "<" in line], "floors only"
