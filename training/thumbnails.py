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

#: Where in the speech three tiles lie, and the yaws of those that show a head being turned, degrees.
MOMENTS, YAWS = (0.2, 0.5, 0.75), (-20.0, 0.0, 20.0)
QUALITY = 85


@dataclass(frozen=True)
class Shot:
    """One tile: an emotion, a seed, when, and a yaw, "held" for a head that keeps still, or "" as generated."""

    emotion: str = "happy"
    seed: int = 0
    moment: float = 0.5
    pose: str = ""


TURNED = tuple(Shot("neutral", pose=f"{yaw:g}") for yaw in YAWS)
EIGHT = ("happy", "surprised", "sad", "angry", "neutral", "fear", "disgusted", "contempt")
#: What each workflow is about, by the name of its file: one, two, three or eight faces, no two alike.
SHOTS: dict[str, tuple[Shot, ...]] = {
    "talk": tuple(Shot(moment=moment) for moment in MOMENTS),
    "talk_one_box": (Shot(moment=0.35), Shot("surprised", moment=0.6)),
    "talk_as_an_app": tuple(Shot(emotion) for emotion in EIGHT),
    "long_speech_to_file": tuple(Shot("neutral", moment=0.06 + 0.125 * n) for n in range(8)),
    "paste_back": (Shot(moment=0.65),),
    "still_head_lips_only": tuple(Shot("neutral", moment=moment, pose="held") for moment in MOMENTS),
    "emotion_score": (Shot("neutral"), Shot("happy"), Shot("surprised")),
    "compare_seeds": tuple(Shot("angry", seed=seed) for seed in (1, 2)),
    "talk_on_a_photograph": (Shot("surprised", moment=0.3), Shot("happy", moment=0.3)),
    "two_models_side_by_side": (Shot("fear", seed=3, moment=0.6), Shot("happy", seed=4, moment=0.6)),
    "pose_from_a_clip": TURNED,
    "swap_the_pose_source": (Shot("happy", pose="-20"), Shot("happy", pose="20")),
    "direct_the_performance": tuple(Shot("happy", moment=moment, pose="held") for moment in MOMENTS),
    "choose_a_take": tuple(Shot(emotion, seed=seed) for emotion in ("happy", "sad") for seed in range(4)),
    "fix_and_keep": (Shot("neutral", seed=4, moment=0.3), Shot("neutral", seed=4, moment=0.7)),
    "emotion_from_subtitles": (Shot("neutral", moment=0.1), Shot("happy", moment=0.4), Shot("surprised", moment=0.8)),
    "dub_a_video": tuple(Shot("neutral", seed=5, moment=moment, pose="-20") for moment in (0.2, 0.6)),
    "dialogue": (Shot("happy", seed=6, moment=0.45, pose="20"), Shot("neutral", seed=6, moment=0.02, pose="-20")),
    "two_faces_in_one_picture": (Shot("surprised", seed=7, moment=0.4), Shot("neutral", seed=7, moment=0.02)),
    "one_motion_many_portraits": tuple(Shot("happy", seed=8, moment=0.5, pose="20") for _ in range(3)),
    "video_driven": (Shot("surprised", pose="20"), Shot("sad", pose="0"), Shot("happy", pose="-20")),
}


#: The banner of the registry's page is 21 by 9: seven emotions, three directions.
BANNER = tuple(
    Shot(emotion, pose=f"{yaw:g}")
    for yaw in YAWS
    for emotion in ("neutral", "happy", "surprised", "sad", "angry", "fear", "disgusted")
)


@dataclass(frozen=True)
class ThumbnailsConfig:
    """Where the workflows lie, the height of their pictures in pixels, and where the banner goes."""

    out: str = "workflows"
    tile: int = 360
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


def wide(faces: Sequence[Bytes]) -> Bytes:
    """One picture (H, 16 / 9 H, 3) that square faces (H, H, 3) fill: columns beside each other, from eight on in two
    rows; the background of a single one goes on to both sides."""
    height = len(faces[0])
    width = height * 16 // 9
    if len(faces) == 1:
        side = (width - height) // 2
        return np.asarray(cv2.copyMakeBorder(faces[0], 0, 0, side, width - height - side, cv2.BORDER_REPLICATE))
    rows = 2 if len(faces) >= 8 else 1
    columns, size = len(faces) // rows, height // rows
    edges = [round(width * n / columns) for n in range(columns + 1)]
    picture = np.empty((height, width, 3), np.uint8)
    for n, face in enumerate(faces):
        row, column = divmod(n, columns)
        left, right = edges[column], edges[column + 1]
        cut = (size - (right - left)) // 2
        small = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
        picture[row * size : (row + 1) * size, left:right] = small[:, cut : cut + right - left]
    return picture


def main(argv: Sequence[str] | None = None) -> None:
    """Draw one 16:9 JPEG of faces for each workflow, and the banner."""
    config = parse(ThumbnailsConfig, argv, __doc__ or "")
    studio = open_studio(replace(FiguresConfig(), tile=config.tile))
    for name, shots in SHOTS.items():
        row = wide([tile(studio, shot) for shot in shots])
        path = Path(config.out) / f"{name}.jpg"
        write_atomically(path, cv2.imencode(".jpg", row[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
        logger.info("%s", path)
    side = config.banner_tile
    shown = (cv2.resize(tile(studio, shot), (side, side), interpolation=cv2.INTER_AREA) for shot in BANNER)
    faces = grid([np.asarray(face, np.uint8) for face in shown], len(BANNER) // len(YAWS))
    write_atomically(Path(config.banner), cv2.imencode(".png", faces[..., ::-1])[1].tobytes())
