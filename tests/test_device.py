"""Where the networks run and how they compute is checked before the slow part, and then so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from playmate_core.cli.main import main
from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines.animate import AnimateRequest, animate
from playmate_core.rendering import device
from playmate_core.rendering.device import AUTO, multiplies_bf16, require_device, to_device


@pytest.fixture(params=[True, False], ids=["has bf16", "has not"])
def able(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(device, "multiplies_bf16", lambda: request.param)
    return bool(request.param)


def test_what_a_processor_would_imitate_is_refused(able: bool) -> None:
    require_device("cpu")
    require_device("cpu", "fp32")
    with pytest.raises(UserError, match="does not multiply fp16.*please choose fp32 or bf16" if able else "fp32[.]$"):
        require_device("cpu", "fp16")
    if able:
        require_device("cpu", "bf16")
    else:
        with pytest.raises(UserError, match="does not multiply bf16"):
            require_device("cpu", "bf16")
    with pytest.raises(UserError, match="'nowhere' cannot be used here"):
        require_device("nowhere")


def test_only_the_trunks_take_the_precision() -> None:
    face = FaceModel(FaceConfig.tiny())
    assert to_device(face, "cpu", "bf16") is face
    kinds = {name: next(part.parameters()).dtype for name, part in face.named_children()}
    assert kinds["generator"] == kinds["warping"] == kinds["appearance"] == torch.bfloat16
    assert kinds["motion"] == torch.float32
    assert next(to_device(face, "cpu", AUTO).generator.parameters()).dtype == torch.float32
    assert isinstance(multiplies_bf16(), bool)


def test_a_video_in_half_precision(
    tiny_face: Path, portrait_picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the prepared form of half precision, which a processor without it computes too, only slowly."""
    with VideoWriter(tmp_path / "film.mp4") as video:
        video.write(torch.randint(0, 255, (3, 64, 64, 3), dtype=torch.uint8))
    monkeypatch.setattr(device, "multiplies_bf16", lambda: True)
    request = AnimateRequest(
        portrait_picture, tmp_path / "film.mp4", tmp_path / "out.mp4", weights=tiny_face, limits=None, precision="bf16"
    )
    assert animate(request).frames == 3 and request.output.is_file()


def test_the_command_line_refuses_it_in_one_sentence(
    portrait_picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = str(portrait_picture), str(tmp_path / "out.mp4")
    assert main(["animate", picture, picture, "-o", out, "--precision", "fp16"]) == 2
    assert "does not multiply fp16" in capsys.readouterr().err.splitlines()[-1]
