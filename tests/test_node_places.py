"""Where the nodes look for files: ComfyUI's folders, with whatever extra_model_paths.yaml adds to them."""

from __future__ import annotations

import json
from pathlib import Path

from node_process import ROOT, in_subprocess

from playmate_core.weights.catalogue import LIVEPORTRAIT_HUMAN

DETECTORS = """
import json, sys, types
from pathlib import Path
import folder_paths
# What extra_model_paths.yaml does before any pack is imported.
for category in ("detection", "insightface", "liveportrait"):
    folder_paths.add_model_folder_path(category, str(Path("elsewhere") / category))
import node_session
s = node_session.Session()
for package in ("mediapipe", "insightface", "onnxruntime"):
    sys.modules[package] = types.ModuleType(package)  # installed, as far as anybody has looked
picture = s.run("DemoMedia", seconds=0.2)[0]
detectors = sys.modules["custom_pack.playmate_core.detection.detectors"]
said = {name: s.refused("CropPortrait", image=picture, crop=name) for name in detectors.DETECTORS}
found = {"before": detectors.available()}
buffalo = "insightface/models/buffalo_l"
for file in ("detection/face_landmarker.task", "liveportrait/landmark.onnx", f"{buffalo}/det_10g.onnx",
             f"{buffalo}/2d106det.onnx", "liveportrait/appearance_feature_extractor.safetensors"):
    path = Path("elsewhere") / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
found["after"] = detectors.available()
found["mesh"] = detectors.model_file(*detectors.MESH_MODEL).as_posix()
found["sets"] = sys.modules["custom_pack.nodes.files"].choices("face")[1:]
found["points"] = detectors.model_file(*detectors.LANDMARK_NET).as_posix()
said["part"] = s.refused("LoadFaceModel", file="appearance_feature_extractor.safetensors")
print(json.dumps({"said": said, "found": found}))
"""


def test_detectors_and_models_are_found_where_comfyui_looks(tmp_path: Path) -> None:
    told = json.loads(in_subprocess(DETECTORS, tmp_path).splitlines()[-1])
    assert "elsewhere/detection/face_landmarker.task" in told["said"]["mediapipe"]
    assert "elsewhere/insightface/models/buffalo_l/det_10g.onnx" in told["said"]["insightface"]
    part = told["said"]["part"].removeprefix("ValueError: ")
    for file in LIVEPORTRAIT_HUMAN.files[1:]:
        assert f"{file.name} ({file.size / 1e6:.1f} MB, SHA-256 {file.sha256[:12]}...)" in part
    assert part.endswith("Kijai/LivePortrait_safetensors (MIT (LivePortrait)) into elsewhere/liveportrait.")
    assert len(part) < 500
    assert told["found"] == {
        "before": [],
        "after": ["insightface", "mediapipe"],
        "mesh": "elsewhere/detection/face_landmarker.task",
        "points": "elsewhere/liveportrait/landmark.onnx",
        "sets": ["appearance_feature_extractor.safetensors"],
    }


OFFERED = """
import node_session
from importlib import import_module
from pathlib import Path
node_session.load_pack()
demo = import_module("custom_pack.nodes.demo")
demo.offer_inputs()  # no input folder: said in the log, no error
Path("input").mkdir(exist_ok=True)
Path("input/playmate_speech.wav").write_bytes(b"mine")
demo.offer_inputs()
print(*(f"{path.name}={path.stat().st_size}" for path in sorted(Path("input").iterdir())))
"""


def test_the_demo_files_are_offered_to_pickers_and_a_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    portrait = ROOT / "playmate_core" / "bundled" / "portrait.png"
    driving = portrait.with_name("driving.mp4").stat().st_size
    wanted = "playmate_dialogue.wav=335284 "
    wanted += f"playmate_driving.mp4={driving} playmate_portrait.png={portrait.stat().st_size} playmate_speech.wav=4"
    assert in_subprocess(OFFERED, tmp_path).split("\n")[-2] == wanted
