"""`playmate talk` on LivePortrait's networks: the head of the bundled motion model carries over, its face does not."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from liveportrait_files import kijai

from playmate_core.cli import main as cli
from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.keypoint_space import LIVEPORTRAIT
from playmate_core.rendering import write_video as video
from playmate_core.values import Motion, Portrait
from playmate_core.weights.files import save


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with LivePortrait's five files, of miniature networks."""
    monkeypatch.setattr("playmate_core.weights.liveportrait.FaceConfig", FaceConfig.tiny)
    torch.manual_seed(4)
    kijai(FaceModel(FaceConfig.tiny()), tmp_path / "models/liveportrait")
    return tmp_path / "models"


def test_a_liveportrait_folder_moves_the_head_and_keeps_the_face(
    models: Path,
    portrait_picture: Path,
    speech_wave: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    drawn: list[tuple[Portrait, Motion]] = []
    render = video.render

    def remember(face, portrait, motion, *rest):
        drawn.append((portrait, motion))
        return render(face, portrait, motion, *rest)

    monkeypatch.setattr(video, "render", remember)
    words = ["talk", str(portrait_picture), str(speech_wave), "-o", str(tmp_path / "out.mp4"), "--steps", "2"]
    words += ["--emotion", "none", "--any-picture", "--models", str(models), "--face-weights", "liveportrait"]
    with caplog.at_level(logging.WARNING):
        assert cli.main(words) == 0
    assert "the face keeps the portrait's expression" in caplog.text
    portrait, motion = drawn[1]  # the first frame is drawn alone
    assert torch.equal(motion.expression, portrait.rest.expression.expand_as(motion.expression))
    assert float(motion.pose.rotation.std(0).max()) > 0.1
    assert (tmp_path / "out.mp4").stat().st_size > 1000

    caplog.clear()
    drawn.clear()
    torch.manual_seed(5)
    theirs = tmp_path / "theirs.safetensors"
    config = replace(MotionConfig.tiny(), keypoint_space=LIVEPORTRAIT)
    save(MotionDenoiser(config), theirs, audio="logmel", license="none", data="noise", training={})
    with caplog.at_level(logging.WARNING):
        assert cli.main([*words, "--motion-weights", str(theirs)]) == 0
    assert "keypoints" not in caplog.text
    assert float(drawn[1][1].expression.std(0).max()) > 0
