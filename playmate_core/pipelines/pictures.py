"""Pictures that go with a job: a plot of the motion, a contact sheet."""

from __future__ import annotations

from pathlib import Path

from ..atomic_file import AtomicFile
from ..media.images import Bytes
from ..motion.plot import plot_motion
from ..values import AudioFeatures, Motion


def write_plot(path: Path, motion: Motion, audio: AudioFeatures) -> None:
    """Save a plot of ``motion`` with the loudness of the speech as a PNG."""
    path.write_bytes(_png(plot_motion(motion, audio.energy)))


def write_png(path: Path, picture: Bytes) -> None:
    """Write a picture (H, W, 3) RGB, whole or not at all."""
    with AtomicFile(path) as file:
        file.write_bytes(_png(picture))


def _png(picture: Bytes) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", picture[..., ::-1])[1])
