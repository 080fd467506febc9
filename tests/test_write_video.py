"""Videos: a killed one goes on to the same frames, memory does not grow with length."""

from __future__ import annotations

import copy
import logging
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from child_process import kill_where_it_waits, needs_proc, needs_sigkill, peak_memory
from portrait_videos import motion, plenty_of_memory, write
from torch import Tensor
from worker_threads import ours

from playmate_core.face import FaceModel
from playmate_core.media.images import read_picture
from playmate_core.media.video_reader import read_frames, video_facts
from playmate_core.motion.motion_file import MotionClip, save_motion_clip
from playmate_core.rendering import render as drawing
from playmate_core.rendering import segments as room
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.render import RenderOptions, render
from playmate_core.rendering.segments import VideoOutput, segments_folder
from playmate_core.values import Portrait
from playmate_core.weights.files import load_face


@pytest.fixture(autouse=True)
def any_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches as on a graphics card; a processor would draw two frames at once."""
    monkeypatch.setattr("playmate_core.rendering.device.BATCH_ON_CPU", 1024)


@pytest.fixture(scope="module")
def face(tiny_face: Path) -> FaceModel:
    return load_face(tiny_face)


@pytest.fixture(scope="module")
def portrait(face: FaceModel, portrait_picture: Path) -> Portrait:
    return read_portrait(face, read_picture(portrait_picture), "whole")


def frames_of(path: Path) -> np.ndarray:
    return np.stack([frame.picture for frame in read_frames(path)])


@pytest.mark.parametrize("pasted", [False, True])
def test_a_video_shows_what_is_rendered(tmp_path: Path, face: FaceModel, portrait: Portrait, pasted: bool) -> None:
    told: list[tuple[int, int]] = []
    output = VideoOutput(tmp_path / "a.mp4")
    assert write(face, portrait, motion(20), output, lambda *step: told.append(step), pasted=pasted) == 20
    side = 96 if pasted else 64
    assert frames_of(output.path).shape == (20, side, side, 3)
    assert (
        told == [(1, 20), (9, 20), (17, 20), (20, 20)]
        and not ours()
        and [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    )


def test_cancelling_leaves_no_thread_and_no_file(tmp_path: Path, face: FaceModel, portrait: Portrait) -> None:
    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(face, portrait, motion(40), VideoOutput(tmp_path / "a.mp4"), cancel)
    assert not ours() and not list(tmp_path.iterdir())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("expression", ["absolute", "relative"])
def test_a_resumed_video_has_the_same_frames(
    tmp_path: Path,
    face: FaceModel,
    portrait: Portrait,
    monkeypatch: pytest.MonkeyPatch,
    speech_wave: Path,
    expression: str,
) -> None:
    """Stopped again and again at random places, against one that was not and could not have been."""
    monkeypatch.setattr(room, "PART", 10)
    rendering = replace(RenderOptions(batch=4), expression=expression)
    whole = VideoOutput(tmp_path / "whole.mp4", speech_wave)
    write(face, portrait, motion(33), whole, None, rendering)
    u, again = random.Random(5), replace(whole, path=tmp_path / "again.mp4", resumable=True)
    drawn: list[int] = []
    for _ in range(4):
        limit, drawn_now = u.randrange(1, 6), []

        def stop(done: int, total: int, limit: int = limit, now: list[int] = drawn_now) -> None:
            now.append(done)
            if len(now) > limit:
                raise Killed

        try:
            write(face, portrait, motion(33), again, stop, rendering)
        except Killed:
            pass
        drawn.append(len(drawn_now))
    write(face, portrait, motion(33), again, None, rendering)
    assert np.array_equal(frames_of(again.path), frames_of(whole.path)) and len(frames_of(whole.path)) == 33
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.mp4", "whole.mp4"]
    times = [frame.time for frame in read_frames(again.path)]
    assert times == pytest.approx([i / 25 for i in range(33)])


def test_what_a_part_learned_of_the_memory_serves_the_next(
    tmp_path: Path,
    face: FaceModel,
    portrait: Portrait,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The batch is halved once in a video and told once, not in every part."""
    monkeypatch.setattr(room, "PART", 8)
    asked: list[int] = []

    def small(self: FaceModel, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        asked.append(len(x_d))
        if len(x_d) > 2:
            raise MemoryError
        return torch.rand(len(x_d), 3, 64, 64)

    face = copy.deepcopy(face)
    face.__class__ = type("Small", (FaceModel,), {"draw": small})
    with caplog.at_level(logging.WARNING):
        rendering = RenderOptions(batch=4, profile="plain")
        assert write(face, portrait, motion(24), VideoOutput(tmp_path / "a.mp4"), None, rendering) == 24
    assert asked == [1, 4, 2, 2, 2, 1] + [2] * 8 and len(caplog.records) == 1


def test_other_keypoints_are_told_once_in_a_video(
    tmp_path: Path,
    face: FaceModel,
    portrait: Portrait,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(room, "PART", 4)
    other = replace(motion(12), keypoint_space="another")
    known = replace(portrait, rest=replace(portrait.rest, keypoint_space="playmate-demo"), familiar=True)
    with caplog.at_level(logging.WARNING):
        assert write(face, known, other, VideoOutput(tmp_path / "a.mp4")) == 12
    assert caplog.text.count("made for another keypoints") == 1


def test_parts_of_another_video_are_not_used(
    tmp_path: Path,
    face: FaceModel,
    portrait: Portrait,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(room, "PART", 5)
    output, rendering = VideoOutput(tmp_path / "a.mp4", resumable=True), RenderOptions(batch=5)

    def stop(done: int, total: int) -> None:
        if done > 5:
            raise Killed

    with pytest.raises(Killed):
        write(face, portrait, motion(12), output, stop, rendering)
    assert len(list(segments_folder(output.path).glob("*.mp4"))) == 1
    told: list[int] = []
    with caplog.at_level(logging.WARNING):
        write(face, portrait, motion(12), output, lambda done, _: told.append(done), replace(rendering, batch=4))
    assert told == [1, 5, 9, 10, 12] and "another video" in caplog.text
    with pytest.raises(Killed):
        write(face, portrait, motion(12), output, stop, rendering)
    other = motion(13)
    write(face, portrait, other, output, None, rendering)
    write(face, portrait, other, replace(output, path=tmp_path / "b.mp4"), None, rendering)
    assert np.array_equal(frames_of(tmp_path / "a.mp4"), frames_of(tmp_path / "b.mp4"))


KILLED_VIDEO = """
import psutil, torch
from pathlib import Path
from portrait_videos import motion, plenty_of_memory, write
from playmate_core.media.images import read_picture
from playmate_core.rendering import device, segments
from playmate_core.rendering.portrait import read_portrait
from playmate_core.weights.files import load_face
device.BATCH_ON_CPU = 1024
torch.set_num_threads(1)
psutil.virtual_memory = plenty_of_memory
segments.PART = 25
face = load_face(Path(sys.argv[1]))
portrait = read_portrait(face, read_picture(sys.argv[2]), "whole")
output = segments.VideoOutput(Path(sys.argv[3]), resumable=True)
def wait_in_the_third_part(done, total):
    if done > 50:
        wait_to_be_killed()
write(face, portrait, motion(80), output, wait_in_the_third_part)
"""


@needs_sigkill
def test_a_killed_process_is_gone_on_from(
    tmp_path: Path,
    face: FaceModel,
    portrait: Portrait,
    monkeypatch: pytest.MonkeyPatch,
    tiny_face: Path,
    portrait_picture: Path,
) -> None:
    """SIGKILL, which nothing can clean up after, in the midst of the third part."""
    kill_where_it_waits(KILLED_VIDEO, [tiny_face, portrait_picture, tmp_path / "killed.mp4"])
    assert not (tmp_path / "killed.mp4").exists()
    monkeypatch.setattr(room, "PART", 25)
    monkeypatch.setattr(psutil, "virtual_memory", plenty_of_memory)
    threads, told = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        output = VideoOutput(tmp_path / "killed.mp4", resumable=True)
        write(face, portrait, motion(80), output, lambda done, _: told.append(done))
        write(face, portrait, motion(80), replace(output, path=tmp_path / "whole.mp4"))
    finally:
        torch.set_num_threads(threads)
    assert told[:2] == [25, 50]  # finished parts are told at once
    assert np.array_equal(frames_of(tmp_path / "killed.mp4"), frames_of(tmp_path / "whole.mp4"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed.mp4", "whole.mp4"]


RENDER = """
from playmate_core.cli.main import main
assert main(["render", *sys.argv[1:], "--crop", "whole", "--any-picture", "--batch", "64"]) == 0
"""


def peak(folder: Path, face: Path, picture: Path, frames: int) -> int:
    """The most memory, in kB, of `playmate render` with a motion of so many frames."""
    played, video = folder / f"{frames}.safetensors", folder / f"{frames}.mp4"
    save_motion_clip(MotionClip(motion(frames)), played)
    most = peak_memory(RENDER, [picture, played, "-o", video, "--face-weights", face])
    assert video_facts(video).frames == frames
    return most


@needs_proc
@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(tmp_path: Path, tiny_face: Path, portrait_picture: Path) -> None:
    short, long = (peak(tmp_path, tiny_face, portrait_picture, frames) for frames in (200, 1000))
    assert long < 1.1 * short


@pytest.mark.slow
@needs_proc
def test_memory_of_one_ten_and_sixty_minutes(tmp_path: Path, tiny_face: Path, portrait_picture: Path) -> None:
    one, ten, sixty = (peak(tmp_path, tiny_face, portrait_picture, 1500 * n) for n in (1, 10, 60))
    assert max(one, ten, sixty) < 1.1 * min(one, ten, sixty), (one, ten, sixty)


def test_batches_of_long_motions_join_without_a_seam(
    face: FaceModel, portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.cat(list(render(face, portrait, motion(11))))
    monkeypatch.setattr(drawing, "KEYPOINTS_AT_ONCE", 4)
    assert (torch.cat(list(render(face, portrait, motion(11)))).int() - whole.int()).abs().max() <= 1
