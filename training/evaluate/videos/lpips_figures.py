"""LPIPS of generated from real frames, frame by frame: of use only where a video imitates that very video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playmate_core.weights.folders import file_hash
from training.evaluate.videos.checkpoints import (
    Skipped,
    find_weights,
    load_strictly,
    read_checkpoint,
    require_layout,
    require_package,
)
from training.evaluate.videos.clips import SYSTEMS, ClipVideos
from training.evaluate.videos.cropped_video import CroppedVideo
from training.evaluate.videos.figures import Figure, Measure, mean, means
from training.evaluate.videos.lpips import AlexNet, Lpips, head_shapes

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"
LPIPS = Figure("LPIPS", "lower", f"LPIPS v0.1, AlexNet, {ALEXNET_FILE}")
#: The linear heads, published with the metric and shipped by torchmetrics.
LINEAR_LAYERS = Path("functional") / "image" / "lpips_models" / "alex.pth"
HEADS_SHA256 = "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"
BATCH = 8


def lpips(device: str) -> Measure:
    """LPIPS by the published trunk and heads."""

    def run(clips: Sequence[ClipVideos]) -> list[Figure]:
        weights = find_weights(ALEXNET_FILE)
        heads = read_heads()
        net = Lpips(load_strictly(AlexNet(), weights.path), heads).to(device)
        same = [clip for clip in clips if clip.alike]
        if not same:
            raise Skipped("a generated video that shows the same picture as its real one")
        table: dict[str, dict[str, float]] = {name: {} for name in SYSTEMS}
        for clip in same:
            truth = clip.videos["ground truth"]
            for name, video in clip.videos.items():
                table[name][clip.name] = 0.0 if video is truth else distance(net, video, truth)
        note = f"{sum(clip.frames for clip in same)} frame pairs of {len(same)} clips"
        details = {"clips": table, "sha256": weights.sha256, "heads_sha256": HEADS_SHA256}
        return [replace(LPIPS, values=means(table), note=note, details=details)]

    return Measure((LPIPS,), run)


def read_heads() -> dict[str, Tensor]:
    """The linear heads from torchmetrics' wheel. Raises Skipped where they are absent or not the published ones."""
    require_package("torchmetrics")
    spec = find_spec("torchmetrics")
    path = Path(next(iter((spec and spec.submodule_search_locations) or [""]))) / LINEAR_LAYERS
    if not path.is_file() or file_hash(path) != HEADS_SHA256:
        raise Skipped("the published linear heads of LPIPS v0.1, which torchmetrics ships")
    tensors = read_checkpoint(path)
    require_layout(path, tensors, head_shapes())
    return tensors


@torch.inference_mode()
def distance(net: Lpips, video: CroppedVideo, truth: CroppedVideo) -> float:
    """The mean distance of a video's frames from the real ones, in -1..1 as the metric expects."""
    device = net.shift.device
    found: list[float] = []
    for ours, real in _batches(video, truth):
        found += net(_unit(ours).to(device), _unit(real).to(device)).tolist()
    return mean(found)


def _batches(
    video: CroppedVideo, truth: CroppedVideo
) -> Iterator[tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]]:
    ours: list[NDArray[np.uint8]] = []
    real: list[NDArray[np.uint8]] = []
    for one, other in zip(video.pictures(), truth.pictures(), strict=True):
        ours.append(one)
        real.append(other)
        if len(ours) == BATCH:
            yield ours, real
            ours, real = [], []
    if ours:
        yield ours, real


def _unit(pictures: list[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
