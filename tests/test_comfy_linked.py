"""On a real ComfyUI: every widget of every node is linked, to good values, to bad ones and to hostile ones.

Set COMFYUI_PATH and COMFYUI_PYTHON as for test_comfy.py, then ``python -m pytest -m slow tests/test_comfy_linked.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfy_server import COMFY, PYTHON, ComfyServer, Ended, Prompt
from widget_values import bad_values, good_value, is_time, widgets

from playmate_core.media.video_reader import video_facts
from playmate_core.motion.arkit import ARKIT_SHAPES
from playmate_core.motion.motion_file import load_motion_clip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (COMFY and PYTHON), reason="COMFYUI_PATH and COMFYUI_PYTHON name no ComfyUI"),
]
#: A pack whose one node sends any value that JSON, or "null byte" and the like, can name, under the type
#: "*", which equals every other as such packs have it: 0.3.64 refuses a plain one for a socket of several types.
SENDER = """
import json
class Anything(str):
    def __ne__(self, other):
        return False
class Send:
    RETURN_TYPES, FUNCTION, CATEGORY = (Anything("*"),), "send", "test"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("STRING", {"default": "null"})}}
    def send(self, value):
        return (b"1" if value == "bytes" else json.loads(value),)
NODE_CLASS_MAPPINGS = {"Send": Send}
"""
FILE = {"PlaymateLoadFaceModel": "tiny_face.safetensors", "PlaymateLoadMotionModel": "tiny_motion.safetensors"}
#: What another value than the default makes quick, or possible with tiny models.
SETTINGS = {
    "PlaymateDemoMedia": {"seconds": 0.2},
    "PlaymateLoadFaceModel": {"file": FILE["PlaymateLoadFaceModel"]},
    "PlaymateLoadMotionModel": {"file": FILE["PlaymateLoadMotionModel"], "emotion": "tiny_emotion.safetensors"},
    "PlaymateCropPortrait": {"crop": "whole"},
    "PlaymateEncodePortrait": {"require_face": False},
    "PlaymateEncodeVideoPortrait": {"require_face": False},
    "PlaymateSampleMotion": {"steps": 1},
    "PlaymateJoinMotions": {"fade": 0.08},
    "PlaymateTalk": {"require_face": False},
}
#: Which node and output feeds a socket of a type.
WIRES = {
    "IMAGE": ("PlaymateDemoMedia", 0),
    "VIDEO,IMAGE": ("PlaymateDemoMedia", 0),
    "AUDIO": ("PlaymateDemoMedia", 1),
    "PLAYMATE_FACE": ("PlaymateLoadFaceModel", 0),
    "PLAYMATE_MOTION_MODEL": ("PlaymateLoadMotionModel", 0),
    "PLAYMATE_CROP": ("PlaymateCropPortrait", 0),
    "PLAYMATE_PORTRAIT": ("PlaymateEncodePortrait", 0),
    "PLAYMATE_AUDIO": ("PlaymateEncodeAudio", 0),
    "PLAYMATE_EMOTION": ("PlaymateEmotion", 0),
    "PLAYMATE_POSE": ("PlaymatePoseStatic", 0),
    "PLAYMATE_MOTION": ("PlaymateSampleMotion", 0),
    "PLAYMATE_TAKES": ("PlaymateTakes", 0),
}
#: What is sent to a socket that no node of ours feeds.
SENT = {"FACE_LANDMARKS": {"frames": [[{"blendshapes": dict.fromkeys(ARKIT_SHAPES, 0.5)}]]}}
#: What is not fed by the node of its type: faces at their own size, and the frames of a video.
OTHERWISE = {
    ("PlaymatePasteBack", "images"): ("PlaymateRender", 0),
    ("PlaymateMotionOverVideo", "portrait"): ("PlaymateEncodeVideoPortrait", 0),
}
#: Optional sockets that are needed all the same.
ALSO = {"PlaymateTalk": ("face_model", "motion_model"), "PlaymatePoseSwitch": ("pose_1",)}
ALSO |= {"PlaymateMotionFromLandmarks": ("landmarks",)}
ALSO |= {"PlaymateContactSheet": ("motion",), "PlaymateEmotionOverTime": ("speech",)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, comfy_models: Path) -> Iterator[ComfyServer]:
    made = ComfyServer(tmp_path_factory.mktemp("linked"), comfy_models)
    pack = made.base / "custom_nodes" / "sender"
    pack.mkdir()
    (pack / "__init__.py").write_text(SENDER)
    with made as running:
        yield running


@pytest.fixture(scope="module")
def nodes(server: ComfyServer) -> dict[str, Any]:
    found = {name: info for name, info in server.get("/object_info").items() if name.startswith("Playmate")}
    assert len(found) > 25
    return found


def graph(nodes: dict[str, Any], kind: str, linked: dict[str, Any]) -> Prompt:
    """A node with what its sockets need, ``linked`` values sent to its widgets, and somebody who wants its output."""
    prompt: Prompt = {}

    def add(name: str, sent: dict[str, Any]) -> str:
        info, inputs = nodes[name], {}
        for group in ("required", "optional"):
            for key, spec in info["input"].get(group, {}).items():
                of = spec[0] if isinstance(spec[0], str) else "COMBO"
                if key in sent:
                    place = f"{name} {key}"
                    prompt[place] = {"class_type": "Send", "inputs": {"value": encoded(sent[key])}}
                    inputs[key] = [place, 0]
                elif key in widgets(info):
                    inputs[key] = SETTINGS.get(name, {}).get(key, spec[1]["default"])
                elif of in SENT and (group == "required" or key in ALSO.get(name, ())):
                    prompt[of] = {"class_type": "Send", "inputs": {"value": encoded(SENT[of])}}
                    inputs[key] = [of, 0]
                elif group == "required" or key in ALSO.get(name, ()):
                    source, output = OTHERWISE.get((name, key)) or WIRES[of]
                    inputs[key] = [source if source in prompt else add(source, {}), output]
        place = name if not sent else "the node"
        prompt[place] = {"class_type": name, "inputs": inputs}
        return place

    node = add(kind, linked)
    if not nodes[kind]["output_node"]:
        prompt["wanted"] = {"class_type": "PreviewAny", "inputs": {"source": [node, 0]}}
    return prompt


def encoded(value: Any) -> str:
    return "bytes" if isinstance(value, bytes) else json.dumps(value)


def refusal(ended: Ended, kind: str, case: str) -> str:
    assert ended.status == "error", f"{case}: {ended}"
    assert ended.blamed == kind, f"{case}: {ended}"
    assert "\n" not in ended.said and ended.said.endswith((".", "?).")) and len(ended.said) < 620, (
        f"{case}: {ended.said}"
    )
    return ended.said


def test_good_values_reach_every_widget_by_a_link(server: ComfyServer, nodes: dict[str, Any]) -> None:
    tried = 0
    for kind, info in nodes.items():
        linked = {
            name: SETTINGS.get(kind, {}).get(
                name, good_value(spec[0] if isinstance(spec[0], str) else "COMBO", spec[1])
            )
            for name, spec in widgets(info).items()
        }
        if not linked:
            continue
        files = server.files()
        ended = server.run(graph(nodes, kind, linked))
        assert ended.status == "success", f"{kind}: {ended}"
        tried += len(linked)
        new = server.files() - files
        assert len(new) == int("filename_prefix" in widgets(info)), f"{kind} saved {new}"
        for file in new:
            if file.suffix == ".mp4":
                assert video_facts(file).frames
            else:
                assert load_motion_clip(file) if file.suffix == ".safetensors" else file.stat().st_size
    assert tried > 70


def test_a_primitive_may_be_linked_to_every_widget(server: ComfyServer, nodes: dict[str, Any]) -> None:
    """What the page offers: String to texts and choices, Int, Float and Boolean to their own kind, Float to times."""
    primitives = {"INT": "Int", "FLOAT": "Float", "BOOLEAN": "Boolean", "STRING": "String", "COMBO": "String"}
    for kind, info in nodes.items():
        prompt = graph(nodes, kind, {})
        inputs = prompt[kind]["inputs"]
        for name, spec in widgets(info).items():
            of = spec[0] if isinstance(spec[0], str) else "COMBO"
            sent = {"class_type": f"Primitive{primitives[of]}", "inputs": {"value": inputs[name]}}
            if is_time(spec[1]):
                sent = {"class_type": "PrimitiveFloat", "inputs": {"value": float(inputs[name])}}
            prompt[f"primitive {name}"], inputs[name] = sent, [f"primitive {name}", 0]
        ended = server.run(prompt)
        assert ended.status == "success", f"{kind}: {ended}"
    wrong = graph(nodes, "PlaymateSampleMotion", {})
    wrong["text"] = {"class_type": "PrimitiveString", "inputs": {"value": "magic"}}
    wrong["PlaymateSampleMotion"]["inputs"]["sampler"] = ["text", 0]
    assert "Unknown sampler 'magic'" in refusal(server.run(wrong), "PlaymateSampleMotion", "sampler")


def test_bad_and_hostile_values_that_come_by_a_link_are_refused(server: ComfyServer, nodes: dict[str, Any]) -> None:
    files, tried = server.files(), 0
    for kind, info in nodes.items():
        for name, spec in widgets(info).items():
            of = spec[0] if isinstance(spec[0], str) else "COMBO"
            options = {**spec[1], **({"options": spec[0]} if isinstance(spec[0], list) else {})}
            for fault, value in bad_values(of, options).items():
                case = f"{kind}.{name} {fault}"
                if fault == "list":
                    continue  # ComfyUI hands a list on as it is; the fakes try it
                ended = server.run(graph(nodes, kind, {name: value}))
                refusal(ended, kind, case)
                tried += 1
    assert tried > 500
    assert server.files() == files


def test_a_deleted_file_is_made_again(server: ComfyServer, nodes: dict[str, Any]) -> None:
    for kind in ("PlaymateSaveMotion", "PlaymateRenderToVideo", "PlaymateTalk"):
        prompt = graph(nodes, kind, {})
        before = server.files()
        first = server.run(prompt)
        (file,) = server.files() - before
        assert kind in first.ran(prompt)
        assert kind not in server.run(prompt).ran(prompt), "nothing changed"
        file.unlink()
        again = server.run(prompt)
        assert kind in again.ran(prompt), f"{kind}: {again}"
        assert len(server.files() - before) == 1
