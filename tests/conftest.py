"""A whole system in miniature: random tiny weights, a drawn face and something that sounds like speech."""

from __future__ import annotations

import os
import shutil
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.host import HOST
from playmate_core.weights.files import load_motion, save

if TYPE_CHECKING:
    from comfy_server import ComfyServer

    from training.data import Sessions

# How long an example takes says how busy the machine is, and nothing about what is tested.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
# Which profile is chosen must not depend on how fast this machine is, nor must tests write to a home.
os.environ["PLAYMATE_TRIALS"] = "0"
FACTS = {"license": "Apache-2.0", "data": "none: random numbers", "training": {"step": 0}}
SPEECH_SECONDS = 1.31
SPEECH_RATE = 22050


@pytest.fixture(autouse=True)
def no_host() -> Iterator[None]:
    """What one test's command line told the process, its ``--models`` for one, is nothing to the next."""
    yield
    HOST.reset()


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for what the whole run shares; tests only read from it."""
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture(scope="session")
def tiny_face(workshop: Path) -> Path:
    """A face checkpoint of random numbers."""
    torch.manual_seed(1)
    path = workshop / "face.safetensors"
    save(FaceModel(FaceConfig.tiny()), path, **FACTS)
    return path


@pytest.fixture(scope="session")
def tiny_motion(workshop: Path) -> Path:
    """A motion checkpoint of random numbers that listens to log-mel."""
    from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser

    torch.manual_seed(2)
    path = workshop / "motion.safetensors"
    save(MotionDenoiser(MotionConfig.tiny()), path, audio="logmel", **FACTS)
    return path


@pytest.fixture(scope="session")
def tiny_emotion(workshop: Path, tiny_motion: Path) -> Path:
    """An emotion checkpoint of random numbers for ``tiny_motion``."""
    from playmate_core.diffusion.emotion import EmotionConfig, EmotionController

    torch.manual_seed(3)
    path = workshop / "emotion.safetensors"
    base = load_motion(tiny_motion)
    save(EmotionController(EmotionConfig.tiny()), path, base=base, **FACTS)
    return path


@pytest.fixture(scope="session")
def tiny_weights(tiny_face: Path, tiny_motion: Path, tiny_emotion: Path) -> list[str]:
    """The flags of `talk` for these three."""
    named = {"--face-weights": tiny_face, "--motion-weights": tiny_motion, "--emotion-weights": tiny_emotion}
    return [word for flag, path in named.items() for word in (flag, str(path))]


@pytest.fixture(scope="session")
def portrait_picture(workshop: Path) -> Path:
    """A face of ellipses, 96 x 96."""
    picture = np.full((96, 96, 3), (190, 170, 150), np.uint8)
    cv2.ellipse(picture, (48, 50), (26, 34), 0, 0, 360, (140, 170, 225), -1, cv2.LINE_AA)
    for x in (38, 58):
        cv2.ellipse(picture, (x, 44), (6, 3), 0, 0, 360, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, (x, 44), 3, (60, 40, 30), -1, cv2.LINE_AA)
    cv2.ellipse(picture, (48, 68), (10, 4), 0, 0, 360, (70, 70, 180), -1, cv2.LINE_AA)
    path = workshop / "portrait.png"
    cv2.imwrite(str(path), picture)
    return path


@pytest.fixture(scope="session")
def speech_wave(workshop: Path) -> Path:
    """Syllables of a buzzing voice and a pause, stereo, 22.05 kHz: 1.31 s, so 33 frames, the last one not full."""
    time = np.arange(round(SPEECH_SECONDS * SPEECH_RATE)) / SPEECH_RATE
    voice = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0, None) * ((time < 0.7) | (time > 1.0))
    samples = np.round(8000 * voice * syllables).clip(-32767, 32767).astype("<i2")
    path = workshop / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        file.writeframes(np.stack([samples, samples], 1).tobytes())
    return path


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five sessions of six small pictures: enough to wire the face stages."""
    from training.corpus import CorpusConfig, make_corpus

    root = tmp_path_factory.mktemp("corpus")
    make_corpus(CorpusConfig(out=str(root), clips=0, sessions=5, frames_per_session=6, size=64, workers=1))
    return root


@pytest.fixture(scope="session")
def sessions(corpus: Path) -> Sessions:
    from training.data import Sessions

    return Sessions(corpus, "train")


@pytest.fixture(scope="session")
def eye(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe of random numbers: any fixed network will do to see how the loss is wired. It is no VGG19."""
    from training.probe import Probe, ProbeConfig, save_probe

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("eye") / "probe.safetensors"
    save_probe(Probe(ProbeConfig(size=32, widths=(4, 8), embedding=6)), path)
    return path


@pytest.fixture(scope="session")
def comfy_models(
    tmp_path_factory: pytest.TempPathFactory, tiny_face: Path, tiny_motion: Path, tiny_emotion: Path
) -> Path:
    """A models folder for a real ComfyUI with the three tiny files in it."""
    folder = tmp_path_factory.mktemp("models") / "playmate"
    folder.mkdir()
    for path in (tiny_face, tiny_motion, tiny_emotion):
        shutil.copy(path, folder / f"tiny_{path.name}")
    return folder.parent


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory, comfy_models: Path) -> Iterator[ComfyServer]:
    """A real ComfyUI with this pack; only for tests that skip where there is none."""
    from comfy_server import ComfyServer

    with ComfyServer(tmp_path_factory.mktemp("comfy"), comfy_models) as running:
        yield running
