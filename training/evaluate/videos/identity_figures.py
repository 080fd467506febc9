"""Identity metrics: CSIM by ArcFace, where its weights are, and independently the distance of dlib's embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluate.videos.checkpoints import Skipped, find_weights, require_package
from training.evaluate.videos.clips import SYSTEMS, ClipVideos
from training.evaluate.videos.cropped_video import CroppedVideo
from training.evaluate.videos.figures import Figure, Measure, mean, means
from training.evaluate.videos.onnx_network import OnnxNetwork, open_onnx

Embedding = NDArray[np.float64]
#: The embedding of a frame, None where there is no face: of the picture and its landmarks (478, 2) or None.
EmbedFace = Callable[[NDArray[np.uint8], NDArray[np.float32] | None], Embedding | None]

ARCFACE_FILE, ARCFACE_SIZE, ARCFACE_FEATURES = "w600k_r50.onnx", 112, 512
CSIM = Figure("CSIM", "higher", f"ArcFace R50 (WebFace600K), {ARCFACE_FILE}, aligned by MediaPipe's landmarks")
DLIB = Figure("identity: distance of dlib's embeddings", "lower", "dlib's ResNet of face-recognition-models, 5 points")
#: dlib looks at every fifth frame: it takes a sixth of a second for each.
DLIB_STRIDE = 5
#: Where ArcFace wants the eyes, the nose and the corners of the mouth, in a crop of 112 pixels.
ARCFACE_TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
#: The same points of MediaPipe's mesh; each is the mean of its vertices.
_POINTS = ((33, 133), (362, 263), (1,), (61,), (291,))


def csim() -> Measure:
    """CSIM: mean over frames of the cosine with the portrait."""

    def run(clips: Sequence[ClipVideos]) -> list[Figure]:
        weights = find_weights(ARCFACE_FILE)
        require_package("onnxruntime")
        if any(video.landmarks is None for clip in clips for video in clip.videos.values()):
            raise Skipped("detection/face_landmarker.task, to align faces with")
        net = open_onnx(weights.path, (3, ARCFACE_SIZE, ARCFACE_SIZE), ARCFACE_FEATURES)
        return [_figure(CSIM, clips, lambda *seen: arcface(net, *seen), cosine, 1, {"sha256": weights.sha256})]

    return Measure((CSIM,), run)


def dlib_identity() -> Measure:
    """The distance from the portrait in dlib's space; its authors take 0.6 and less for one person."""

    def run(clips: Sequence[ClipVideos]) -> list[Figure]:
        require_package("dlib")
        require_package("face_recognition_models")
        found = _figure(DLIB, clips, dlib_embedding(), euclidean, DLIB_STRIDE, {})
        return [replace(found, note=f"under 0.6 is one person; {found.note}")]

    return Measure((DLIB,), run)


def _figure(
    figure: Figure,
    clips: Sequence[ClipVideos],
    embed: EmbedFace,
    compare: Callable[[Embedding, Embedding], float],
    stride: int,
    details: dict[str, Any],
) -> Figure:
    """Compare every ``stride``-th frame of every video with its clip's portrait."""
    table: dict[str, dict[str, float]] = {name: {} for name in SYSTEMS}
    seen: dict[str, int] = dict.fromkeys(SYSTEMS, 0)
    for clip in clips:
        portrait = next(iter(_embeddings(clip.videos["still portrait"], embed, stride)), None)
        for name, video in clip.videos.items():
            found = [one for one in _embeddings(video, embed, stride) if one is not None]
            seen[name] += len(found)
            table[name][clip.name] = mean([compare(portrait, one) for one in found] if portrait is not None else [])
    if not any(seen.values()):
        raise Skipped("a face that the judge finds")
    note = f"{seen['generated']} frames" + (f", every {stride}th" if stride > 1 else "")
    return replace(figure, values=means(table), note=note, details={**details, "clips": table, "frames": seen})


def _embeddings(video: CroppedVideo, embed: EmbedFace, stride: int) -> Iterator[Embedding | None]:
    """The embedding of every ``stride``-th frame; a still is looked at once."""
    for index, (picture, _) in enumerate(video.different()):
        if index % stride == 0:
            yield embed(picture, None if video.landmarks is None else video.landmarks[index])


def cosine(one: Embedding, other: Embedding) -> float:
    """The cosine of the angle between two embeddings."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def euclidean(one: Embedding, other: Embedding) -> float:
    """The distance of two embeddings."""
    return float(np.linalg.norm(one - other))


def arcface(net: OnnxNetwork, picture: NDArray[np.uint8], landmarks: NDArray[np.float32] | None) -> Embedding | None:
    """ArcFace's embedding (512,) of the face at some landmarks."""
    import cv2

    if landmarks is None or not np.isfinite(landmarks).all():
        return None
    points = np.stack([landmarks[list(group)].mean(0) for group in _POINTS]).astype(np.float64)
    size = (ARCFACE_SIZE, ARCFACE_SIZE)
    aligned = cv2.warpAffine(picture, similarity(points, ARCFACE_TEMPLATE), size, flags=cv2.INTER_LINEAR)
    values = (aligned.astype(np.float32) - 127.5) / 127.5
    return net(values.transpose(2, 0, 1)[None])[0].astype(np.float64)


def similarity(points: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine (2, 3) of turning, scaling and shifting that brings points (N, 2) nearest to others, least squares."""
    one, other = points - points.mean(0), wanted - wanted.mean(0)
    size = (one**2).sum()
    along = (one * other).sum() / size
    turned = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]).sum() / size
    linear = np.array([[along, -turned], [turned, along]])
    return np.concatenate([linear, (wanted.mean(0) - linear @ points.mean(0))[:, None]], 1)


def dlib_embedding() -> EmbedFace:
    """dlib's detector, five-point landmarks and embedding (128,), from the files of face-recognition-models."""
    import dlib

    spec = find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise Skipped("the package face_recognition_models")
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    detect = dlib.get_frontal_face_detector()
    shape = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    net = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))

    def embed(picture: NDArray[np.uint8], landmarks: NDArray[np.float32] | None) -> Embedding | None:
        boxes = detect(picture, 0)
        if not boxes:
            return None
        largest = max(boxes, key=lambda box: box.area())
        return np.array(net.compute_face_descriptor(picture, shape(picture, largest)))

    return embed
