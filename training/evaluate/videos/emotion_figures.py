"""Emo-A: the share of videos in which the requested emotion is the one HSEmotion recognises over all frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from playmate_core.detection.crop import Square, crop_to_image
from playmate_core.detection.reading_crop import cut_bytes
from playmate_core.values import EMOTIONS
from training.evaluate.videos.checkpoints import Skipped, find_weights, require_package
from training.evaluate.videos.clips import SYSTEMS, ClipVideos
from training.evaluate.videos.cropped_video import CroppedVideo
from training.evaluate.videos.figures import UNDEFINED, Figure, Measure, mean
from training.evaluate.videos.onnx_network import OnnxNetwork, open_onnx

HSEMOTION_FILE, SIZE = "enet_b0_8_best_vgaf.onnx", 224
EMO_A = Figure("Emo-A", "higher", f"HSEmotion (AffectNet, 8 classes), {HSEMOTION_FILE}")
#: The network's classes in its order, by the names used here: anger, contempt, disgust, fear, happiness, neutral,
#: sadness, surprise.
CLASSES = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
_MEAN, _STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))


def emotion() -> Measure:
    """Emo-A of the clips whose requested emotion the labels tell."""

    def run(clips: Sequence[ClipVideos]) -> list[Figure]:
        weights = find_weights(HSEMOTION_FILE)
        require_package("onnxruntime")
        named = [clip for clip in clips if clip.label.emotion]
        if not named:
            raise Skipped("the requested emotions (--labels TABLE.csv with the columns clip, emotion)")
        if any(video.landmarks is None for clip in named for video in clip.videos.values()):
            raise Skipped("detection/face_landmarker.task, to find faces with")
        net = open_onnx(weights.path, (3, SIZE, SIZE), len(CLASSES))
        seen = {name: {clip.name: recognised(net, clip.videos[name]) for clip in named} for name in SYSTEMS}
        wanted = {clip.name: clip.label.emotion for clip in named}
        values = {name: accuracy(row, wanted) for name, row in seen.items()}
        details = {"clips": seen, "confusion": {n: confusion(row, wanted) for n, row in seen.items()}}
        note = f"{len(named)} clips; the real videos' value is the ceiling"
        return [replace(EMO_A, values=values, note=note, details={**details, "sha256": weights.sha256})]

    return Measure((EMO_A,), run)


def accuracy(seen: dict[str, str], wanted: dict[str, str]) -> float:
    """The share of clips with a face whose emotion was the requested one; NaN where there is none."""
    hits = [float(seen[name] == wanted[name]) for name in wanted if seen[name]]
    return mean(hits) if hits else UNDEFINED


def confusion(seen: dict[str, str], wanted: dict[str, str]) -> dict[str, dict[str, int]]:
    """Confusion counts of requested and recognised emotions."""
    return {
        one: {other: sum(wanted[k] == one and seen[k] == other for k in wanted) for other in EMOTIONS}
        for one in sorted(set(wanted.values()))
    }


def recognised(net: OnnxNetwork, video: CroppedVideo) -> str:
    """The class whose probability, averaged over all frames with a face, is highest; "" without a face."""
    total = np.zeros(len(CLASSES))
    for index, (picture, times) in enumerate(video.different()):
        if video.landmarks is None or not np.isfinite(video.landmarks[index]).all():
            continue
        total += times * probabilities(net, picture, video.landmarks[index])
    return CLASSES[int(total.argmax())] if total.any() else ""


def probabilities(net: OnnxNetwork, picture: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """(8,) for the face inside the box of some landmarks (478, 2)."""
    low, high = landmarks.min(0), landmarks.max(0)
    x, y = (low + high) / 2
    square = Square(float(x), float(y), float((high - low).max()))
    face = cut_bytes(picture, crop_to_image(square, SIZE), SIZE).numpy()
    values = ((face / 255 - _MEAN) / _STD).astype(np.float32)
    logits = net(values.transpose(2, 0, 1)[None])[0].astype(np.float64)
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()
