"""Sync-C and Sync-D by SyncNet v2, quoted only where it recovers sound that was moved by five frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playmate_core.detection.crop import Square, crop_to_image
from playmate_core.detection.reading_crop import cut_bytes
from playmate_core.media.images import Bytes
from playmate_core.values import FPS
from training.evaluate.videos.checkpoints import Skipped, find_weights, load_strictly
from training.evaluate.videos.clips import SYSTEMS, ClipVideos
from training.evaluate.videos.cropped_video import CroppedVideo, Samples
from training.evaluate.videos.figures import UNDEFINED, Figure, Measure, means
from training.syncnet import SIZE, SyncNet, SyncScore, embeddings, sync_score

SYNCNET_FILE = "syncnet_v2.model"
_JUDGE = f"SyncNet v2, {SYNCNET_FILE}, on crops by MediaPipe's boxes in place of S3FD's"
SYNC_C, SYNC_D = Figure("Sync-C", "higher", _JUDGE), Figure("Sync-D", "lower", _JUDGE)
#: Frames of median smoothing, and how far a crop reaches beyond the face box, as published.
_SMOOTHED, _BEYOND = 13, 0.4
#: Frames by which sound is moved in the check, and by how many the offset found may differ.
SHIFT, TOLERANCE = 5, 1


def sync(device: str) -> Measure:
    """Both figures from one pass of the network over each video."""

    def run(clips: Sequence[ClipVideos]) -> list[Figure]:
        weights = find_weights(SYNCNET_FILE)
        net = load_strictly(SyncNet(), weights.path).to(device)
        return sync_figures(clips, net, weights.sha256)

    return Measure((SYNC_C, SYNC_D), run)


def sync_figures(clips: Sequence[ClipVideos], net: SyncNet, sha256: str) -> list[Figure]:
    """Score all videos. Raises Skipped where faces or sound are missing, or the network fails its check."""
    voiced = [clip for clip in clips if clip.videos["ground truth"].samples().any()]
    if not voiced:
        raise Skipped("sound in any of the real videos")
    if any(video.landmarks is None for clip in voiced for video in clip.videos.values()):
        raise Skipped("detection/face_landmarker.task, to find faces with")
    offsets = {
        f"{shift:+d}": moved_offset(net, voiced[0].videos["ground truth"], shift) for shift in (0, SHIFT, -SHIFT)
    }
    for shift in (SHIFT, -SHIFT):
        found = offsets[f"{shift:+d}"] - offsets["+0"]
        if abs(found - shift) > TOLERANCE:
            raise Skipped(f"the network's check: sound moved by {shift:+d} frames was found moved by {found:+d}")
    scores = {name: {clip.name: score_video(net, clip.videos[name]) for clip in voiced} for name in SYSTEMS}
    details: dict[str, Any] = {"offsets of real sound moved": offsets, "sha256": sha256}
    details["clips"] = {
        name: {clip: score and asdict(score) for clip, score in row.items()} for name, row in scores.items()
    }
    note = f"mean of {len(voiced)} clips; moved sound of the first was recovered"
    return [
        replace(SYNC_C, values=_means(scores, "confidence"), note=note, details=details),
        replace(SYNC_D, values=_means(scores, "distance"), note=note, details=details),
    ]


def score_video(net: SyncNet, video: CroppedVideo) -> SyncScore | None:
    """Score a video with its own sound; None where no frame shows a face."""
    boxes = smoothed_boxes(video)
    if boxes is None:
        return None
    return sync_score(*embeddings(net, face_crops(video, boxes), video.samples()))


def moved_offset(net: SyncNet, video: CroppedVideo, frames: int) -> int:
    """The offset found when a video's sound comes so many frames later. Raises Skipped without a face."""
    boxes = smoothed_boxes(video)
    if boxes is None:
        raise Skipped("a face in the first real video")
    moved = later(video.samples(), frames)
    return sync_score(*embeddings(net, face_crops(video, boxes), moved)).offset


def later(samples: Samples, frames: int) -> Samples:
    """Sound so many frames later (negative: earlier), silence where it is missing, as long as before."""
    by = round(frames / FPS * 16_000)
    moved = np.zeros_like(samples)
    if by >= 0:
        moved[by:] = samples[: len(samples) - by]
    else:
        moved[:by] = samples[-by:]
    return moved


def smoothed_boxes(video: CroppedVideo) -> NDArray[np.float64] | None:
    """(T, 3) centre and half the longer side of the face box in every frame, filled where no face was found and
    smoothed by a median over 13 frames; None where there is no face at all."""
    from scipy.ndimage import median_filter

    if video.landmarks is None:
        return None
    low, high = video.landmarks.min(1), video.landmarks.max(1)  # NaN where there is no face
    boxes = np.concatenate([(low + high) / 2, ((high - low).max(1) / 2)[:, None]], 1).astype(np.float64)
    seen = np.flatnonzero(np.isfinite(boxes[:, 0]))
    if not len(seen):
        return None
    filled = np.stack([np.interp(np.arange(len(boxes)), seen, boxes[seen, k]) for k in range(3)], 1)
    return median_filter(filled, size=(_SMOOTHED, 1), mode="nearest")


def face_crops(video: CroppedVideo, boxes: NDArray[np.float64]) -> Iterator[Bytes]:
    """(224, 224, 3) a frame: 2.8 half sides wide, 0.4 of one lower than the box's middle, as published."""
    for picture, (x, y, half) in zip(video.pictures(), boxes, strict=False):
        square = Square(x, y + _BEYOND * half, 2 * half * (1 + _BEYOND))
        yield cut_bytes(picture, crop_to_image(square, SIZE), SIZE).numpy()


def _means(scores: dict[str, dict[str, SyncScore | None]], field: str) -> dict[str, float]:
    return means(
        {
            system: {name: UNDEFINED if score is None else getattr(score, field) for name, score in clips.items()}
            for system, clips in scores.items()
        }
    )
