"""The motion of a clip, read by a frozen M from one fixed crop, and put on the 25 frames of a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from playmate_core.detection.crop import Square
from playmate_core.detection.reading_crop import ReadingCrop
from playmate_core.detection.tracking import fill_gaps
from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.interpolation import FrameInterpolation, frames_at_times
from playmate_core.media.images import to_bytes
from playmate_core.motion.edit import interpolate_motion
from playmate_core.rendering.portrait import read_crops
from playmate_core.values import FPS, KEYPOINTS, Motion
from playmate_core.weights.files import load_face

from .entry import Item
from .source_video import frames_between
from .store import Result, Store

#: Mean difference of neighbouring crops, of 255, below which nothing has moved.
_STILL = 0.05
#: The reduced grey crop on which blur and change are measured, so that they mean the same at every size.
_LOOK = 128
#: Crops given to M at once; fixed, because other sums round otherwise and hashes would differ.
_BATCH = 8


@cache
def face_model(path: str, device: str) -> FaceModel:
    """M and its companions, once for each process."""
    return load_face(Path(path)).to(device)


@dataclass
class CropStatistics:
    """Running statistics of the crops: sharpness of the face, and the longest time without change."""

    blur: list[float] = field(default_factory=list)
    still: int = 0
    longest_still: int = 0
    last: Any = None

    def note(self, crop: Tensor) -> None:
        """``crop`` (S, S, 3) in [0, 1]."""
        grey = cv2.cvtColor(to_bytes(crop).numpy(), cv2.COLOR_RGB2GRAY)
        looked = cv2.resize(grey, (_LOOK, _LOOK), interpolation=cv2.INTER_AREA)
        middle = looked[_LOOK // 4 : -_LOOK // 4, _LOOK // 4 : -_LOOK // 4]
        self.blur.append(float(cv2.Laplacian(middle, cv2.CV_64F).var()))
        same = self.last is not None and float(cv2.absdiff(looked, self.last).mean()) < _STILL
        self.still = self.still + 1 if same else 0
        self.longest_still = max(self.longest_still, self.still)
        self.last = looked


@dataclass(frozen=True)
class ReadMotion:
    """M of ``face``, the hash of whose weights is ``face_hash``, on ``device``."""

    root: Path
    face: str
    face_hash: str
    device: str
    name: str = "motion"
    version: int = 2
    gpu: bool = True

    def inputs(self, item: Item) -> list[Any]:
        return [item.keys["track"], self.face_hash]

    def run(self, item: Item, store: Store) -> list[Result]:
        face = face_model(self.face, self.device)
        track = load_file(store.file(item.keys["track"], "safetensors"))
        statistics = CropStatistics()
        motion, keypoints = read_crops(face, self._crops(item, face, statistics), FPS, _BATCH)
        seen = track["seen"].bool()
        if len(motion) != len(seen):
            raise UserError(f"{item.entry.video} was decoded to {len(motion)} frames now and {len(seen)} before.")
        if len(motion) < 2 or item.frames < 2:
            return [Result(reason="short", detail=f"{len(motion)} frames")]
        native = interpolate_motion(motion, FrameInterpolation(*fill_gaps(seen)), FPS)
        wanted = torch.arange(item.frames, dtype=torch.float64) / FPS
        between = frames_at_times(track["times"], wanted)
        at_25 = interpolate_motion(native, between, FPS)
        valid = seen[between.first] & (seen[between.second] | (between.weight == 0))
        scores = motion_scores(native, track["times"])
        scores |= {"blur": float(np.median(statistics.blur)), "frozen": statistics.longest_still / item.facts["fps"]}
        if not all(bool(part.isfinite().all()) for part in (at_25.expression, at_25.pose.rotation, keypoints)):
            return [Result(reason="unstable_motion", detail="M gave numbers that are not finite")]
        tensors = stored_tensors(at_25, keypoints[seen].median(0).values, valid)
        return [Result(scores={n: round(v, 4) for n, v in scores.items()}, files={"safetensors": save(tensors)})]

    def _crops(self, item: Item, face: FaceModel, statistics: CropStatistics) -> Iterator[Tensor]:
        reading = ReadingCrop.of_square(Square(*item.facts["crop"]), face.config)
        for frame in frames_between(self.root / item.entry.video, item.begin, item.end, item.facts["fps"]):
            crop = reading.read(frame.picture)
            statistics.note(crop)
            yield crop


def stored_tensors(motion: Motion, keypoints: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """A clip's motion as it is stored: ``expression`` (N, 21, 3) fp16, ``pose`` (N, 7), canonical ``keypoints``
    (21, 3), ``valid`` (N,) where the face was seen, and the ``moments`` (4, 63) by which a corpus judges its clips."""
    pose = torch.cat([motion.pose.rotation, motion.pose.translation, motion.pose.scale], -1)
    return {
        "expression": motion.expression.to(torch.float16).contiguous(),
        "pose": pose.float().contiguous(),
        "keypoints": keypoints.float().contiguous(),
        "valid": valid.to(torch.uint8),
        "moments": moments(motion.expression),
    }


def moments(expression: Tensor) -> Tensor:
    """Mean, mean square, farthest from the mean, and longest step of every channel of (N, 21, 3) -> (4, 63)."""
    flat = expression.reshape(-1, 3 * KEYPOINTS).double()
    mean = flat.mean(0)
    return torch.stack(
        [mean, flat.square().mean(0), (flat - mean).abs().amax(0), flat.diff(dim=0).abs().amax(0)]
    ).float()


def motion_scores(motion: Motion, times: Tensor) -> dict[str, float]:
    """Largest turn to the side and up or down, 95th percentile of the turning speed in degrees a second."""
    rotation = motion.pose.rotation.double()
    speed = rotation[:, 1].diff().abs() / times.diff().clamp(min=1e-3)
    return {
        "yaw_max": float(rotation[:, 1].abs().max()),
        "yaw_p95": float(rotation[:, 1].abs().quantile(0.95)),
        "pitch_max": float(rotation[:, 0].abs().max()),
        "turn_p95": float(speed.quantile(0.95)),
    }
