"""A dialogue with the published generators, on miniature files in their layouts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from driven_videos import pictures
from generator_models import write_ditto, write_ditto_encoder, write_joyvasa
from liveportrait_files import miniature_models
from two_voices import LEFT, RIGHT, save

from playmate_core.cli import main as cli
from playmate_core.face import FaceConfig
from playmate_core.motion.lips_and_lids import lips_open
from playmate_core.pipelines import dialogue as room


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with miniature files of LivePortrait, JoyVASA and Ditto."""
    monkeypatch.setattr("playmate_core.weights.liveportrait.FaceConfig", FaceConfig.tiny)
    miniature_models(tmp_path, monkeypatch)
    write_joyvasa(tmp_path / "models" / "joyvasa")
    write_ditto(tmp_path / "models" / "ditto")
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    write_ditto_encoder(tmp_path / "models" / "ditto", runtime)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(str(runtime))
    return tmp_path / "models"


@pytest.mark.parametrize("generator", ["joyvasa", "ditto"])
def test_two_speak_and_listen_with_a_published_generator(
    models: Path, tmp_path: Path, portrait_picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, generator: str
) -> None:
    found: list[Any] = []
    whole = room.faces_job

    def noted(face: Any, faces: Any, *rest: Any) -> Any:
        found.extend(faces)
        return whole(face, faces, *rest)

    monkeypatch.setattr(room, "faces_job", noted)
    call = save(tmp_path / "call.wav", [LEFT, RIGHT])
    cv2.imwrite(str(tmp_path / "b.png"), cv2.flip(cv2.imread(str(portrait_picture)), 1))
    words = ["dialogue", str(portrait_picture), str(tmp_path / "b.png"), "--speech", str(call), "-o"]
    words += [str(tmp_path / "out.mp4"), "--any-picture", "--crop", "whole", "--models", str(models)]
    words += [
        "--face-weights",
        "liveportrait",
        "--motion-weights",
        generator,
        "--steps",
        "2",
        "--emotions",
        "happy",
        "sad",
    ]
    assert cli.main(words) == 0, capsys.readouterr().err
    shown = pictures(tmp_path / "out.mp4")
    assert len(shown) == 100 and np.stack(shown).std() > 1
    first, second = (one.motion for one in found)
    assert first.keypoint_space == second.keypoint_space == "liveportrait"
    assert not torch.equal(first.expression, second.expression), "each has a seed of its own"
    assert float(lips_open(first)[60:].max()) < 1e-5 < float(lips_open(first)[5:45].max())
    assert float(lips_open(second)[5:40].max()) < 1e-5 < float(lips_open(second)[55:95].max())
