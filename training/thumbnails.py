"""``python -m training thumbnails``: one picture beside each workflow, which ComfyUI's template browser shows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from playmate_core.atomic_file import write_atomically
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.motion.pose import absolute_pose, apply_pose, still
from training.config import parse
from training.figures import CAPTION, Bytes, FiguresConfig, Studio, grid, open_studio

logger = logging.getLogger(__name__)

#: Where in the speech the three tiles lie, and the yaws of those that show a head being turned, degrees.
MOMENTS, YAWS = (0.2, 0.5, 0.75), (-20.0, 0.0, 20.0)
QUALITY = 85


@dataclass(frozen=True)
class Shot:
    """One tile: an emotion, a seed, when, and a yaw, "held" for a head that keeps still, or "" as generated."""

    emotion: str = "happy"
    seed: int = 0
    moment: float = 0.5
    pose: str = ""


TALKING = tuple(Shot(moment=moment) for moment in MOMENTS)
TURNED = tuple(Shot("neutral", pose=f"{yaw:g}") for yaw in YAWS)
#: What each workflow is about, by the name of its file.
SHOTS: dict[str, tuple[Shot, ...]] = {
    "talk": TALKING,
    "talk_one_box": TALKING,
    "talk_as_an_app": TALKING,
    "long_speech_to_file": TALKING,
    "paste_back": TALKING,
    "still_head_lips_only": tuple(Shot("neutral", moment=moment, pose="held") for moment in MOMENTS),
    "emotion_score": (Shot("neutral"), Shot("happy"), Shot("surprised")),
    "compare_seeds": tuple(Shot(seed=seed) for seed in (0, 1, 2)),
    "pose_from_a_clip": TURNED,
    "swap_the_pose_source": TURNED,
    "video_driven": TURNED,
}


#: The banner of the registry's page is 21 by 9: seven emotions, three directions.
BANNER = tuple(
    Shot(emotion, pose=f"{yaw:g}")
    for yaw in YAWS
    for emotion in ("neutral", "happy", "surprised", "sad", "angry", "fear", "disgusted")
)


@dataclass(frozen=True)
class ThumbnailsConfig:
    """Where the workflows lie, the side of one of three faces in pixels, and where the banner goes."""

    out: str = "workflows"
    tile: int = 192
    banner: str = "nodes/web/banner.png"
    banner_tile: int = 100


def tile(studio: Studio, shot: Shot) -> Bytes:
    """One face without a caption: (tile, tile, 3) RGB."""
    request = replace(studio.request, sampling=SamplingOptions(seed=shot.seed))
    motion = replace(studio, request=request).perform(shot.emotion)
    at = int(shot.moment * (len(motion) - 1))
    frame, rest = motion[at : at + 1], studio.portrait.rest.pose
    if shot.pose:
        held = still(rest, 1, motion.fps)
        yaw = 0.0 if shot.pose == "held" else float(shot.pose)
        turned = replace(held, rotation=held.rotation + torch.tensor([[0.0, yaw, 0.0]]))
        frame = apply_pose(frame, absolute_pose(turned, rest))
    return studio.show(frame, [""])[0][:-CAPTION]


def main(argv: Sequence[str] | None = None) -> None:
    """Draw one JPEG of three faces for each workflow, and the banner."""
    config = parse(ThumbnailsConfig, argv, __doc__ or "")
    studio = open_studio(replace(FiguresConfig(), tile=config.tile))
    rows = {shots: grid([tile(studio, shot) for shot in shots], len(shots)) for shots in set(SHOTS.values())}
    for name, shots in SHOTS.items():
        row = rows[shots]
        path = Path(config.out) / f"{name}.jpg"
        write_atomically(path, cv2.imencode(".jpg", row[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
        logger.info("%s", path)
    side = config.banner_tile
    shown = (cv2.resize(tile(studio, shot), (side, side), interpolation=cv2.INTER_AREA) for shot in BANNER)
    faces = grid([np.asarray(face, np.uint8) for face in shown], len(BANNER) // len(YAWS))
    write_atomically(Path(config.banner), cv2.imencode(".png", faces[..., ::-1])[1].tobytes())
