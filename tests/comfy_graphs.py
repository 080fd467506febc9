"""Workflows for a running ComfyUI, on tiny models."""

from __future__ import annotations

import copy
import json
from typing import Any

from comfy_server import ROOT, SHORT, ComfyServer, Ended, Prompt

from playmate_core.motion.motion_file import load_motion_clip
from playmate_core.values import Motion

TINY = {
    "PlaymateLoadFaceModel.file": "tiny_face.safetensors",
    "PlaymateLoadMotionModel.file": "tiny_motion.safetensors",
    "PlaymateLoadMotionModel.emotion": "tiny_emotion.safetensors",
    "LoadAudio.audio": SHORT,
    "PlaymateSampleMotion.steps": 2,
    "PlaymateEncodePortrait.require_face": False,
    "PlaymateEncodeVideoPortrait.require_face": False,
    "PlaymateTalk.require_face": False,
}
#: Its two channels are split, so no mono voice can take its place.
DIALOGUE = "playmate_dialogue.wav"
#: All five seconds of the bundled speech.
WHOLE = {"LoadAudio.audio": "playmate_speech.wav"}


def graph(name: str, settings: dict[str, Any] | None = None) -> Prompt:
    """A shipped workflow with tiny models, and with ``settings``: "class.input" -> value."""
    prompt: Prompt = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text(encoding="utf-8"))
    for key, value in {**TINY, **(settings or {})}.items():
        kind, _, field = key.partition(".")
        for entry in prompt.values():
            mono = key == "LoadAudio.audio" and entry["inputs"].get("audio") == DIALOGUE
            if entry["class_type"] == kind and not mono:
                entry["inputs"][field] = copy.deepcopy(value)
    return prompt


def node(prompt: Prompt, kind: str) -> str:
    """The id of the first node of a class."""
    return next(key for key, entry in prompt.items() if entry["class_type"] == kind)


def only(prompt: Prompt, kind: str, saved_as: str) -> Prompt:
    """The part of a graph that makes the motion that leaves the node of a class, and saves it."""
    outputs = ("PlaymateRenderToVideo", "PreviewImage", "SaveVideo", "PlaymateTalk")
    kept = {key: entry for key, entry in prompt.items() if entry["class_type"] not in outputs}
    inputs = {"motion": [node(prompt, kind), 0], "filename_prefix": f"motion/{saved_as}"}
    return {**kept, "save": {"class_type": "PlaymateSaveMotion", "inputs": inputs}}


def moved(comfy: ComfyServer, prompt: Prompt) -> Motion:
    ended = comfy.run(prompt)
    assert ended.status == "success", ended
    return load_motion_clip(comfy.saved(ended, ".safetensors")).motion


def refusal(ended: Ended, blamed: str) -> str:
    """The sentence; fails unless it is one, and is said by the node of that class."""
    assert ended.status in ("refused", "error"), f"was not refused: {ended}"
    assert ended.blamed == blamed, ended
    assert "\n" not in ended.said and "Traceback" not in ended.said and ended.said.endswith("."), ended.said
    assert len(ended.said) < 500, ended.said
    return ended.said
