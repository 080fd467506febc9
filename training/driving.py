"""``python -m training driving``: render the bundled driving video, another person who looks around and speaks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import playmate_core
from playmate_core.media.video_options import VideoOptions
from playmate_core.media.video_writer import VideoWriter
from playmate_core.values import FPS
from training.bundle import HEAD_SCALE, HEAD_TRANSLATION
from training.config import parse
from training.synthetic.identity import make_identity
from training.synthetic.pixels import make_scene, render
from training.synthetic.rig import RIG
from training.synthetic.sessions import FIRST_IDENTITY

logger = logging.getLogger(__name__)

#: Pitch, yaw, roll in degrees at the extremes of a figure of eight, and how many of them there are.
ROTATION_AMPLITUDES, ROUNDS = np.array([9.0, 22.0, 6.0]), 1.0
SYLLABLES_PER_SECOND, BLINK_SECONDS = 3.5, (0.9, 2.3)


@dataclass(frozen=True)
class DrivingConfig:
    """What to render: ``identity`` and ``scene`` as in the bundle, for ``seconds``; ``out`` "" is in the package."""

    out: str = ""
    identity: int = 5
    scene: int = 2_000_011
    size: int = 256
    seconds: float = 3.0


def act(frames: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rig (T, 16) and the rotation (T, 3) of the clip; its first frame looks straight ahead."""
    time = np.arange(frames) / FPS
    phase = 2 * np.pi * ROUNDS * np.arange(frames) / max(frames, 1)
    rotation = ROTATION_AMPLITUDES * np.stack([np.sin(2 * phase), np.sin(phase), np.sin(phase) * np.cos(phase)], 1)
    rig = np.zeros((frames, len(RIG)))
    rig[:, RIG.index("jaw")] = 0.6 * np.clip(np.sin(2 * np.pi * SYLLABLES_PER_SECOND * time), 0, None)
    for at in BLINK_SECONDS:
        shut = np.clip(1.5 - np.abs(time - at) * 12, 0, 1)
        for lid in ("lid_left", "lid_right"):
            rig[:, RIG.index(lid)] = np.maximum(rig[:, RIG.index(lid)], shut)
    return rig, rotation


def write_driving_clip(config: DrivingConfig) -> Path:
    """Draw the clip and write it, whole or not at all."""
    out = Path(config.out) if config.out else Path(playmate_core.__file__).parent / "bundled" / "driving.mp4"
    person, scene = make_identity(FIRST_IDENTITY["test"] + config.identity), make_scene(config.scene)
    with VideoWriter(out, FPS, options=VideoOptions(crf=20)) as writer:
        for rig, rotation in zip(*act(round(config.seconds * FPS)), strict=True):
            picture = render(person, scene, rig, rotation, HEAD_TRANSLATION, HEAD_SCALE, config.size)
            writer.write(torch.from_numpy(picture)[None])
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Write the clip and log its path."""
    out = write_driving_clip(parse(DrivingConfig, argv, __doc__ or ""))
    logger.info("%8.3f MB  %s", out.stat().st_size / 1e6, out.name)
