"""Every widget of every node is linked, to a good value, to bad ones and to hostile ones: the fakes send them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from node_process import in_subprocess, install_models

BAD = """
import json, time
import node_session, widget_values as v
s = node_session.Session()
socket, said = object(), {}
for name, node in sorted(s.nodes.items()):
    described = node.define_schema().described()
    wired = {k: socket for group in described["input"].values() for k in group}
    wired |= {k: v.good_value(*spec) for k, spec in v.widgets(described).items()}
    for widget, spec in v.widgets(described).items():
        for fault, value in v.bad_values(*spec).items():
            began = time.perf_counter()
            try:
                node.execute(**{**wired, widget: value})
                answer = "accepted"
            except Exception as problem:
                answer = f"{type(problem).__name__}: {problem}"
            spent = time.perf_counter() - began
            typed = None
            if hasattr(node, "validate_inputs") and widget in node.validate_inputs.__func__.__code__.co_varnames:
                typed = node.validate_inputs(**{widget: value})
            said[f"{name}.{widget} {fault}"] = [answer, spent, typed]
closed = [f"{name}.{put.id}" for name, node in s.nodes.items() for put in node.define_schema().inputs
          if put.get_io_type() == "COMBO" and "STRING" != put.get_io_type()]
print(json.dumps([said, closed]))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("comfy")
    (folder / "output").mkdir()
    return json.loads(in_subprocess(BAD, folder).splitlines()[-1])


@pytest.fixture(scope="module")
def answers(told: list[Any]) -> dict[str, Any]:
    return told[0]


def test_every_choice_takes_the_text_that_a_primitive_sends(told: list[Any]) -> None:
    assert told[1] == [], "these need to be sockets.Choice"


def test_bad_values_that_arrive_by_a_link_are_refused_before_any_work(answers: dict[str, Any]) -> None:
    """The sockets hold nothing that could be worked with: whoever begins to work fails in another way."""
    assert len(answers) > 500
    for case, (answer, seconds, _) in answers.items():
        assert answer.startswith("UserError: "), f"{case}: {answer}"
        assert "\n" not in answer and answer.endswith((".", "?).")) and len(answer) < 620, f"{case}: {answer}"
        assert seconds < 2, f"{case}: {seconds:.1f} s"


def test_a_linked_value_gets_the_sentence_that_a_typed_one_gets(answers: dict[str, Any]) -> None:
    compared = 0
    for case, (answer, _, typed) in answers.items():
        if isinstance(typed, str):
            compared += 1
            assert answer == f"UserError: {typed}", case
    assert compared > 40


GOOD = """
import json, torch
import node_session, widget_values as v
from playmate_core.motion.arkit import ARKIT_SHAPES
s = node_session.Session()
picture, speech, video = s.run("DemoMedia", seconds=0.2)
face, models = s.run("LoadFaceModel", file="face.safetensors"), s.run("LoadMotionModel")
crop, _ = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
heard, sound, _ = s.run("EncodeAudio", audio=speech)
pose, happy = s.run("PoseStatic"), s.run("Emotion")
motion = s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, steps=1)
wires = {"PLAYMATE_FACE": face, "PLAYMATE_MOTION_MODEL": models, "PLAYMATE_CROP": crop, "PLAYMATE_PORTRAIT": portrait,
         "PLAYMATE_AUDIO": heard, "PLAYMATE_EMOTION": happy, "PLAYMATE_POSE": pose, "PLAYMATE_MOTION": motion,
         "PLAYMATE_TAKES": s.run("Takes", motion_model=models, portrait=portrait, speech=heard, count=1),
         "FACE_LANDMARKS": {"frames": [[{"blendshapes": dict.fromkeys(ARKIT_SHAPES, 0.5)}]]},
         "IMAGE": picture, "AUDIO": sound, "VIDEO,IMAGE": torch.rand(2, 64, 64, 3)}
others = {"steps": 1.0, "count": 1.0, "columns": 1.0, "fade": 0, "require_face": 0, "seed": "3"}
done = {}
for name, node in sorted(s.nodes.items()):
    described = node.define_schema().described()
    linked = {k: others.get(k, v.good_value(*spec)) for k, spec in v.widgets(described).items()}
    sockets = {k: wires[spec[0]] for k, spec in described["input"]["required"].items() if k not in linked}
    if name == "Render":
        sockets["motion"] = motion[:2]
    if name == "PasteBack":
        sockets["images"] = torch.rand(1, portrait.crop_size, portrait.crop_size, 3)
    if name == "MotionOverVideo":
        given = dict(face_model=face, video=wires["VIDEO,IMAGE"], crop="whole", require_face=False)
        sockets["portrait"] = s.run("EncodeVideoPortrait", **given)[0]
    if name == "MotionFromLandmarks":
        sockets["landmarks"] = wires["FACE_LANDMARKS"]
    if name == "ContactSheet":
        sockets["motion"] = motion
    if name == "EmotionOverTime":
        sockets["speech"] = heard
    if name == "PoseSwitch":
        sockets["pose_1"] = pose
    if name == "Talk":
        sockets |= {"face_model": face, "motion_model": models}
    if name == "CropPortrait":
        linked["crop"] = "whole"
    if name == "PoseFromMotion":
        continue  # no widget
    try:
        s.run(name, linked=tuple(linked), **sockets, **linked)
        done[name] = "done"
    except Exception as problem:
        done[name] = repr(problem)
from pathlib import Path
print(json.dumps([done, len(s.nodes), sorted(str(p) for p in Path("output").rglob("*") if p.is_file())]))
"""


def test_good_values_may_come_by_a_link_into_every_widget(tmp_path: Path, tiny_face: Path) -> None:
    install_models(tmp_path, tiny_face)
    done, nodes, files = json.loads(in_subprocess(GOOD, tmp_path).splitlines()[-1])
    wrong = {name: answer for name, answer in done.items() if answer != "done"}
    assert not wrong
    assert len(done) >= nodes - 4, "all nodes with a widget"
    assert [Path(file).parts[1] for file in files] == ["motion", "motion", "video", "video", "video"], (
        "no save is skipped"
    )
