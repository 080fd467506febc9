"""A dialogue with the published generators, on miniature files in their layouts."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from driven_videos import pictures
from generator_models import write_ditto, write_ditto_encoder, write_joyvasa
from liveportrait_files import miniature_models
from node_process import in_subprocess
from two_voices import LEFT, RIGHT, save

from playmate_core.cli import main as cli
from playmate_core.face import FaceConfig
from playmate_core.motion.lips_and_lids import lips_open
from playmate_core.pipelines import dialogue as room

#: Runs workflows/api/dialogue.json node by node, with other files chosen in its two loaders.
NODES = """
import json, sys, cv2, torch, wave, numpy as np, node_session
from importlib import import_module
sys.path.insert(0, "runtime")  # onnxruntime stands there
s = node_session.Session()
room = import_module("custom_pack.playmate_core.weights.liveportrait")
room.FaceConfig = room.FaceConfig.tiny
def picture(image):
    return torch.from_numpy(cv2.imread(image)[..., ::-1].astype(np.float32) / 255)[None], None
def voice(audio):
    with wave.open("call.wav") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        samples = samples.reshape(-1, file.getnchannels()).T.copy()
        return ({"waveform": torch.from_numpy(samples)[None], "sample_rate": file.getframerate()},)
def channels(audio):
    sides = audio["waveform"].split(1, 1)
    return tuple({"waveform": side, "sample_rate": audio["sample_rate"]} for side in sides)
core = {"LoadImage": picture, "LoadAudio": voice, "SplitAudioChannels": channels}
graph = json.load(open("dialogue.json"))
changed = json.load(open("changed.json"))
made = {}
def valued(value):
    return made[value[0]][value[1]] if isinstance(value, list) else value
for key, node in graph.items():
    kind = node["class_type"].removeprefix("Playmate")
    given = {name: valued(value) for name, value in {**node["inputs"], **changed.get(kind, {})}.items()}
    if kind in core:
        made[key] = core[kind](**given)
    else:
        found = s.run(kind, **given)
        made[key] = found if isinstance(found, tuple) else (found,)
said = {}
for kind in ("SampleMotion", "Listener"):
    said[kind] = [made[key][0] for key, node in graph.items() if node["class_type"] == "Playmate" + kind]
lips = import_module("custom_pack.playmate_core.motion.lips_and_lids").lips_open
pitch = {kind: [motion.pose.rotation[:, 0] for motion in motions] for kind, motions in said.items()}
heads = [after - before for after, before in zip(pitch["Listener"], pitch["SampleMotion"])]
print(json.dumps({
    "spaces": [motion.keypoint_space for motion in said["Listener"]],
    "lips": [lips(motion).tolist() for motion in said["Listener"]],
    "nods": [head.abs().tolist() for head in heads],
    "file": made[list(graph)[-1]][0].file,
}))
"""
WORKFLOW = Path(__file__).resolve().parent.parent / "workflows" / "api" / "dialogue.json"
FILES = {
    "joyvasa": "motion_generator/motion_generator_hubert_chinese.pt",
    "ditto": "ditto_pytorch/models/lmdm_v0.4_hubert.pth",
}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with miniature files of LivePortrait, JoyVASA and Ditto."""
    monkeypatch.setattr("playmate_core.weights.liveportrait.FaceConfig", FaceConfig.tiny)
    miniature_models(tmp_path, monkeypatch)
    write_joyvasa(tmp_path / "models" / "joyvasa")
    write_ditto(tmp_path / "models" / "ditto")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    write_ditto_encoder(tmp_path / "models" / "ditto", runtime)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(str(runtime))
    return tmp_path / "models"


@pytest.mark.parametrize("generator", ["joyvasa", "ditto"])
def test_two_speak_and_listen_with_a_published_generator(
    models: Path, tmp_path: Path, portrait_picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, generator: str
) -> None:
    found: list[Any] = []
    whole = room.faces_job

    def noted(face: Any, faces: Any, *rest: Any) -> Any:
        found.extend(faces)
        return whole(face, faces, *rest)

    monkeypatch.setattr(room, "faces_job", noted)
    call = save(tmp_path / "call.wav", [LEFT, RIGHT])
    cv2.imwrite(str(tmp_path / "b.png"), cv2.flip(cv2.imread(str(portrait_picture)), 1))
    words = ["dialogue", str(portrait_picture), str(tmp_path / "b.png"), "--speech", str(call), "-o"]
    words += [str(tmp_path / "out.mp4"), "--any-picture", "--crop", "whole", "--models", str(models)]
    words += [
        "--face-weights",
        "liveportrait",
        "--motion-weights",
        generator,
        "--steps",
        "2",
        "--emotions",
        "happy",
        "sad",
    ]
    assert cli.main(words) == 0, capsys.readouterr().err
    shown = pictures(tmp_path / "out.mp4")
    assert len(shown) == 100 and np.stack(shown).std() > 1
    first, second = (one.motion for one in found)
    assert first.keypoint_space == second.keypoint_space == "liveportrait"
    assert not torch.equal(first.expression, second.expression), "each has a seed of its own"
    assert_in_turn(lips_open(first), lips_open(second))


def assert_in_turn(first: torch.Tensor, second: torch.Tensor) -> None:
    """The lips (T,) of one open in the first two seconds only, those of the other in the second two."""
    assert float(first[60:].max()) < 1e-5 < float(first[5:45].max())
    assert float(second[5:40].max()) < 1e-5 < float(second[55:95].max())


@pytest.mark.parametrize("generator", ["joyvasa", "ditto"])
def test_the_workflow_is_a_dialogue_where_a_published_generator_is_chosen(
    models: Path, tmp_path: Path, portrait_picture: Path, generator: str
) -> None:
    save(tmp_path / "call.wav", [LEFT, RIGHT])
    cv2.imwrite(str(tmp_path / "a.png"), cv2.imread(str(portrait_picture)))
    shutil.copy(WORKFLOW, tmp_path)
    changed: dict[str, dict[str, Any]] = {
        "LoadImage": {"image": "a.png"},
        "LoadFaceModel": {"file": "appearance_feature_extractor.safetensors"},
        "LoadMotionModel": {"file": FILES[generator]},
        "CropPortrait": {"crop": "whole"},
        "EncodePortrait": {"require_face": False},
        "SampleMotion": {"as_published": False, "steps": 2},
    }
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    got = json.loads(in_subprocess(NODES, tmp_path).splitlines()[-1])
    assert got["spaces"] == ["liveportrait"] * 2
    first, second = (torch.tensor(lips) for lips in got["lips"])
    assert not torch.equal(first, second) and len(first) == 100
    assert_in_turn(first, second)
    nods = [torch.tensor(turned) for turned in got["nods"]]
    assert float(nods[0][60:].max()) > 1.0 > 1e-3 > float(nods[0][:45].max()), "nods while the other speaks"
    assert float(nods[1][:45].max()) > 1.0
    shown = pictures(Path(got["file"]))
    assert len(shown) == 100 and np.stack(shown).std() > 1
