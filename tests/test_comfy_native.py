"""On a real ComfyUI: what its own nodes make is taken, models lie where its yaml says, and freed models come back.

As test_comfy.py, whose graphs these are. What only newer servers have is skipped on older ones.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from comfy_graphs import graph, moved, node, only, refusal
from comfy_server import COMFY, PYTHON, ROOT, ComfyServer, Prompt
from conftest import FACTS
from mesh_models import mesh_at
from torch import Tensor

from playmate_core.detection.crop import CropOptions, cut
from playmate_core.detection.detect import Face, FaceSelection
from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser
from playmate_core.media.images import read_picture
from playmate_core.weights.files import save
from playmate_core.weights.folders import bundled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (COMFY and PYTHON), reason="COMFYUI_PATH and COMFYUI_PYTHON name no ComfyUI"),
]
POINTS = mesh_at(180.0, 150.0, 160.0)
EARS = "ears.safetensors"
HEARS = {"PlaymateLoadMotionModel.file": "hears.safetensors", "PlaymateLoadMotionModel.emotion": "none"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_face: Path, tiny_motion: Path, tiny_emotion: Path) -> Path:
    root = tmp_path_factory.mktemp("models")
    for folder in ("playmate", "audio_encoders", "detection"):
        (root / folder).mkdir()
    for path in (tiny_face, tiny_motion, tiny_emotion):
        shutil.copy(path, root / "playmate" / f"tiny_{path.name}")
    shutil.copy(tiny_face, root / "audio_encoders" / "face.safetensors")
    return root


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, tiny_face: Path) -> Path:
    """A folder that only extra_model_paths.yaml knows."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(tiny_face, folder / "far_face.safetensors")
    (folder / "paths.yaml").write_text(f"mine:\n  playmate: {folder}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def landmarker(models: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if not (Path(COMFY) / "comfy_extras" / "nodes_mediapipe.py").is_file():
        pytest.skip("this ComfyUI has no face landmarks of its own")
    points = tmp_path_factory.mktemp("points") / "points.npy"
    np.save(points, POINTS.numpy())
    words = [PYTHON, str(ROOT / "tests" / "comfy_landmarker.py"), points, models / "detection" / "one_face.safetensors"]
    subprocess.run(words, cwd=COMFY, check=True, timeout=600)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models: Path, elsewhere: Path) -> Iterator[ComfyServer]:
    flags = ("--extra-model-paths-config", str(elsewhere / "paths.yaml"))
    with ComfyServer(tmp_path_factory.mktemp("comfy"), models, *flags) as running:
        yield running


def wired(prompt: Prompt, kind: str, **inputs: Any) -> Prompt:
    prompt[node(prompt, kind)]["inputs"].update(inputs)
    return prompt


def test_after_free_the_same_is_made_again(server: ComfyServer) -> None:
    prompt = only(graph("talk"), "PlaymateSampleMotion", "freed")
    first = moved(server, prompt)
    server.get("/free", {"unload_models": True, "free_memory": True})
    assert server.run(idle()).status == "success"  # the server frees between two jobs, and says nothing of it
    again = server.run(prompt)
    assert {"PlaymateLoadFaceModel", "PlaymateLoadMotionModel", "PlaymateSampleMotion"} <= again.ran(prompt)
    prompt["save"]["inputs"]["filename_prefix"] = "motion/again"
    assert torch.equal(moved(server, prompt).expression, first.expression)


def test_a_model_is_found_where_the_yaml_says(server: ComfyServer) -> None:
    far = {"PlaymateLoadFaceModel.file": "far_face.safetensors"}
    assert len(moved(server, only(graph("talk", far), "PlaymateSampleMotion", "far"))) == 10


def test_the_cores_audio_encoder_is_heard(server: ComfyServer, models: Path) -> None:
    """Through its own loader as through ours; a file of another kind is answered with a sentence."""
    random_ears(models / "audio_encoders" / EARS)
    config = replace(MotionConfig.tiny(), audio_encoder="wav2vec2", audio_layers=12, audio_width=1536)
    save(MotionDenoiser(config), models / "playmate" / "hears.safetensors", audio="wav2vec2", **FACTS)
    loaders = {
        "AudioEncoderLoader": {"audio_encoder_name": EARS},
        "PlaymateLoadAudioEncoder": {"encoder": EARS},
    }
    takes = []
    for loader, inputs in loaders.items():
        heard = graph("talk", {**HEARS, "PlaymateEmotion.emotion": "none"})
        heard["ears"] = {"class_type": loader, "inputs": inputs}
        heard = wired(heard, "PlaymateEncodeAudio", audio_encoder=["ears", 0])
        takes.append(moved(server, only(heard, "PlaymateSampleMotion", loader)).expression)
    assert torch.equal(takes[0], takes[1]) and bool(takes[0].isfinite().all())
    deaf = graph("talk")
    deaf["ears"] = {"class_type": "PlaymateLoadAudioEncoder", "inputs": {"encoder": "face.safetensors"}}
    deaf = wired(deaf, "PlaymateEncodeAudio", audio_encoder=["ears", 0])
    assert "no audio encoder" in refusal(server.run(deaf), "PlaymateLoadAudioEncoder")


def test_the_cores_bounding_box_is_taken(server: ComfyServer) -> None:
    if "PrimitiveBoundingBox" not in server.get("/object_info"):
        pytest.skip("this ComfyUI has no bounding boxes of its own")
    box = {"x": 180, "y": 150, "width": 150, "height": 170}
    shown = preview(server, box={"class_type": "PrimitiveBoundingBox", "inputs": box})
    assert_same(shown, Face((180.0, 150.0, 330.0, 320.0)))


def test_the_cores_landmarks_are_taken(server: ComfyServer, landmarker: None) -> None:
    names = {"model_name": "one_face.safetensors"}
    finder = {"class_type": "LoadMediaPipeFaceLandmarker", "inputs": names}
    options = {"detector_variant": "short", "num_faces": 1, "min_confidence": 0.1, "missing_frame_fallback": "empty"}
    found = {
        "class_type": "MediaPipeFaceLandmarker",
        "inputs": {"face_detection_model": ["finder", 0], "image": ["1", 0], **options},
    }
    assert_same(preview(server, finder=finder, landmarks=found), Face.of(POINTS))
    boxed = preview(server, finder=finder, found=found, box=["found", 1])
    assert_same(boxed, Face(Face.of(POINTS).box))


def idle() -> Prompt:
    """A job that uses no model."""
    media = {"class_type": "PlaymateDemoMedia", "inputs": {"seconds": 0.2}}
    return {"1": media, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}


def preview(server: ComfyServer, **made: Any) -> Tensor:
    """The crop of the bundled portrait that Crop Portrait shows; ``made`` are nodes, and wires by its inputs' names."""
    prompt: Prompt = {"1": {"class_type": "PlaymateDemoMedia", "inputs": {"seconds": 0.2}}, **made}
    prompt = {key: entry for key, entry in prompt.items() if isinstance(entry, dict)}
    wires = {key: made[key] if isinstance(made[key], list) else [key, 0] for key in ("box", "landmarks") if key in made}
    crop = graph("talk")[node(graph("talk"), "PlaymateCropPortrait")]["inputs"]
    prompt["crop"] = {"class_type": "PlaymateCropPortrait", "inputs": {**crop, "image": ["1", 0], **wires}}
    prompt["save"] = {"class_type": "SaveImage", "inputs": {"images": ["crop", 1], "filename_prefix": "crops/crop"}}
    ended = server.run(prompt)
    assert ended.status == "success", ended
    picture = cv2.imread(str(server.saved(ended, ".png")))
    assert picture is not None
    return torch.from_numpy(picture[..., ::-1].astype(np.float32) / 255)


def assert_same(shown: Tensor, face: Face) -> None:
    """Within what eight bits and single precision leave of a picture."""
    picture = read_picture(bundled("portrait.png"))
    wanted = cut(picture, FaceSelection(face).crop_to_image(512, 512, 512, CropOptions()), 512)
    assert float((shown - wanted).abs().mean()) < 2 / 255
    assert float((shown - cut(picture, FaceSelection(None).crop_to_image(512, 512, 512), 512)).abs().mean()) > 10 / 255


def random_ears(path: Path) -> None:
    """wav2vec2 base with random weights, as published: under its own names, in half precision."""
    from safetensors.torch import save_file
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    weights = Wav2Vec2Model(Wav2Vec2Config()).half().state_dict()
    save_file({key: value.contiguous() for key, value in weights.items()}, path)


def test_the_cores_blend_shapes_become_motion(server: ComfyServer, landmarker: None) -> None:
    prompt = graph("talk")
    who, picture = node(prompt, "PlaymateEncodePortrait"), node(prompt, "LoadImage")
    options = {"detector_variant": "short", "num_faces": 1, "min_confidence": 0.1, "missing_frame_fallback": "empty"}
    prompt["finder"] = {"class_type": "LoadMediaPipeFaceLandmarker", "inputs": {"model_name": "one_face.safetensors"}}
    faces = {"face_detection_model": ["finder", 0], "image": [picture, 0], **options}
    prompt["found"] = {"class_type": "MediaPipeFaceLandmarker", "inputs": faces}
    acting = {"landmarks": ["found", 0], "portrait": [who, 0], "fps": 25.0, "face": 0, "head": "absolute"}
    prompt["acted"] = {"class_type": "PlaymateMotionFromLandmarks", "inputs": acting}
    motion = moved(server, only(prompt, "PlaymateMotionFromLandmarks", "acted"))
    assert len(motion) == 1 and bool(motion.expression.isfinite().all()) and bool(motion.pose.rotation.isfinite().all())
