"""What the tests of long videos draw, and a machine that always has room for it."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from playmate_core.face import FaceModel
from playmate_core.progress import Progress
from playmate_core.rendering.render import RenderOptions
from playmate_core.rendering.segments import VideoOutput, write_video
from playmate_core.rendering.write_video import Composition, portrait_job
from playmate_core.values import Motion, Portrait, Pose


def motion(frames: int) -> Motion:
    """In place: 25 MB an hour is what a motion is, and no copy of it belongs to a video's memory."""
    noise = torch.Generator().manual_seed(3)
    turns = torch.randn(frames, 3, generator=noise).mul_(5)
    pose = Pose(turns, torch.zeros(frames, 3), torch.ones(frames, 1))
    return Motion(pose, torch.randn(frames, 21, 3, generator=noise).mul_(0.05))


def write(
    face: FaceModel,
    portrait: Portrait,
    motion: Motion,
    output: VideoOutput,
    progress: Progress | None = None,
    rendering: RenderOptions | None = None,
    pasted: bool = False,
) -> int:
    """The portrait under the motion as a video; returns its number of frames."""
    return write_video(portrait_job(face, portrait, motion, rendering, Composition(pasted)), output, progress)


def plenty_of_memory() -> SimpleNamespace:
    """What psutil says of the memory where nobody else uses it: how much is free decides how W and G are arranged, and
    that decides the last bits of a picture."""
    return SimpleNamespace(available=1 << 40)
