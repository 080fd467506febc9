"""JoyVASA and Ditto at their published size speak on LivePortrait's networks at theirs, all filled with random numbers.

``python -m pytest -m slow tests/test_generators_full_size.py``: some minutes and 1.2 GB of disk each. What is looked at
is what does not depend on training: that two seconds come out whole, at the right rate, moving, in bounded memory.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from full_size_models import write_models
from liveportrait_files import kijai

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.media.video_reader import read_frames, video_facts
from playmate_core.weights.folders import bundled

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
SECONDS = 2
#: Gigabytes that the whole job may take, PyTorch and every network included.
MOST_MEMORY = 5.0


@pytest.fixture
def models(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    kijai(FaceModel(FaceConfig()), tmp_path / "models" / "liveportrait")
    return tmp_path / "models"


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    with wave.open(str(bundled("speech.wav"))) as whole, wave.open(str(tmp_path / "two.wav"), "wb") as part:
        part.setparams(whole.getparams())
        part.writeframes(whole.readframes(SECONDS * whole.getframerate()))
    return tmp_path / "two.wav"


@pytest.mark.parametrize("name", ["joyvasa", "ditto"])
def test_two_seconds_on_full_size_networks(name: str, models: Path, speech: Path, tmp_path: Path) -> None:
    write_models(name, models, tmp_path)
    out = tmp_path / "out.mp4"
    words = [str(bundled("portrait.png")), str(speech), "-o", str(out), "--any-picture", "--crop", "whole"]
    words += ["--models", str(models), "--face-weights", "liveportrait", "--motion-weights", name, "--batch", "1"]
    paths = os.pathsep.join((str(ROOT), str(tmp_path)))  # a stand-in of onnxruntime lies in the latter
    run = [sys.executable, "-m", "playmate_core", "talk", *words]
    done = subprocess.run(run, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    facts = video_facts(out)
    frames = np.stack([frame.picture for frame in read_frames(out)]).astype(np.float32)
    assert facts.fps == 25 and frames.shape == (SECONDS * 25, 512, 512, 3)
    assert frames.std() > 1
    assert np.abs(np.diff(frames, axis=0)).mean((1, 2, 3)).max() > 0.05, "it moves"
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    sys.stdout.write(f"{name}: {used:.1f} GB\n{done.stdout}\n")
    assert used < MOST_MEMORY
