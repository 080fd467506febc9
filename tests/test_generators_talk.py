"""JoyVASA speaks through the command line, the core and the nodes, on miniature files in the published layouts."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generator_models import talk_words, write_joyvasa
from liveportrait_files import miniature_models
from node_process import in_subprocess

from playmate_core.cli import main as cli
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.face import FaceConfig
from playmate_core.media.video_reader import read_frames
from playmate_core.pipelines import talk
from playmate_core.speech.hubert_windows import WindowedHubert

NODES = """
import json, cv2, torch, wave, numpy as np, node_session
from importlib import import_module
s = node_session.Session()
room = import_module("custom_pack.playmate_core.weights.liveportrait")
room.FaceConfig = room.FaceConfig.tiny
picture = torch.from_numpy(cv2.imread("portrait.png")[..., ::-1].astype(np.float32) / 255)[None]
with wave.open("speech.wav") as file:
    samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    samples = samples.reshape(-1, file.getnchannels()).T.copy()
    audio = {"waveform": torch.from_numpy(samples)[None], "sample_rate": file.getframerate()}
face = s.run("LoadFaceModel", file="appearance_feature_extractor.safetensors")
joyvasa = "motion_generator/motion_generator_hubert_chinese.pt"
models = s.run("LoadMotionModel", file=joyvasa)
crop, _ = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
heard, _, _ = s.run("EncodeAudio", audio=audio, motion_model=models)
happy = s.run("Emotion", emotion="happy")
motion = s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, emotion=happy)
plain = s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard)
calm = s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, eye_movement=0.0)
boxed, _ = s.run("Talk", image=picture, audio=audio, face_model=face, motion_model=models, require_face=False)
schema = s.nodes["LoadMotionModel"].define_schema().described()["input"]["required"]
listed = schema["file"][1]["options"]
print(json.dumps({
    "frames": len(motion), "space": motion.keypoint_space, "listed": joyvasa in listed, "file": boxed.file,
    "emotion": float((motion.expression - plain.expression).abs().max()),
    "pose": float((motion.pose.rotation - plain.pose.rotation).abs().max()),
    "eyes": bool(torch.equal(calm.expression, plain.expression)),
    "alone": s.refused("SampleMotion", motion_model=models, portrait=portrait, speech=heard, emotion=happy,
                       emotion_by="model"),
    "demo": s.refused("Talk", image=picture, audio=audio, motion_model=models, require_face=False),
}))
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with miniature files of LivePortrait and JoyVASA."""
    monkeypatch.setattr("playmate_core.weights.liveportrait.FaceConfig", FaceConfig.tiny)
    miniature_models(tmp_path, monkeypatch)
    write_joyvasa(tmp_path / "models" / "joyvasa")
    return tmp_path / "models"


words_for = partial(talk_words, "joyvasa")


def test_the_command_line_speaks_with_joyvasa_as_it_was_published(
    models: Path, tmp_path: Path, portrait_picture: Path, speech_wave: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampled: list[SamplingOptions] = []
    sample = talk.sample_motion

    def remember(generator: Any, portrait: Any, audio: Any, emotion: Any, options: Any, **more: Any) -> Any:
        sampled.append(options)
        return sample(generator, portrait, audio, emotion, options, **more)

    monkeypatch.setattr(talk, "sample_motion", remember)
    out = tmp_path / "out.mp4"
    face = ("--face-weights", "liveportrait")
    assert cli.main(words_for(models, portrait_picture, speech_wave, out, *face)) == 0
    frames = np.stack([frame.picture for frame in read_frames(out)])
    assert len(frames) >= 3 and frames.std() > 1
    published = SamplingOptions()
    assert (sampled[0].sampler, sampled[0].steps) == ("ddpm", 50) and sampled[0].steps != published.steps
    same = ("--steps", str(published.steps), "--sampler", published.sampler)  # said, though it is the usual default
    assert cli.main(words_for(models, portrait_picture, speech_wave, out, *face, *same)) == 0
    assert (sampled[1].sampler, sampled[1].steps) == (published.sampler, published.steps)


def test_joyvasa_on_the_bundled_face_is_refused_in_one_sentence(
    models: Path, tmp_path: Path, portrait_picture: Path, speech_wave: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mp4"
    assert cli.main(words_for(models, portrait_picture, speech_wave, out)) == cli.MISTAKE
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "liveportrait keypoints" in said and "playmate-demo keypoints" in said and not out.exists()


@pytest.mark.parametrize("several", [False, True])
def test_an_emotion_that_joyvasa_cannot_show_is_refused_before_it_listens(
    several: bool,
    models: Path,
    tmp_path: Path,
    portrait_picture: Path,
    speech_wave: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Listening to an hour takes minutes. ``neutral`` and ``none`` pass."""
    monkeypatch.setattr(WindowedHubert, "listen", lambda *given: pytest.fail("it listened"))
    out = tmp_path / "out.mp4"
    words = words_for(models, portrait_picture, speech_wave, out, "--face-weights", "liveportrait")
    if several:
        words = ["dialogue", words[1], words[1], "--speech", words[2], words[2], *words[3:]]
    for told in ("happy", "0:neutral,0.02:sad@0.3"):
        assert cli.main([*words, "--emotion-by", "model", "--emotion", told]) == cli.MISTAKE
        assert "no emotion of its own" in capsys.readouterr().err.strip().splitlines()[-1] and not out.exists()
    for told in (["neutral"], ["none"], ["happy", "--intensity", "0"]):
        with pytest.raises(pytest.fail.Exception, match="it listened"):
            cli.main([*words, "--emotion-by", "model", "--emotion", *told])


def test_the_nodes_speak_with_joyvasa(models: Path, tmp_path: Path, portrait_picture: Path, speech_wave: Path) -> None:
    shutil.copy(portrait_picture, tmp_path / "portrait.png")
    shutil.copy(speech_wave, tmp_path / "speech.wav")
    got = json.loads(in_subprocess(NODES, tmp_path).splitlines()[-1])
    assert got["space"] == "liveportrait" and got["listed"] and got["eyes"], "no eye movement is added to its motion"
    assert len(list(read_frames(got["file"]))) == got["frames"] >= 3
    assert got["emotion"] > 1e-3 and got["pose"] == 0.0  # the layer shows it, and leaves the head alone
    assert "no emotion of its own" in got["alone"] and "playmate-demo keypoints" in got["demo"]
