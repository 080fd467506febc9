"""Every node that takes a motion, a pose or an emotion and gives one returns its input bit for bit when it is asked for
nothing. The nodes are taken from the pack itself: one added tomorrow is run with its defaults, and fails here until its
defaults, or the settings that NOTHING names for it, change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from node_process import in_subprocess, install_models

#: Settings that ask for nothing, where they are not the defaults.
NOTHING: dict[str, dict[str, Any]] = {
    "ApplyPose": {"mode": "add", "strength": 0.0},
    "Blinks": {"mode": "keep"},
    "EmotionBlend": {"blend": 0.0},
    "EmotionOverTime": {"low": 1.0, "high": 1.0},
    "Gaze": {"mode": "free"},
    "Listener": {"nods": 0.0, "silence": 0.0},
    "PoseLimits": {"pitch": 90.0, "yaw": 90.0, "roll": 90.0, "knee": 1.0},
    "PoseProcedural": {"amount": 0.0},
    "ResampleMotion": {"strength": 0.0},
    "SmoothMotion": {"brows": 0.0, "rest": 0.0, "head": 0.0},
}
#: Nodes that make something new of what they are given.
MAKERS = {
    "JoinMotions": "is as long as both of its inputs",
    "MotionOverVideo": "is the motion of a video with the lips of another",
    "SampleMotion": "samples another motion, which goes on from the one that is given",
}
GRAPH = """
import json, torch, node_session
s = node_session.Session()
picture, voice, video = s.run("DemoMedia", seconds=2.0)
face, models = s.run("LoadFaceModel", file="face.safetensors"), s.run("LoadMotionModel")
crop, _ = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
heard, _, _ = s.run("EncodeAudio", audio=voice)
motion = s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, steps=2)
other = s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, steps=2, seed=7)
happy = s.run("EmotionSchedule")
pool = {"PLAYMATE_FACE": face, "PLAYMATE_MOTION_MODEL": models, "PLAYMATE_PORTRAIT": portrait, "PLAYMATE_AUDIO": heard,
        "PLAYMATE_MOTION": motion, "PLAYMATE_POSE": motion.pose, "PLAYMATE_EMOTION": happy, "PLAYMATE_CROP": crop}
second = {"PLAYMATE_MOTION": other, "PLAYMATE_POSE": other.pose, "PLAYMATE_EMOTION": s.run("Emotion", emotion="sad")}
def same(a, b):
    if hasattr(a, "expression"):
        return torch.equal(a.expression, b.expression) and same(a.pose, b.pose)
    if hasattr(a, "rotation"):
        return all(torch.equal(getattr(a, part), getattr(b, part)) for part in ("rotation", "translation", "scale"))
    one, other = a.curve(50), b.curve(50)
    return torch.equal(one.weights, other.weights) and torch.equal(one.intensity, other.intensity)
found = {}
for name, node in s.nodes.items():
    said = node.define_schema().described()
    wired = [(key, spec[0]) for group in ("required", "optional") for key, spec in said["input"].get(group, {}).items()]
    kind = said["output"][0] if said["output"] else None
    if kind not in second or kind not in [what for _, what in wired] or name in MAKERS:
        continue
    given, seen = {}, set()
    for key, what in wired:
        if what in pool:
            given[key] = second[what] if what in second and what in seen else pool[what]
            seen.add(what)
    try:
        out = s.run(name, **{**given, **NOTHING.get(name, {})})
        found[name] = same(pool[kind], out[0] if isinstance(out, tuple) else out)
    except Exception as problem:
        found[name] = f"{type(problem).__name__}: {problem}"
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, tiny_face: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("comfy")
    install_models(folder, tiny_face)
    settings = f"NOTHING, MAKERS = {NOTHING!r}, {sorted(MAKERS)!r}\n"
    return json.loads(in_subprocess(settings + GRAPH, folder).splitlines()[-1])


def test_a_node_that_is_asked_for_nothing_changes_nothing(found: dict[str, Any]) -> None:
    assert len(found) >= 17, found
    assert all(answer is True for answer in found.values()), {k: v for k, v in found.items() if v is not True}


def test_every_setting_named_here_belongs_to_a_node(found: dict[str, Any]) -> None:
    assert not set(NOTHING) - set(found), "these nodes are gone, or give something else"
