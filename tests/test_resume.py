"""`animate` and `render` killed by SIGKILL and given again: the frames of a run that nobody touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
import torch
from child_process import needs_sigkill, run_script
from portrait_videos import plenty_of_memory

from playmate_core.media.video_reader import has_sound, read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines.animate import AnimateRequest, animate
from playmate_core.pipelines.extract import extract
from playmate_core.rendering import segments as room
from playmate_core.rendering.source_video import FaceVideoOptions

PART, FRAMES = 6, 20
#: The command line as it is, but for short parts and a kill at the end of the third, before it is named.
KILLED = """
import os, psutil, signal, torch
from portrait_videos import plenty_of_memory
psutil.virtual_memory = plenty_of_memory
torch.set_num_threads(1)
from playmate_core.cli import main as cli
from playmate_core.rendering import segments as parts
parts.PART = int(sys.argv[1])
whole, closed = parts.VideoWriter.close, []
def close(self):
    closed.append(self.path.name)
    if len(closed) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self)
parts.VideoWriter.close = close
cli.main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def videos(workshop: Path, speech_wave: Path) -> dict[str, Path]:
    """A video that drives, and a picture and a video that are driven, in two sizes."""
    made = {name: workshop / f"resume_{name}.mp4" for name in ("driving", "film")}
    for path, side in zip(made.values(), (64, 96), strict=True):
        with VideoWriter(path, 25.0, speech_wave) as video:
            for i in range(FRAMES):
                picture = np.full((side, side, 3), (190, 170, 150), np.uint8)
                cv2.ellipse(picture, (side // 2 + i % 5, side // 2), (18, 24), 0, 0, 360, (140, 170, 225), -1)
                video.write(torch.from_numpy(picture)[None])
    made["picture"] = workshop / "resume_picture.png"
    cv2.imwrite(str(made["picture"]), picture)
    return made


def frames_of(path: Path) -> np.ndarray:
    return np.stack([frame.picture for frame in read_frames(path)])


@needs_sigkill
@pytest.mark.parametrize("command, portrait", [("animate", "picture"), ("animate", "film"), ("render", "picture")])
def test_a_killed_command_goes_on_to_the_same_frames(
    tmp_path: Path,
    tiny_face: Path,
    videos: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    portrait: str,
) -> None:
    driving = videos["driving"]
    if command == "render":
        driving = tmp_path / "motion.safetensors"
        extract(videos["driving"], driving, FaceVideoOptions("whole"), tiny_face)
    out = tmp_path / "out"
    out.mkdir()
    words: list[Any] = [command, videos[portrait], driving, "-o", out / "killed.mp4", "--face-weights", tiny_face]
    words += ["--any-picture", "--crop", "whole", "--batch", 4, "--resume"]
    words += ["--driving-crop", "whole"] if command == "animate" else []
    killed = run_script(KILLED, [PART, *words])
    assert killed.returncode == -9, killed.stderr
    left = {path.name for path in room.segments_folder(out / "killed.mp4").glob("*.mp4")}
    assert len(left) == 2 and not (out / "killed.mp4").exists()

    monkeypatch.setattr(room, "PART", PART)
    monkeypatch.setattr(psutil, "virtual_memory", plenty_of_memory)
    begun: list[str] = []

    class Counted(VideoWriter):
        def __init__(self, path: Path, *rest: Any) -> None:
            begun.append(path.name)
            super().__init__(path, *rest)

    monkeypatch.setattr(room, "VideoWriter", Counted)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    facts: dict[str, Any] = {"weights": tiny_face, "limits": None, "crop": "whole", "batch": 4, "resume": True}
    facts["video"] = FaceVideoOptions("whole", batch=4)
    try:
        animate(AnimateRequest(videos[portrait], driving, out / "killed.mp4", **facts))
        assert len(begun) == 2 and not left & set(begun)  # the finished two were kept
        facts["resume"] = False  # neither killed nor able to go on
        animate(AnimateRequest(videos[portrait], driving, out / "whole.mp4", **facts))
    finally:
        torch.set_num_threads(threads)
    got, wanted = frames_of(out / "killed.mp4"), frames_of(out / "whole.mp4")
    assert len(got) == FRAMES and np.array_equal(got, wanted)
    assert has_sound(out / "killed.mp4") == (command == "animate" or portrait == "film")
    assert sorted(path.name for path in out.iterdir()) == ["killed.mp4", "whole.mp4"]


def test_an_animation_that_is_begun_otherwise_begins_anew(
    tmp_path: Path, tiny_face: Path, videos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another multiplier is another video: none of its frames may come from the parts that are there."""
    monkeypatch.setattr(room, "PART", PART)

    class Stopped(BaseException):
        pass

    def stop(stage: str, done: int, _total: int) -> None:
        if stage == "render and encode" and done > PART:
            raise Stopped

    request = AnimateRequest(
        videos["picture"],
        videos["driving"],
        tmp_path / "a.mp4",
        weights=tiny_face,
        limits=None,
        crop="whole",
        resume=True,
    )
    with pytest.raises(Stopped):
        animate(request, stop)
    assert room.segments_folder(request.output).is_dir()

    other = replace(request, how=replace(request.how, multiplier=3.0))
    animate(other)
    animate(replace(other, output=tmp_path / "b.mp4"))
    assert np.array_equal(frames_of(tmp_path / "a.mp4"), frames_of(tmp_path / "b.mp4"))
