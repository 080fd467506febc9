"""Memory that runs out, pictures that half precision spoils, wherever faces are drawn: all frames come nonetheless."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from float_frames import render_float
from source_videos import draw_source_video
from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.host import HOST
from playmate_core.media.images import read_picture
from playmate_core.media.video_writer import VideoWriter
from playmate_core.rendering.fallback import has_invalid_picture, out_of_memory
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.render import RenderOptions
from playmate_core.rendering.source_video import FaceVideoOptions, read_source_video
from playmate_core.values import Motion, Pose
from playmate_core.weights.files import load_face

FRAMES = 13
#: Draws all frames with a face, some at once.
Way = Callable[[FaceModel, int], list[Tensor]]


@pytest.fixture
def face(tiny_face: Path) -> Iterator[FaceModel]:
    yield load_face(tiny_face)


def shaken(frames: int) -> Motion:
    turns = torch.randn(frames, 3, generator=torch.Generator().manual_seed(3)) * 5
    return Motion(Pose(turns, torch.zeros(frames, 3), torch.ones(frames, 1)), torch.zeros(frames, 21, 3))


@pytest.fixture(params=["portrait", "film"])
def way(request: pytest.FixtureRequest, tiny_face: Path, portrait_picture: Path, tmp_path: Path) -> Way:
    """A still portrait, and a video of somebody, that a motion drives; both as float pictures or bytes."""
    reader = load_face(tiny_face)
    image = read_picture(portrait_picture)
    if request.param == "portrait":
        portrait = read_portrait(reader, image, "whole")

        def drawn(face: FaceModel, batch: int) -> list[Tensor]:
            options = RenderOptions(batch=batch, profile="plain")
            return [pictures * 255 for pictures in render_float(face, portrait, shaken(FRAMES), options)]

        return drawn
    with VideoWriter(tmp_path / "film.mp4") as video:
        for i in range(FRAMES):
            video.write(image.roll(i % 3, 1)[None])
    source_video = read_source_video(reader, tmp_path / "film.mp4", FaceVideoOptions(where="whole"))
    x_s = source_video.keypoints
    x_d = x_s + 0.1 * torch.randn(FRAMES, 21, 3, generator=torch.Generator().manual_seed(4))
    return lambda face, batch: [
        p.float() for p in draw_source_video(face, source_video, x_s, x_d, batch, profile="plain")
    ]


def drawing_by(face: FaceModel, draw: Callable[..., Tensor]) -> FaceModel:
    """The face model, whose copies too draw by ``draw(self, volume, x_s, x_d)``."""
    face.__class__ = type("Failing", (FaceModel,), {"draw": draw})
    return face


def test_running_out_of_memory_halves_the_batch(face: FaceModel, way: Way, caplog: pytest.LogCaptureFixture) -> None:
    whole, asked = torch.cat(way(face, 2)), list[int]()

    def small(self: Any, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        asked.append(len(x_d))
        if len(x_d) > 3:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return FaceModel.draw(self, volume, x_s, x_d)

    with caplog.at_level(logging.WARNING):
        batches = way(drawing_by(face, small), 8)
    assert asked == [8, 4, 2, 2, 2, 2, 2, 2, 1] and [len(b) for b in batches] == [2] * 6 + [1]
    torch.testing.assert_close(torch.cat(batches), whole, atol=1.0, rtol=0)
    assert [record.levelname for record in caplog.records] == ["WARNING"] and "8" not in caplog.text.split()


def test_what_does_not_fit_at_all_is_told(face: FaceModel, way: Way) -> None:
    def never(self: Any, *_: Tensor) -> Tensor:
        raise MemoryError

    with pytest.raises(MemoryError):
        way(drawing_by(face, never), 8)


@pytest.mark.parametrize("flaw", [0.0, float("nan"), float("inf")])
def test_spoilt_half_precision_is_drawn_again(
    face: FaceModel, way: Way, caplog: pytest.LogCaptureFixture, flaw: float
) -> None:
    # With weights that half precision holds, what is drawn again is what the full precision draws.
    wanted = torch.cat(way(face.set_compute_dtype(torch.bfloat16).set_compute_dtype(torch.float32), 3))

    def spoiling(self: Any, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        pictures = FaceModel.draw(self, volume, x_s, x_d)
        if next(self.generator.parameters()).dtype == torch.bfloat16:
            pictures[-1] = flaw
        return pictures

    with caplog.at_level(logging.WARNING):
        got = torch.cat(way(drawing_by(face.set_compute_dtype(torch.bfloat16), spoiling), 3))
    torch.testing.assert_close(got, wanted, atol=1e-3, rtol=0)
    assert np.isfinite(got.numpy()).all() and len(caplog.records) == 1 and "float32" in caplog.text


def test_good_pictures_and_other_failures_are_not_taken_for_it() -> None:
    assert not has_invalid_picture(torch.full((2, 3, 4, 4), 0.2))
    assert out_of_memory(MemoryError()) and out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate"))
    assert not out_of_memory(RuntimeError("shape mismatch"))


def test_a_host_knows_further_kinds_of_running_out_and_makes_room(face: FaceModel, way: Way) -> None:
    class Full(Exception):
        """What only the host understands."""

    asked, rooms = list[int](), list[int]()

    def small(self: Any, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        asked.append(len(x_d))
        if len(x_d) > 7:
            raise Full
        return FaceModel.draw(self, volume, x_s, x_d)

    with pytest.raises(Full):
        way(drawing_by(face, small), 8)
    HOST.set_memory_hooks(lambda problem: isinstance(problem, Full), lambda: rooms.append(asked[-1]))
    try:
        batches = way(face, 8)
    finally:
        HOST.reset()
    assert rooms == [8] and sum(len(batch) for batch in batches) == FRAMES
