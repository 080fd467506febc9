"""What is no face is said before rendering: black and faceless videos, portraits that stand on their heads."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.media.images import read_picture
from playmate_core.media.video_reader import Frame
from playmate_core.media.video_writer import VideoWriter
from playmate_core.rendering.face_checks import FaceSamples, upright_rotation
from playmate_core.rendering.portrait import FaceConfidence, FaceLimits, face_confidence, read_portrait
from playmate_core.rendering.source_image import read_source_portrait
from playmate_core.rendering.source_video import FaceVideoOptions, read_driving, read_source_video
from playmate_core.rendering.timed_motion import read_timed_motion
from playmate_core.weights.files import load_face
from playmate_core.weights.folders import bundled

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face(bundled("face.safetensors"))


@pytest.fixture(scope="module")
def portrait() -> Tensor:
    return read_picture(bundled("portrait.png"))


def pictures(kind: str, portrait: Tensor) -> Tensor:
    """Six pictures (n, H, W, 3)."""
    if kind == "face":
        return portrait[None].repeat(6, 1, 1, 1)
    if kind == "black":
        return torch.zeros(6, 256, 256, 3)
    if kind == "noise":
        return torch.rand(6, 256, 256, 3, generator=torch.Generator().manual_seed(0))
    across = torch.linspace(0, 1, 256)[None, :, None].expand(256, 256, 3)  # a wall in the sun
    return across[None].repeat(6, 1, 1, 1)


def video(path: Path, shown: Tensor) -> Path:
    with VideoWriter(path) as writer:
        writer.write(shown)
    return path


@pytest.mark.parametrize("kind", ["black", "noise", "wall", "face"])
def test_a_video_without_a_face_is_said(
    face: FaceModel, portrait: Tensor, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, options = video(tmp_path / "a.mp4", pictures(kind, portrait)), FaceVideoOptions(where="whole")
    frames = (Frame(picture, i / 25) for i, picture in enumerate(pictures(kind, portrait)))
    readers = (
        lambda: read_driving(face, path, options),
        lambda: read_source_video(face, path, options),
        lambda: read_timed_motion(face, frames, crop="whole"),
    )
    for read in readers:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            read()
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == (kind != "face"), said
        if said:
            seems = "one colour" if kind == "black" else "nothing that these weights take for a face"
            assert seems in said[0] and said[0].endswith("please check it.")


def test_a_face_that_comes_later_counts(face: FaceModel, portrait: Tensor, caplog: pytest.LogCaptureFixture) -> None:
    samples = FaceSamples()
    crops = [torch.zeros(64, 64, 3)] * 3 + [portrait] * 200
    assert sum(1 for _ in samples.of(crops)) == 203 and len(samples.kept) <= 9
    samples.warn_unless_face(face, "film")
    assert not caplog.records


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_portrait_on_its_head_or_side_is_said(
    face: FaceModel, portrait: Tensor, quarters: int, caplog: pytest.LogCaptureFixture
) -> None:
    turned = torch.rot90(portrait, quarters).contiguous()
    read = read_portrait(face, turned, "whole")
    assert upright_rotation(face, read, face_confidence(face, read)) == -90 * quarters % 360
    with caplog.at_level(logging.WARNING):
        read_source_portrait(face, turned, "whole", limits=FaceLimits(1e9, 1e9, -1e9, 1e9))
    assert (f"turn the picture by {-90 * quarters % 360} degrees" in caplog.text) == (quarters > 0)


@pytest.mark.parametrize(("quarters", "most"), [(0, 1), (1, 1), (2, 2), (3, 1)])
def test_only_what_reads_as_a_face_is_rendered(
    face: FaceModel, portrait: Tensor, quarters: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LivePortrait takes seconds for a frame: on its side the face is rendered upright only, unless it reads well."""
    rendered = count_rendered(monkeypatch)
    read_source_portrait(face, torch.rot90(portrait, quarters).contiguous(), "whole")
    assert len(rendered) == most


@pytest.mark.parametrize("kind", ["black", "noise", "wall"])
def test_what_does_not_read_as_a_face_is_never_rendered(
    face: FaceModel, portrait: Tensor, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = count_rendered(monkeypatch)
    read = read_source_portrait(face, pictures(kind, portrait)[0].contiguous(), "whole")
    assert not rendered and not read.portrait.familiar


def count_rendered(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """A list that gets one entry for each picture that a face model renders from now on."""
    rendered: list[Tensor] = []
    draw = FaceModel.draw

    def counted(self: FaceModel, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        rendered.extend(x_d)
        return draw(self, volume, x_s, x_d)

    monkeypatch.setattr(FaceModel, "draw", counted)
    return rendered


def test_what_is_no_face_either_way_is_not_turned(face: FaceModel) -> None:
    for image in (torch.zeros(256, 256, 3), torch.rand(256, 256, 3, generator=torch.Generator().manual_seed(1))):
        read = read_portrait(face, image, "whole")
        assert upright_rotation(face, read, face_confidence(face, read)) == 0
    doubtless = FaceConfidence(0.1, 0.001, 40.0, 0.01)
    assert upright_rotation(face, read, doubtless) == 0 and np.isfinite(doubtless.shift)
