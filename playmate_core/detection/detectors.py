"""Face detectors: insightface and MediaPipe, both optional, imported on first use, never downloading.

Their model files are searched as in :mod:`folders`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..media.images import to_bytes
from ..weights.folders import category_folders, insightface_folders, model_file
from .landmarks import landmark_net

#: Left, top, right, bottom in pixels.
Box = tuple[float, float, float, float]
#: LivePortrait's 203-point network, under the path used by ComfyUI packs.
LANDMARK_NET = ("liveportrait/landmark.onnx",)
#: MediaPipe's face landmarker (Apache-2.0), under its published names.
MESH_MODEL = ("detection/face_landmarker.task", "detection/face_landmarker_v2_with_blendshapes.task")
_BUFFALO = ("det_10g.onnx", "2d106det.onnx")
_MOST_FACES = 16
#: Default least scores of a detection: LivePortrait's for insightface, and MediaPipe's own.
_INSIGHTFACE_THRESHOLD, _MEDIAPIPE_THRESHOLD = 0.15, 0.5


@dataclass(frozen=True)
class Face:
    """A detected face: ``box`` in pixels, ``landmarks`` (N, 2) in pixels where known, and a ``score``.

    ``fine`` are LivePortrait's 203 points, where its network is available. Pictures are cropped by ``landmarks``, video
    frames by ``fine`` (docs/liveportrait.md 6.5), on which openings are measured too. ``mesh`` (478, 3) are MediaPipe's
    points with their depth, in pixels as well.
    """

    box: Box
    landmarks: Tensor | None = None
    score: float = 1.0
    fine: Tensor | None = None
    mesh: Tensor | None = None

    @property
    def finest(self) -> Tensor | None:
        """The most detailed landmarks."""
        return self.landmarks if self.fine is None else self.fine

    def in_video(self) -> Face:
        """The same face with the landmarks that video frames are cropped by."""
        return self if self.fine is None else replace(self, landmarks=self.fine)

    @property
    def centre(self) -> tuple[float, float]:
        """The centre (x, y) of the box, in pixels."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def area(self) -> float:
        """The area of the box, in square pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)

    @staticmethod
    def of(landmarks: Tensor, score: float = 1.0) -> Face:
        """A face from landmarks (N, 2); its box is their bounding box."""
        left, top = landmarks.amin(0).tolist()
        right, bottom = landmarks.amax(0).tolist()
        return Face((left, top, right, bottom), landmarks, score)


class Detector(Protocol):
    """Finds the faces of a picture (H, W, 3) in [0, 1], the largest first."""

    def __call__(self, image: Tensor) -> tuple[Face, ...]: ...


def installed(package: str) -> bool:
    """Whether a package could be imported, without importing it."""
    from importlib.util import find_spec

    return package in sys.modules or find_spec(package) is not None


def available() -> tuple[str, ...]:
    """The detectors available here, the paper's first."""
    ready = {
        "insightface": _buffalo_folder() is not None and all(map(installed, ("insightface", "onnxruntime"))),
        "mediapipe": model_file(*MESH_MODEL) is not None and installed("mediapipe"),
    }
    return tuple(name for name in DETECTORS if ready.get(name))


def refined(detector: Detector) -> Detector:
    """``detector`` with LivePortrait's 203 points added to its faces, where that network is available."""
    path = model_file(*LANDMARK_NET)
    if path is None or not installed("onnxruntime"):
        return detector
    net = landmark_net(path)

    def detect(image: Tensor) -> tuple[Face, ...]:
        found = detector(image)
        return tuple(f if f.landmarks is None else replace(f, fine=net(image, f.landmarks)) for f in found)

    return detect


@cache
def _insightface(threshold: float = _INSIGHTFACE_THRESHOLD) -> Detector:
    """insightface's buffalo_l (its models are for non-commercial use), run on the CPU; 203 points where possible."""
    if not installed("insightface"):
        raise UserError("The insightface detector is not installed; run `pip install insightface onnxruntime`.")
    folder = _buffalo_folder()
    if folder is None:
        wanted = category_folders("insightface")[0] / "models" / "buffalo_l"
        raise UserError(f"insightface has no models; please unpack buffalo_l so that {wanted / _BUFFALO[0]} exists.")
    app = _face_analysis(folder, threshold)

    def detect(image: Tensor) -> tuple[Face, ...]:
        found = app.get(np.ascontiguousarray(to_bytes(image).numpy()[..., ::-1]))  # it wants BGR
        return _largest_first(map(_from_insightface, found))

    return refined(detect)


def _face_analysis(folder: Path, threshold: float) -> Any:
    """insightface's FaceAnalysis for ``folder``. Raises UserError when the package or a model is damaged."""
    try:
        with redirect_stdout(StringIO()):  # older versions print every file they open
            from insightface.app import FaceAnalysis

            app: Any = FaceAnalysis(
                name=folder.name,
                root=str(folder.parent.parent),
                allowed_modules=["detection", "landmark_2d_106"],
                providers=["CPUExecutionProvider"],
            )
            app.prepare(ctx_id=-1, det_size=(512, 512), det_thresh=threshold)
    except ImportError as problem:
        raise UserError(
            f"The package insightface cannot be imported ({problem.name or problem}); run `pip install insightface onnx"
            " onnxruntime`."
        ) from problem
    except Exception as problem:  # onnxruntime raises its own types, insightface asserts
        raise UserError(
            f"insightface cannot read its models {' and '.join(_BUFFALO)} in {folder} ({type(problem).__name__});"
            " please fetch them again (`playmate weights check insightface` compares them)."
        ) from problem
    if "landmark_2d_106" not in app.models:
        raise UserError(f"{folder / _BUFFALO[1]} is not insightface's network of 106 points; please fetch it again.")
    return app


def _buffalo_folder() -> Path | None:
    folders = insightface_folders("buffalo_l")
    return next((folder for folder in folders if all((folder / name).is_file() for name in _BUFFALO)), None)


def _from_insightface(found: Any) -> Face:
    left, top, right, bottom = map(float, found.bbox)
    return Face((left, top, right, bottom), torch.as_tensor(found.landmark_2d_106).float(), float(found.det_score))


@cache
def _mediapipe(threshold: float = _MEDIAPIPE_THRESHOLD) -> Detector:
    """MediaPipe's face mesh: 478 landmarks, in image mode, on the CPU."""
    if not installed("mediapipe"):
        raise UserError("The mediapipe detector is not installed; run `pip install mediapipe`.")
    path = model_file(*MESH_MODEL)
    if path is None:
        wanted = category_folders("detection")[0] / "face_landmarker.task"
        raise UserError(f"MediaPipe has no model; please put face_landmarker.task at {wanted}.")
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    class Landmarker(vision.FaceLandmarker):
        def __del__(self) -> None:
            """Do nothing: at interpreter exit MediaPipe's finalizer needs a thread that has ended, and logs errors."""

    options = vision.FaceLandmarkerOptions(
        BaseOptions(model_asset_buffer=path.read_bytes()),
        num_faces=_MOST_FACES,
        min_face_detection_confidence=threshold,
    )

    def found_in(pixels: np.ndarray) -> Any:
        return landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)).face_landmarks

    try:
        with _quiet_stderr():
            landmarker = Landmarker.create_from_options(options)
            found_in(np.zeros((64, 64, 3), np.uint8))
    except (RuntimeError, ValueError) as problem:
        raise UserError(f"{path} is not a face landmarker that MediaPipe can read; please fetch it again.") from problem

    def detect(image: Tensor) -> tuple[Face, ...]:
        height, width = image.shape[:2]
        size = torch.tensor([width, height, width], dtype=torch.float32)  # depth is in units of the width
        found = found_in(np.ascontiguousarray(to_bytes(image).numpy()))
        meshes = (torch.tensor([[p.x, p.y, p.z] for p in points]) * size for points in found)
        return _largest_first(replace(Face.of(mesh[:, :2]), mesh=mesh) for mesh in meshes)

    return detect


def _largest_first(faces: Any) -> tuple[Face, ...]:
    return tuple(sorted(faces, key=lambda face: -face.area))


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Redirect file descriptor 2: MediaPipe's native code logs while it starts, without a setting to disable it."""
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


#: Constructors of detectors, with the least score of a face as an optional argument.
DETECTORS: dict[str, Callable[..., Detector]] = {"insightface": _insightface, "mediapipe": _mediapipe}
