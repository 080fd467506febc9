"""The second pass of a video that needs all its pictures: GIF, a folder of PNG files, and ping-pong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..host import HOST
from ..media.audio_track import AnySound
from ..media.gif import write_gif
from ..media.input_files import Bytes
from ..media.png_sequence import write_pngs
from ..media.stored_frames import StoredFrames
from ..media.video_formats import format_of
from ..media.video_options import VideoOptions
from ..media.video_writer import VideoWriter


def write_assembled(stored: StoredFrames, path: Path, fps: float, sound: AnySound, encoding: VideoOptions) -> None:
    """Write the video at ``path`` from its pictures, in constant memory. A ``sound`` plays once, forwards."""

    def pictures() -> Iterator[Bytes]:
        return HOST.interruptible(stored.played(encoding.ping_pong))

    kind = format_of(path, encoding.codec).name
    if kind == "gif":
        write_gif(path, pictures, fps, encoding.metadata(), encoding.mark)
    elif kind == "png":
        write_pngs(path, pictures(), encoding.metadata(), encoding.mark)
    else:
        with VideoWriter(path, fps, sound, replace(encoding, ping_pong=False)) as video:
            for picture in pictures():
                video.write(torch.from_numpy(np.ascontiguousarray(picture))[None])
