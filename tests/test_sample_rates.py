"""Speech at any sample rate is resampled in one place, so that every way in makes the same frames of it."""

from __future__ import annotations

import json
import shutil
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoder_input import EncoderInput
from generator_models import write_ditto, write_ditto_encoder, write_joyvasa
from liveportrait_files import miniature_models
from node_process import in_subprocess

from playmate_core.cli import main as cli
from playmate_core.diffusion.generate import joined
from playmate_core.face import FaceConfig
from playmate_core.media.audio_files import read_sound
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines import talk
from playmate_core.pipelines.stages import sample_motion
from playmate_core.speech import Resampler, resample
from playmate_core.values import Motion
from playmate_core.weights.folders import bundled

RATES = (22_050, 44_100)
GENERATORS = {
    "playmate": None,
    "joyvasa": "motion_generator/motion_generator_hubert_chinese.pt",
    "ditto": "ditto_pytorch/models/lmdm_v0.4_hubert.pth",
}
#: Talk in one box, for each of RATES.
NODES = """
import json, sys, cv2, torch, wave, numpy as np, node_session
from encoder_input import EncoderInput
from importlib import import_module
sys.path.insert(0, ".")  # onnxruntime stands there
s = node_session.Session()
encoded = EncoderInput(import_module("custom_pack.playmate_core.media.video_writer").VideoWriter)
if FILE:
    room = import_module("custom_pack.playmate_core.weights.liveportrait")
    room.FaceConfig = room.FaceConfig.tiny
picture = torch.from_numpy(cv2.imread("portrait.png")[..., ::-1].astype(np.float32) / 255)[None]
face = s.run("LoadFaceModel", **({"file": "appearance_feature_extractor.safetensors"} if FILE else {}))
models = s.run("LoadMotionModel", **({"file": FILE} if FILE else {}))
made = []
for rate in RATES:
    with wave.open(f"{rate}.wav") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        samples = samples.reshape(-1, file.getnchannels()).T.copy()
    audio = {"waveform": torch.from_numpy(samples)[None], "sample_rate": rate}
    told = {"face_model": face, "motion_model": models, "emotion": "neutral", "intensity": 1.0}
    boxed, motion = s.run("Talk", image=picture, audio=audio, require_face=False, **told)
    torch.save(torch.cat([motion.pose.rotation, motion.expression.flatten(1)], 1), f"{rate}.pt")
    made.append(encoded.taken())
print(json.dumps(made))
"""


def write_speech(path: Path, rate: int, seconds: float = 0.21) -> Path:
    """A voice-like sound of two channels, louder and softer, with overtones that every rate can hold."""
    at = np.arange(int(seconds * rate)) / rate
    voice = sum(np.sin(2 * np.pi * 130 * k * at) / k for k in range(1, 20)) * np.clip(np.sin(8 * np.pi * at), 0, None)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(np.stack([8000 * voice, 5000 * voice], 1)).astype("<i2").tobytes())
    return path


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portrait_picture: Path) -> Path:
    """A folder with a portrait, one speech at RATES, and miniature files of every public model."""
    miniature_models(tmp_path, monkeypatch)
    write_joyvasa(tmp_path / "models" / "joyvasa")
    write_ditto(tmp_path / "models" / "ditto")
    write_ditto_encoder(tmp_path / "models" / "ditto", tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    for rate in RATES:
        write_speech(tmp_path / f"{rate}.wav", rate)
    return tmp_path


def shown(path: Path | str) -> np.ndarray:
    return np.stack([frame.picture for frame in read_frames(Path(path))])


@pytest.mark.parametrize("name", GENERATORS)
def test_every_way_in_makes_the_same_frames_at_any_sample_rate(
    name: str, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portrait_picture: Path
) -> None:
    file, chosen = GENERATORS[name], []
    if file:
        monkeypatch.setattr("playmate_core.weights.liveportrait.FaceConfig", FaceConfig.tiny)
        chosen = ["--crop", "whole", "--face-weights", "liveportrait", "--motion-weights", name]
    sampled: list[Motion] = []

    def remember(*given: Any, **more: Any) -> Iterator[Motion]:
        sampled.append(joined(list(sample_motion(*given, **more))))
        return iter(sampled)

    monkeypatch.setattr(talk, "sample_motion", remember)
    shutil.copy(portrait_picture if file else bundled("portrait.png"), inputs / "portrait.png")
    made = json.loads(in_subprocess(f"FILE, RATES = {file!r}, {RATES}\n" + NODES, inputs).splitlines()[-1])
    encoded = EncoderInput(VideoWriter, monkeypatch.setattr)
    for rate, boxed in zip(RATES, made, strict=True):
        out = tmp_path / f"{rate}.mp4"
        words = ["talk", str(inputs / "portrait.png"), str(inputs / f"{rate}.wav"), "-o", str(out), "--any-picture"]
        assert cli.main([*words, "--emotion", "neutral", "--models", str(inputs / "models"), *chosen]) == 0
        expected = shown(out)
        assert len(expected) == 6 and expected.std() > 1 and encoded.taken() == boxed, rate
        motion = sampled.pop()  # small random networks draw hardly any of it
        numbers = torch.cat([motion.pose.rotation, motion.expression.flatten(1)], 1)
        assert len(numbers.unique(dim=0)) == 6 and torch.equal(torch.load(inputs / f"{rate}.pt"), numbers), rate


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_a_file_read_in_pieces_is_resampled_as_the_whole_waveform_is(rate: int, tmp_path: Path) -> None:
    path = write_speech(tmp_path / "a.wav", rate)
    read = read_sound(path)
    assert read.rate == 16_000 and np.array_equal(read.waveform, resample(read_sound(path, None).waveform, rate))


def test_the_resampler_does_not_depend_on_where_pieces_end() -> None:
    chance = np.random.default_rng(0)
    sound = chance.standard_normal(44_100).astype(np.float32)
    whole = resample(sound, 44_100)
    assert len(whole) == 16_000
    edges = np.sort(chance.integers(0, len(sound), 37))
    resampler = Resampler(44_100)
    pieces = [resampler.take(piece) for piece in np.split(sound, edges)]
    assert np.array_equal(np.concatenate([*pieces, resampler.finish()]), whole)
