"""The nodes without ComfyUI: their descriptions against a real server's, and a whole graph on tiny models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from node_process import in_subprocess, install_models
from widget_values import is_time

from playmate_core.weights.catalogue import LIVEPORTRAIT_HUMAN, WAV2VEC2
from playmate_core.weights.folders import megabytes

ROOT = Path(__file__).resolve().parent.parent


RECORDED: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "nodes.json").read_text(encoding="utf-8"))


RELEASED: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "released_nodes.json").read_text(encoding="utf-8"))


WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


#: Widgets that name a time.
TIMES = {
    *("ApplyPose.fade", "DemoMedia.seconds", "EmotionOverTime.seconds", "EncodeAudio.start", "EncodeAudio.duration"),
    *("EncodeAudio.offset", "ExpressionEdit.fade_in", "ExpressionEdit.fade_out", "Gaze.fade", "Gaze.lead"),
    *("JoinMotions.fade", "Lips.end", "PoseFromCurves.seconds", "PoseProcedural.seconds", "SampleMotion.blink_seconds"),
    *("SampleMotion.fade_in", "SampleMotion.fade_out"),
}
#: Differs from machine to machine: what lies in the model folders.
FILE_CHOICES = {"file", "encoder", "emotion"}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    script = "import json, node_session as s\nprint(json.dumps(s.described(s.node_classes(s.load_pack()))))"
    return json.loads(in_subprocess(script, tmp_path_factory.mktemp("comfy")))


def test_nodes_are_what_a_real_server_was_told(described: dict[str, Any]) -> None:
    """tests/data/nodes.json is what ComfyUI itself says; the workflows, locales and help pages are made from it."""
    assert set(described) == set(RECORDED)
    for node, info in RECORDED.items():
        for field, value in described[node].items():
            assert _plain(value) == _plain(info[field]), f"{node}.{field}"


def test_widgets_and_outputs_are_only_ever_appended(described: dict[str, Any]) -> None:
    """Saved workflows hold values by position; released_nodes.json says which positions are taken."""
    for node, released in RELEASED.items():
        info = described[node]
        names = [n for group in ("required", "optional") for n in info["input_order"].get(group, [])]
        kinds = {n: spec[0] for group in info["input"].values() for n, spec in group.items()}
        widgets = [n for n in names if kinds[n] in WIDGETS]
        assert widgets[: len(released["widgets"])] == released["widgets"], node
        assert info["output"][: len(released["output"])] == released["output"], node


def test_every_widget_that_names_a_time_takes_seconds_minutes_or_frames(described: dict[str, Any]) -> None:
    """Text that is read as a time, and to which numbers may be linked: a number that was saved is still seconds."""
    times, said = set[str](), re.compile(r"\bseconds\b|how long", re.IGNORECASE)
    for node, info in described.items():
        for group in info["input"].values():
            for name, (kind, options) in group.items():
                tip = options["tooltip"]
                if is_time(options):
                    times.add(f"{node.removeprefix('Playmate')}.{name}")
                    assert "Seconds, m:ss or frames" in tip and kind == "STRING"
                    float(options["default"])
                elif kind in ("FLOAT", "INT"):
                    assert not said.search(tip), f"{node}.{name}"
    assert times == TIMES


def test_every_node_and_socket_is_explained(described: dict[str, Any]) -> None:
    for node, info in described.items():
        assert info["description"] and info["category"].startswith("Playmate"), node
        assert all(info["output_tooltips"]), node
        for group in info["input"].values():
            for name, (kind, options) in group.items():
                assert options.get("tooltip"), f"{node}.{name}"
                if kind in ("INT", "FLOAT"):
                    assert options["min"] <= options["default"] <= options["max"], f"{node}.{name}"


GRAPH = """
import json, torch, comfy.model_management as mm, comfy.utils, node_session
s = node_session.Session()
picture, speech, video = s.run("DemoMedia", seconds=0.44)
face = s.run("LoadFaceModel", file="face.safetensors")
models = s.run("LoadMotionModel")  # the bundled ones: an untrained emotion model changes nothing
crop, preview = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
heard, sound, seconds = s.run("EncodeAudio", audio=speech)
take = lambda **more: s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, steps=2, **more)
happy = take(emotion=s.run("Emotion"))
angry = take(emotion=s.run("Emotion", emotion="angry"))
again = take(emotion=s.run("Emotion"))
other = take(emotion=s.run("Emotion"), seed=1)
# One step: from the second on, the network sees the emotion in the face it has begun (docs/method.md 1.10).
glad, cross = (s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, steps=1,
                     emotion=s.run("Emotion", emotion=name)) for name in ("happy", "angry"))
blend = s.run("EmotionBlend", first=s.run("EmotionSchedule"), second=s.run("Emotion", emotion="sad"))
still = s.run("ApplyPose", motion=take(emotion=blend), pose=s.run("PoseStatic", portrait=portrait))
followed = s.run("PoseFromVideo", face_model=face, video=video, portrait=portrait, smooth=0.0)
keys = s.run("PoseKeyframes", portrait=portrait)
seen = s.run("PoseFromImage", face_model=face, image=picture)
chosen = s.run("PoseSwitch", choice=2, pose_1=followed, pose_2=keys)
moved = s.run("ApplyPose", motion=happy, pose=chosen, fit="hold", fade=0.2)
driven = s.run("MotionFromVideo", face_model=face, video=torch.rand(3, 48, 64, 3), portrait=portrait, crop="whole")
lips = s.run("ScaleMotion", motion=happy, portrait=portrait, eyes=0.0, expression=0.0, pose=0.0)
s.run("SaveMotion", motion=happy)
back = s.run("LoadMotion", file="motion/Playmate_00001_.safetensors [output]")
images, fps = s.run("Render", face_model=face, portrait=portrait, motion=still)
coarse = s.run("LoadFaceModel", file="face.safetensors", precision="bf16")
rough, _ = s.run("Render", face_model=coarse, portrait=portrait, motion=still)
whole, _ = s.run("PasteBack", portrait=portrait, images=images)
video = s.run("RenderToVideo", face_model=face, portrait=portrait, motion=moved, audio=sound)
shown = [preview for _, _, preview in comfy.utils.told if preview]
alone = s.run("Talk", image=picture, audio=speech, face_model=face, motion_model=models, pose=seen, require_face=False)
from importlib import import_module
facts = import_module("custom_pack.playmate_core.media.video_reader").video_facts
far = lambda a, b: float((a.expression - b.expression).abs().max())
print(json.dumps({
    "frames": [len(heard), len(happy), len(images), len(whole), facts(video.file).frames, facts(alone[0].file).frames],
    "sizes": [list(preview.shape), list(images.shape), list(whole.shape)],
    "seconds": seconds, "fps": fps, "previews": len(shown),
    "same": far(happy, again), "seed": far(happy, other), "emotion": far(happy, angry), "kept": far(happy, back),
    "head_by_emotion": float((glad.pose.rotation - cross.pose.rotation).abs().max()),
    "still": float((still.pose.rotation - portrait.rest.pose.rotation).abs().max()),
    "keys_end": float((moved.pose.rotation[-1] - keys.rotation[len(moved) - 1]).abs().max()),
    "lips_only": float((lips.pose.rotation - portrait.rest.pose.rotation).abs().max()),
    "followed": len(followed), "driven": len(driven), "driven_fps": driven.fps,
    "plot": list(s.run("PlotMotion", motion=happy, speech=heard).shape),
    "dots": list(s.run("PreviewKeypoints", portrait=portrait, motion=happy).shape),
    "loaded": len(mm.loaded) > 0, "rough": float((rough - images).abs().mean()), "kind": str(rough.dtype),
}))
"""


def test_a_graph_of_all_nodes_runs_on_tiny_models(tmp_path: Path, tiny_face: Path) -> None:
    install_models(tmp_path, tiny_face)
    got = json.loads(in_subprocess(GRAPH, tmp_path).splitlines()[-1])
    assert got["frames"] == [11] * 6
    assert got["sizes"][0] == [1, 512, 512, 3] and got["sizes"][2] == [11, 512, 512, 3]
    assert got["seconds"] == pytest.approx(0.44, abs=1e-3) and got["fps"] == 25.0
    assert got["same"] == 0.0 and got["seed"] > 1e-3 and got["emotion"] > 1e-3 and got["kept"] == 0.0
    assert got["head_by_emotion"] == 0.0, "in one step an emotion leaves the head alone"
    assert got["still"] < 1e-4 and got["lips_only"] < 1e-4 and got["keys_end"] < 1e-3
    assert got["followed"] == 75 and got["driven"] == 3 and got["driven_fps"] == 25.0
    assert got["plot"] == [1, 720, 1200, 3] and got["dots"] == [11, 256, 256, 3]
    assert got["previews"] > 5 and got["loaded"]
    assert 0 < got["rough"] < 0.02 and got["kind"] == "torch.float32", "half precision, on a processor too"


MISTAKES = """
import json, torch, node_session, comfy.model_management as mm
s = node_session.Session()
picture, speech, video = s.run("DemoMedia", seconds=0.2)
face = s.run("LoadFaceModel", file="face.safetensors")
alone = s.run("LoadMotionModel", file="motion.safetensors", emotion="none")
crop, _ = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
heard, sound, _ = s.run("EncodeAudio", audio=speech)
motion = s.run("SampleMotion", motion_model=alone, portrait=portrait, speech=heard, steps=1)
blank = {"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}
two = {"waveform": torch.zeros(2, 1, 800), "sample_rate": 16000}
happy = s.run("Emotion")
wide = torch.rand(1, 64, 256, 3)
said = {
    "kind": s.refused("LoadFaceModel", file="motion.safetensors"),
    "missing": s.refused("LoadMotionModel", file="gone.safetensors"),
    "encoder": s.refused("LoadAudioEncoder", encoder="gone.safetensors"),
    "known face": s.refused("LoadFaceModel", file="appearance_feature_extractor.safetensors"),
    "known encoder": s.refused("LoadAudioEncoder", encoder="wav2vec2-base-960h/model.safetensors"),
    "batch": s.refused("CropPortrait", image=torch.rand(3, 64, 64, 3)),
    "no detector": s.refused("CropPortrait", image=wide),
    "no face": s.refused("EncodePortrait", face_model=face, crop=s.run("CropPortrait", image=wide, crop="whole")[0]),
    "faint mask": s.refused("CropPortrait", image=wide, mask=torch.full((1, 64, 256), 0.2)),
    "mask size": s.refused("CropPortrait", image=wide, mask=torch.ones(1, 32, 32)),
    "long offset": s.refused("EncodeAudio", audio=speech, offset=-2.0),
    "landmarks": s.refused("CropPortrait", image=wide, landmarks={"frames": [[]], "image_size": (64, 64)}),
    "box": s.refused("CropPortrait", image=wide, box=[[{"x": 500, "y": 0, "width": 9, "height": 9}]]),
    "empty audio": s.refused("EncodeAudio", audio=blank),
    "two voices": s.refused("EncodeAudio", audio=two),
    "late": s.refused("EncodeAudio", audio=speech, start=9.0),
    "emotion": s.refused("SampleMotion", motion_model=alone, portrait=portrait, speech=heard, emotion=happy,
                         emotion_by="model"),
    "name": s.refused("Emotion", emotion="bored"),
    "schedule": s.refused("EmotionSchedule", schedule="0: happy\\nlater: sad"),
    "keys": s.refused("PoseKeyframes", keys="0: 1 2"),
    "sampler": s.refused("SampleMotion", motion_model=alone, portrait=portrait, speech=heard, sampler="magic"),
    "switch": s.refused("PoseSwitch", choice=3),
    "video rate": s.refused("MotionFromVideo", face_model=face, video=video, crop="whole", fps=30.0),
    "pose rate": s.refused("PoseFromVideo", face_model=face, video=video, crop="whole", fps=24.0),
    "outside": s.refused("RenderToVideo", face_model=face, portrait=portrait, motion=motion, filename_prefix="../x"),
    "motion file": s.refused("LoadMotion", file="../../etc/passwd [output]"),
}
mm.free = 1.0
said["memory"] = s.refused("Render", face_model=face, portrait=portrait, motion=motion)
mm.cancelled, mm.free = True, 64e9
said["cancel"] = s.refused("RenderToVideo", face_model=face, portrait=portrait, motion=motion)
mm.cancelled = False
from pathlib import Path
said["left behind"] = [p.name for p in Path("output").rglob("*") if p.is_file()]
print(json.dumps(said))
"""


def test_mistakes_are_answered_with_one_sentence(tmp_path: Path, tiny_face: Path, tiny_motion: Path) -> None:
    install_models(tmp_path, tiny_face, tiny_motion)
    said = json.loads(in_subprocess(MISTAKES, tmp_path).splitlines()[-1])
    assert said.pop("left behind") == [], "a cancelled video must leave nothing"
    assert said.pop("cancel").startswith("Interrupted")
    for told, file in (("known face", LIVEPORTRAIT_HUMAN.files[0]), ("known encoder", WAV2VEC2.files[0])):
        facts = (file.name, f"models/{file.folder}", file.url, megabytes(file.size), file.license)
        assert [fact for fact in facts if fact not in said[told]] == [], said[told]
    expected = {
        "known face": "3.4 MB",
        "known encoder": "Apache-2.0",
        "kind": "of kind motion",
        "missing": "gone.safetensors",
        "encoder": "audio_encoders",
        "batch": "3 pictures",
        "no detector": "no detector",
        "no face": "No face",
        "faint mask": "no face",
        "long offset": "longer than the 0.20 s",
        "mask size": "32 x 32",
        "landmarks": "found in a picture of 64 x 64 pixels, but this one has 256 x 64",
        "box": "outside",
        "empty audio": "empty",
        "two voices": "2 recordings",
        "late": "9 s",
        "emotion": "no emotion of its own",
        "name": "bored",
        "schedule": "later",
        "keys": "0: 1 2",
        "sampler": "magic",
        "switch": "pose_3",
        "video rate": "runs at 25 frames a second, but fps says 30",
        "pose rate": "fps says 24",
        "memory": "Render To Video",
        "outside": "output folder",
        "motion file": "Save Motion",
    }
    assert set(said) == set(expected)
    for case, words in expected.items():
        assert words in said[case], f"{case}: {said[case]}"
        assert said[case].startswith(("UserError", "ValueError")) and "\n" not in said[case], said[case]


WITHOUT = """
import sys, node_session
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cv2", "soxr", "av", "transformers", "insightface", "mediapipe"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import threading
s = node_session.Session()
assert threading.active_count() == 1 and not __import__("os").listdir(".")
s.run("EmotionBlend", first=s.run("Emotion"), second=s.run("EmotionSchedule"))
s.run("PoseKeyframes")
print(s.refused("DemoMedia"))
"""


def test_the_pack_loads_without_optional_packages_and_makes_nothing(tmp_path: Path) -> None:
    said = in_subprocess(WITHOUT, tmp_path).splitlines()[-1]
    assert "pip install" in said and said.startswith("UserError")


def _plain(value: Any) -> Any:
    """Without what lies in somebody's folders, and without what only newer servers say."""
    if isinstance(value, dict):
        return {
            k: _plain(_without_files(v) if k in FILE_CHOICES and isinstance(v, list) else v)
            for k, v in value.items()
            if k not in ("advanced",)
        }
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _without_files(spec: list[Any]) -> list[Any]:
    kind, options = spec
    return [kind, {k: v for k, v in options.items() if k != "options"}]
