"""A changed motion: only the parts whose frames changed are rendered again, to the frames of a full render."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from portrait_videos import motion, plenty_of_memory
from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.keypoint_space import PLAYMATE_DEMO
from playmate_core.media.images import read_picture
from playmate_core.media.video_reader import read_frames
from playmate_core.motion.expression_edit import ExpressionEdit, expression_edit
from playmate_core.rendering.fallback import FallbackRenderer
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.render import RenderOptions
from playmate_core.rendering.segments import RenderJob, VideoOutput, write_video
from playmate_core.rendering.write_video import portrait_job
from playmate_core.values import Motion, Portrait
from playmate_core.weights.files import load_face

#: A small part, so that six of them are few frames.
PART = 25


@pytest.fixture(scope="module")
def face(tiny_face: Path) -> FaceModel:
    return load_face(tiny_face)


@pytest.fixture(scope="module")
def portrait(face: FaceModel, portrait_picture: Path) -> Portrait:
    return read_portrait(face, read_picture(portrait_picture), "whole")


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small parts; one thread, one arrangement of the networks: equal inputs give equal bits."""
    monkeypatch.setattr("playmate_core.rendering.segments.PART", PART)
    monkeypatch.setattr(psutil, "virtual_memory", plenty_of_memory)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def counted(job: RenderJob) -> tuple[RenderJob, list[int]]:
    """``job``, and the numbers of the frames that are drawn of it."""
    drawn: list[int] = []

    def draw(renderer: FallbackRenderer, start: int, stop: int, progress: object) -> Iterator[Tensor]:
        drawn.extend(range(start, stop))
        yield from job.draw(renderer, start, stop, progress)  # type: ignore[arg-type]

    return replace(job, draw=draw), drawn


def frames_of(path: Path) -> np.ndarray:
    return np.stack([frame.picture for frame in read_frames(path)])


def keyed(whole: Motion, begin: float, end: float) -> Motion:
    """A smile over a range of seconds, faded inside it."""
    return expression_edit(
        replace(whole, keypoint_space=PLAYMATE_DEMO), [ExpressionEdit((("smile", 0.8),), begin, end)]
    )


def test_one_key_renders_one_part_again(tmp_path: Path, face: FaceModel, portrait: Portrait) -> None:
    first, parts, how = motion(6 * PART), tmp_path / "parts", RenderOptions(batch=2)
    whole, drawn = counted(portrait_job(face, portrait, first, how))
    write_video(whole, VideoOutput(tmp_path / "first.mp4", parts=parts))
    assert drawn == list(range(6 * PART)) and len(list(parts.glob("*.mp4"))) == 6

    changed = keyed(first, 4.1, 4.5)
    assert not torch.equal(changed.expression[107], first.expression[107])
    job, drawn = counted(portrait_job(face, portrait, changed, how))
    told: list[int] = []
    write_video(job, VideoOutput(tmp_path / "second.mp4", parts=parts), lambda done, _: told.append(done))
    assert drawn == list(range(100, 125)), "the part of 4 to 5 s, and nothing else"
    assert told[:4] == [25, 50, 75, 100] and told[-1] == 150 and told == sorted(told)
    write_video(portrait_job(face, portrait, changed, how), VideoOutput(tmp_path / "full.mp4"))
    assert np.array_equal(frames_of(tmp_path / "second.mp4"), frames_of(tmp_path / "full.mp4"))
    assert len(list(parts.glob("*.mp4"))) == 6, "no part of the first video is left over"

    job, drawn = counted(portrait_job(face, portrait, changed, how))
    write_video(job, VideoOutput(tmp_path / "again.mp4", parts=parts))
    assert not drawn


def test_what_touches_every_frame_renders_everything(
    tmp_path: Path, face: FaceModel, portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("playmate_core.rendering.segments.PART", 10)
    first, parts = motion(40), tmp_path / "parts"

    def render(moved: Motion, how: RenderOptions) -> list[int]:
        job, drawn = counted(portrait_job(face, portrait, moved, how))
        write_video(job, VideoOutput(tmp_path / "a.mp4", parts=parts))
        return drawn

    relative = RenderOptions("relative", batch=2)
    assert len(render(first, relative)) == 40
    start = first.expression.clone()
    start[0, 3] += 0.05
    assert len(render(replace(first, expression=start), relative)) == 40, "all frames are relative to the first"
    assert len(render(first, RenderOptions("absolute", batch=2))) == 40
    later = first.expression.clone()
    later[39, 3] += 0.05
    assert render(replace(first, expression=later), RenderOptions("absolute", batch=2)) == list(range(30, 40))
    assert render(first[:25], RenderOptions("absolute", batch=2)) == list(range(20, 25)), "a shorter last part"
    other = replace(portrait, image=1 - portrait.image)
    job, drawn = counted(portrait_job(face, other, first, RenderOptions("absolute", batch=2)))
    write_video(job, VideoOutput(tmp_path / "a.mp4", parts=parts))
    assert len(drawn) == 40, "another picture"
