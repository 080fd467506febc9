"""Ditto speaks through the command line, the core and the nodes, which draw the same frames, on miniature files."""

from __future__ import annotations

import json
import shutil
import wave
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoder_input import EncoderInput
from generator_models import talk_words, write_ditto, write_ditto_encoder
from liveportrait_files import miniature_models
from node_process import in_subprocess

from playmate_core.cli import main as cli
from playmate_core.cli import talk as talk_command
from playmate_core.diffusion.model_controls import ModelControls
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.face import FaceConfig
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines.models import Weights
from playmate_core.pipelines.talk import TalkRequest, talk
from playmate_core.weights.folders import SearchPaths
from playmate_core.weights.generators import find_generator

MODEL = "ditto_pytorch/models/lmdm_v0.4_hubert.pth"
NODES = """
import json, sys, cv2, torch, wave, numpy as np, node_session
from encoder_input import EncoderInput
from importlib import import_module
sys.path.insert(0, ".")  # onnxruntime stands there
s = node_session.Session()
room = import_module("custom_pack.playmate_core.weights.liveportrait")
room.FaceConfig = room.FaceConfig.tiny
picture = torch.from_numpy(cv2.imread("portrait.png")[..., ::-1].astype(np.float32) / 255)[None]
with wave.open("speech.wav") as file:
    samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    samples = samples.reshape(-1, file.getnchannels()).T.copy()
    audio = {"waveform": torch.from_numpy(samples)[None], "sample_rate": file.getframerate()}
encoded = EncoderInput(import_module("custom_pack.playmate_core.media.video_writer").VideoWriter)
face = s.run("LoadFaceModel", file="appearance_feature_extractor.safetensors")
ditto = "ditto_pytorch/models/lmdm_v0.4_hubert.pth"
models = s.run("LoadMotionModel", file=ditto)
boxed, talked = s.run("Talk", image=picture, audio=audio, face_model=face, motion_model=models, require_face=False)
in_one_box = encoded.taken()
crop, _ = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
heard, _, _ = s.run("EncodeAudio", audio=audio, motion_model=models)
given = dict(motion_model=models, portrait=portrait, speech=heard)
happy = s.run("Emotion", emotion="happy")
motion = s.run("SampleMotion", emotion=happy, **given)
still = s.run("SampleMotion", eyes="still", emotion_by="model", **given)
told = s.run("LoadMotionModel", file=ditto, conditioned_on="portrait")
video = s.run("RenderToVideo", face_model=face, portrait=portrait, motion=motion, audio=audio)
schema = s.nodes["LoadMotionModel"].define_schema().described()["input"]["required"]
eyes = [11, 13, 15, 16, 18]
print(json.dumps({
    "logits": list(portrait.details.angle_logits.shape), "listed": ditto in schema["file"][1]["options"],
    "boxed": in_one_box, "same": bool(torch.equal(talked.expression, motion.expression)), "staged": encoded.taken(),
    "still": float((still.expression - portrait.rest.expression)[:, eyes].abs().max()),
    "told": told.generator.settings.character, "demo": s.refused("SampleMotion", **{**given,
        "motion_model": s.run("LoadMotionModel"), "speech": s.run("EncodeAudio", audio=audio)[0], "eyes": "still"}),
    "bundled": s.refused("Talk", image=picture, audio=audio, motion_model=models, require_face=False),
}))
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with miniature files of LivePortrait and Ditto, and a stand-in of onnxruntime to import."""
    monkeypatch.setattr("playmate_core.weights.liveportrait.FaceConfig", FaceConfig.tiny)
    miniature_models(tmp_path, monkeypatch)
    write_ditto(tmp_path / "models" / "ditto")
    write_ditto_encoder(tmp_path / "models" / "ditto", tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "models"


def shown(path: Path | str) -> np.ndarray:
    return np.stack([frame.picture for frame in read_frames(path)])


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A voice-like tone at the encoder's own rate; tests/test_sample_rates.py has others."""
    at = np.arange(20960) / 16000
    tone = sum(np.sin(2 * np.pi * 130 * k * at) / k for k in range(1, 20)) * np.clip(
        np.sin(2 * np.pi * 4 * at), 0, None
    )
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.round(8000 * tone).astype("<i2").tobytes())
    return tmp_path / "speech.wav"


words_for = partial(talk_words, "ditto")


FACE = ("--face-weights", "liveportrait")


def test_all_doors_draw_the_same_frames(
    models: Path, tmp_path: Path, portrait_picture: Path, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[GenerationRequest] = []
    from playmate_core.diffusion.ditto.generator import DittoGenerator

    iterate = DittoGenerator.iterate

    def remember(self: Any, request: GenerationRequest, progress: Any = None) -> Any:
        requests.append(request)
        return iterate(self, request, progress)

    monkeypatch.setattr(DittoGenerator, "iterate", remember)
    encoded = EncoderInput(VideoWriter, monkeypatch.setattr)
    out, core = tmp_path / "out.mp4", tmp_path / "core.mp4"
    assert cli.main(words_for(models, portrait_picture, speech, out, *FACE, "--emotion", "happy")) == 0
    frames, expected = shown(out), encoded.taken()
    assert len(frames) >= 3 and frames.std() > 1
    details = requests[0].details
    assert details is not None and details.angle_logits is not None and details.angle_logits.shape == (1, 3, 66)

    weights = Weights(face=SearchPaths.below([models]).resolve(Path("liveportrait")), motion=find_generator("ditto"))
    request = TalkRequest(portrait_picture, speech, core, emotion="happy", weights=weights, crop="whole", limits=None)
    assert talk(request).frames == len(frames)
    assert encoded.taken() == expected

    shutil.copy(portrait_picture, tmp_path / "portrait.png")
    got = json.loads(in_subprocess(NODES, tmp_path).splitlines()[-1])
    assert got["logits"] == [1, 3, 66] and got["listed"] and got["same"]
    assert (got["boxed"], got["staged"]) == (expected, expected)
    assert got["still"] < 1e-6 and got["told"] is False
    assert "playmate has no control eyes" in got["demo"] and "playmate-demo keypoints" in got["bundled"]


def test_controls_reach_ditto_from_the_command_line(
    models: Path, tmp_path: Path, portrait_picture: Path, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[TalkRequest] = []
    monkeypatch.setattr(talk_command, "make", requests.append)
    out = tmp_path / "out.mp4"
    more = ("--eyes", "gaze", "--tilt", "-3", "--fade-in", "0.5", "--conditioned-on", "portrait")
    assert cli.main(words_for(models, portrait_picture, speech, out, *FACE, *more)) == 0
    assert requests[0].controls == ModelControls(eyes="gaze", tilt=-3.0, fade_in=0.5, conditioned_on="portrait")


def test_a_control_that_ditto_does_not_have_is_refused_before_anything_is_drawn(
    models: Path, tmp_path: Path, portrait_picture: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    words = words_for(models, portrait_picture, speech, out, *FACE, "--lead-frames", "0")
    assert cli.main(words) == cli.MISTAKE
    assert "ditto has no control lead_frames" in capsys.readouterr().err and not out.exists()


def test_ditto_on_the_bundled_face_or_without_its_encoder_is_refused_in_one_sentence(
    models: Path, tmp_path: Path, portrait_picture: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    assert cli.main(words_for(models, portrait_picture, speech, out)) == cli.MISTAKE
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "liveportrait keypoints" in said and "playmate-demo keypoints" in said and not out.exists()
    (models / "ditto/ditto_pytorch/aux_models/hubert_streaming_fix_kv.onnx").unlink()
    assert cli.main(words_for(models, portrait_picture, speech, out, *FACE)) == cli.MISTAKE
    said = capsys.readouterr().err.strip().splitlines()[-1]
    for fact in ("hubert_streaming_fix_kv.onnx", "1460.7 MB", "Apache-2.0", "https://", "models/ditto"):
        assert fact in said
    assert not out.exists()
