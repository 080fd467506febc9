"""FID and FVD of all generated against all real frames (docs/method.md 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.evaluate.videos.checkpoints import find_weights, load_strictly
from training.evaluate.videos.clips import SYSTEMS, ClipVideos
from training.evaluate.videos.cropped_video import CroppedVideo
from training.evaluate.videos.figures import UNDEFINED, Figure, Measure, by_system
from training.evaluate.videos.frechet import Moments, frechet_distance
from training.evaluate.videos.i3d import CLASSES, STRIDE, WINDOW, InceptionI3d, network_input
from training.evaluate.videos.inception import FEATURES, InceptionV3

INCEPTION_FILE, I3D_FILE = "pt_inception-2015-12-05-6726825d.pth", "i3d_pretrained_400.pt"
#: Frames at once.
BATCH = 16
#: Below this many frames FID is biased upwards so much that only equal counts may be compared.
ENOUGH_FRAMES = 10_000
FID = Figure("FID", "lower", f"InceptionV3 pool3, {INCEPTION_FILE}")
FVD = Figure("FVD", "lower", f"I3D logits, {I3D_FILE}")
#: Features (n, F), how often each counts, and where in the video they lie, 0 to 1.
FeatureRows = Iterator[tuple[NDArray[np.float32], int, float]]


def fid(device: str) -> Measure:
    """FID by the published Inception."""

    def run(clips: Sequence[ClipVideos]) -> list[Figure]:
        weights = find_weights(INCEPTION_FILE)
        net = load_strictly(InceptionV3(), weights.path).to(device)
        values, counts = distances(clips, lambda video: pool_features(net, video), FEATURES)
        frames = counts["generated"]
        note = f"{frames} frames of 512 px"
        note += "" if frames >= ENOUGH_FRAMES else f", under {ENOUGH_FRAMES}: compare equal counts only"
        return [replace(FID, values=values, note=note, details={"frames": counts, "sha256": weights.sha256})]

    return Measure((FID,), run)


def fvd(device: str) -> Measure:
    """FVD by the published I3D."""

    def run(clips: Sequence[ClipVideos]) -> list[Figure]:
        weights = find_weights(I3D_FILE)
        net = load_strictly(InceptionI3d(), weights.path).to(device)
        values, counts = distances(clips, lambda video: window_features(net, video), CLASSES)
        note = f"{counts['generated']} windows of {WINDOW} frames, stride {STRIDE}, 224 px; no protocol of others"
        return [replace(FVD, values=values, note=note, details={"windows": counts, "sha256": weights.sha256})]

    return Measure((FVD,), run)


def distances(
    clips: Sequence[ClipVideos], features: Callable[[CroppedVideo], FeatureRows], width: int
) -> tuple[dict[str, float], dict[str, int]]:
    """The Frechet distance of every system's videos from the real ones, and how many rows each gave.

    The real videos' own figure is that of one half of them against the other, the floor that this many frames allow:
    every other clip, or the two halves of a single one.
    """
    halves = (Moments(width), Moments(width))
    others = {name: Moments(width) for name in SYSTEMS if name != "ground truth"}
    for index, clip in enumerate(clips):
        for name, video in clip.videos.items():
            for rows, times, place in features(video):
                half = index % 2 if len(clips) > 1 else int(place >= 0.5)
                (halves[half] if name == "ground truth" else others[name]).add(rows, times)
    real = halves[0].merged(halves[1])
    values = [_distance(others["generated"], real), _distance(*halves), _distance(others["still portrait"], real)]
    counts = {"generated": others["generated"], "ground truth": real, "still portrait": others["still portrait"]}
    return by_system(values), {name: moments.count for name, moments in counts.items()}


def _distance(one: Moments, other: Moments) -> float:
    return frechet_distance(one, other) if min(one.count, other.count) > 1 else UNDEFINED


@torch.inference_mode()
def pool_features(net: InceptionV3, video: CroppedVideo) -> FeatureRows:
    """One row a frame; a still is looked at once."""
    device = next(net.parameters()).device
    batch: list[Tensor] = []
    start = 0
    for picture, times in video.different():
        batch.append(torch.from_numpy(picture).permute(2, 0, 1))
        if times > 1:
            rows = net(torch.stack(batch).to(device)).cpu().numpy()
            half = times // 2  # a still's rows lie in both halves of the video
            yield rows, half, 0.0
            yield rows, times - half, 0.5
            return
        if len(batch) == BATCH or start + len(batch) == video.frames:
            yield net(torch.stack(batch).to(device)).cpu().numpy(), 1, start / video.frames
            start, batch = start + len(batch), []


@torch.inference_mode()
def window_features(net: InceptionI3d, video: CroppedVideo) -> FeatureRows:
    """One row a window of 16 frames."""
    device = next(net.parameters()).device
    held: list[Tensor] = []
    for index, picture in enumerate(video.pictures()):
        held.append(torch.from_numpy(picture))
        if len(held) == WINDOW:
            window = network_input(torch.stack(held))[None].to(device)
            yield net(window).cpu().numpy(), 1, (index + 1 - WINDOW) / video.frames
            held = held[STRIDE:]
