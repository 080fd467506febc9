"""The command line, the core and the nodes make the same frames of the same inputs."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from encoder_input import EncoderInput
from liveportrait_files import kijai
from node_process import in_subprocess

from playmate_core.cli import main as cli
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines.models import Weights
from playmate_core.pipelines.pose_source import PoseSource
from playmate_core.pipelines.talk import TalkRequest, talk
from playmate_core.weights.folders import bundled

SECONDS = 0.6
#: Talk in one box, and Render To Video behind the single nodes.
NODES = """
import json, sys, cv2, torch, wave, numpy as np, node_session
from importlib import import_module
from encoder_input import EncoderInput
s = node_session.Session()
encoded = EncoderInput(import_module("custom_pack.playmate_core.media.video_writer").VideoWriter)
if LIVEPORTRAIT:
    room = import_module("custom_pack.playmate_core.weights.liveportrait")
    room.FaceConfig = room.FaceConfig.tiny
picture = torch.from_numpy(cv2.imread("portrait.png")[..., ::-1].astype(np.float32) / 255)[None]
with wave.open("speech.wav") as file:
    samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    audio = {"waveform": torch.from_numpy(samples)[None, None], "sample_rate": file.getframerate()}
choice = {"file": "appearance_feature_extractor.safetensors"} if LIVEPORTRAIT else {}
face, models = s.run("LoadFaceModel", **choice), s.run("LoadMotionModel")
crop, _ = s.run("CropPortrait", image=picture)
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
pose = {"pose": s.run("PoseStatic", portrait=portrait)} if STILL else {}
neutral = {"emotion": "neutral", "intensity": 1.0}
s.run("Talk", image=picture, audio=audio, face_model=face, require_face=False, **neutral, **pose)
boxed = encoded.taken()
heard, sound, _ = s.run("EncodeAudio", audio=audio)
emotion = s.run("Emotion", **neutral)
motion = s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, emotion=emotion)
if STILL:
    motion = s.run("ApplyPose", motion=motion, translation=True, scale=True, fit="bounce", **pose)
s.run("RenderToVideo", face_model=face, portrait=portrait, motion=motion, audio=sound)
print(json.dumps([boxed, encoded.taken()]))
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundled portrait and the beginning of the bundled speech, and miniature LivePortrait files."""
    folder = tmp_path_factory.mktemp("inputs")
    picture = cv2.imread(str(bundled("portrait.png")))
    cv2.imwrite(str(folder / "portrait.png"), picture)
    with wave.open(str(bundled("speech.wav"))) as whole, wave.open(str(folder / "speech.wav"), "wb") as part:
        part.setparams(whole.getparams())
        part.writeframes(whole.readframes(int(SECONDS * whole.getframerate())))
    torch.manual_seed(4)
    (folder / "models" / "liveportrait").mkdir(parents=True)
    kijai(FaceModel(FaceConfig.tiny()), folder / "models" / "liveportrait")
    return folder


def frames_of(path: Path | str) -> np.ndarray:
    return np.stack([frame.picture for frame in read_frames(Path(path))])


@pytest.mark.parametrize(
    ("liveportrait", "still"),
    [
        pytest.param(False, False, id="bundled-generated"),
        pytest.param(True, True, id="liveportrait-still"),
        pytest.param(False, True, id="bundled-still", marks=pytest.mark.slow),
        pytest.param(True, False, id="liveportrait-generated", marks=pytest.mark.slow),
    ],
)
def test_every_door_makes_the_same_frames(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, liveportrait: bool, still: bool
) -> None:
    monkeypatch.setattr("playmate_core.weights.liveportrait.FaceConfig", FaceConfig.tiny)
    weights = inputs / "models" / "liveportrait"
    words = ["talk", str(inputs / "portrait.png"), str(inputs / "speech.wav"), "-o", str(tmp_path / "cli.mp4")]
    words += ["--any-picture", *(["--face-weights", str(weights)] if liveportrait else [])]
    encoded = EncoderInput(VideoWriter, monkeypatch.setattr)
    assert cli.main([*words, *(["--pose", "still"] if still else [])]) == 0
    by_command = encoded.taken()
    request = TalkRequest(
        inputs / "portrait.png",
        inputs / "speech.wav",
        tmp_path / "core.mp4",
        pose=PoseSource("still") if still else PoseSource(),
        weights=Weights(face=weights if liveportrait else None),
        limits=None,
    )
    talk(request)
    by_core = encoded.taken()
    script = f"LIVEPORTRAIT, STILL = {liveportrait}, {still}\n" + NODES
    boxed, wired = json.loads(in_subprocess(script, inputs).splitlines()[-1])
    expected = frames_of(tmp_path / "core.mp4")
    assert len(expected) == round(SECONDS * 25)
    assert liveportrait or len(np.unique(expected.reshape(len(expected), -1), axis=0)) > 1
    assert (by_command, boxed, wired) == (by_core,) * 3
