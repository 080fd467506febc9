"""The one command for a GPU, in miniature on a processor: prepared, trained for a moment, stopped, gone on with."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.weights import files as weights
from training import device

SIDE = 128


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("shipped") / "face.safetensors"
    model = FaceModel(replace(FaceConfig.tiny(), spectral_norm=False))
    weights.save(model, path, license="Apache-2.0", data="none", training={})
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def command(out: Path, data: Path, shipped: Path, eye: Path, **more: object) -> list[str]:
    given = {"out": out, "corpus": data / "corpus", "init": shipped, "probe": eye, "side": SIDE, "sessions": 4}
    given |= {"frames": 3, "batch": 1, "precision": "no", "minutes": 0.05, "benchmark-minutes": 0, **more}
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


def step_of(out: Path) -> int:
    return int(torch.load(out / "face" / "state.pt", weights_only=True)["step"])


def test_what_was_prepared_is_trained_at_the_larger_size_and_a_stopped_run_goes_on(
    tmp_path: Path, data: Path, shipped: Path, eye: Path
) -> None:
    words = command(tmp_path, data, shipped, eye)
    with pytest.raises(UserError, match="--prepare"):
        device.main([*words, "--no-gpu"])
    assert device.main([*words, "--prepare"]) == 0
    (tmp_path / "steps.json").write_text(json.dumps({"steps": 4000}))
    assert device.main([*words, "--no-gpu"]) == 0
    first = step_of(tmp_path)
    assert device.main([*words, "--no-gpu"]) == 0
    assert 0 < first < step_of(tmp_path) < 4000, "the run goes on"
    before, after = weights.load_face(shipped), weights.load_face(tmp_path / "face" / "face.safetensors")
    assert (after.config.image_size, after.config.first_look) == (SIDE // 2, before.config.image_size)
    assert after.config.reading_size == before.config.reading_size
    old, new = before.state_dict(), after.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old if name.startswith("motion."))
    assert not all(torch.equal(old[name], new[name]) for name in old if name.startswith("generator."))
    image = torch.rand(1, 3, SIDE // 2, SIDE // 2)
    keypoints = torch.rand(1, 21, 3) - 0.5
    assert after.draw(after.appearance(image), keypoints, keypoints).shape[-1] == SIDE


def test_the_number_of_steps_is_measured_once_and_kept(tmp_path: Path, data: Path, shipped: Path, eye: Path) -> None:
    words = command(tmp_path, data, shipped, eye)
    device.main([*words, "--prepare"])
    assert device.main([*words, "--no-gpu"]) == 0
    kept = (tmp_path / "steps.json").read_text()
    assert json.loads(kept)["steps"] >= device.TIMED and json.loads(kept)["seconds_a_step"] > 0
    assert device.main([*words, "--no-gpu"]) == 0 and (tmp_path / "steps.json").read_text() == kept


def test_smaller_sessions_and_a_missing_gpu_are_refused(tmp_path: Path, data: Path, shipped: Path, eye: Path) -> None:
    device.main([*command(tmp_path, data, shipped, eye), "--prepare"])
    with pytest.raises(UserError, match="128 pixels wide, expected 256"):
        device.main([*command(tmp_path, data, shipped, eye, side=256), "--no-gpu"])
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no GPU"):
            device.main(command(tmp_path, data, shipped, eye))


def test_the_benchmark_has_its_own_process_and_its_own_minutes(
    tmp_path: Path, data: Path, shipped: Path, eye: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.main([*command(tmp_path, data, shipped, eye), "--prepare"])
    told: list[list[str]] = []

    def run(words: list[str], **how: object) -> subprocess.CompletedProcess[str]:
        told.append(words)
        return subprocess.CompletedProcess(words, 3)

    monkeypatch.setattr(subprocess, "run", run)
    words = command(tmp_path, data, shipped, eye, minutes=0, **{"benchmark-minutes": 4})
    assert device.main([*words, "--no-gpu", "--tiny"]) == 3
    assert told[0][1:5] == ["-m", "benchmarks.device", "--budget", "240.0"] and "--tiny" in told[0]
