"""The frozen values that packages exchange.

Shape letters: ``B`` batch, ``T`` frames, ``K`` = 21 keypoints, ``D`` channels, ``E`` emotions, ``H W`` pixels.
Tensors stored in values are float32 on the CPU; angles are degrees; images are in [0, 1]; ``fps`` is explicit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

KEYPOINTS = 21
FPS = 25.0
#: MEAD's eight classes in the order of its official code; between models emotions are matched by name, never by index.
EMOTIONS = ("angry", "disgusted", "contempt", "fear", "happy", "sad", "surprised", "neutral")
#: Keypoint indices that LivePortrait, JoyVASA and Ditto share.
LIP_KEYPOINTS = (6, 12, 14, 17, 19, 20)
EYE_KEYPOINTS = (11, 13, 15, 16, 18)
UPPER_LIP, LOWER_LIP, LIP_CORNERS = 20, 19, (14, 17)
#: Upper and lower lid of either eye, left then right.
LIDS = ((11, 13), (15, 16))
BROWS = (1, 2)


class FeatureRows(Protocol):
    """Rows (T, ...) that are read by ``rows[begin:end]`` or ``rows[numbers]``: a tensor, or a file of them. ``rows[:]``
    is a tensor of them all."""

    @property
    def shape(self) -> torch.Size: ...

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | Tensor, /) -> Tensor: ...


def row_blocks(rows: FeatureRows, size: int = 1024) -> Iterator[Tensor]:
    """All rows, at most ``size`` at once."""
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def expect(name: str, value: FeatureRows, *shape: int | str) -> None:
    """Raise ValueError unless ``value`` has ``shape``; a string stands for any length and names it in the message."""
    fits = value.ndim == len(shape) and all(
        isinstance(want, str) or want == got for want, got in zip(shape, value.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(s) for s in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(value.shape)}.")


def expect_rate(name: str, fps: float) -> None:
    """Raise ValueError unless ``fps`` is a positive number of frames a second."""
    if not fps > 0:
        raise ValueError(f"{name} must be a positive number of frames per second, got {fps}.")


def expect_same_rate(first: float, second: float, what: str) -> None:
    """Raise ValueError unless two values run at one rate; ``what`` names them in the message."""
    if abs(first - second) > 1e-6:
        raise ValueError(f"{what} run at {first:g} and {second:g} fps; resample one of them first.")


@dataclass(frozen=True)
class Pose:
    """Head pose: ``rotation`` (T, 3) pitch, yaw, roll in degrees; ``translation`` (T, 3); ``scale`` (T, 1)."""

    rotation: Tensor
    translation: Tensor
    scale: Tensor
    fps: float = FPS

    def __post_init__(self) -> None:
        expect("Pose.rotation", self.rotation, "T", 3)
        expect("Pose.translation", self.translation, len(self.rotation), 3)
        expect("Pose.scale", self.scale, len(self.rotation), 1)
        expect_rate("Pose.fps", self.fps)

    def __len__(self) -> int:
        return len(self.rotation)

    def __getitem__(self, frames: slice | Tensor) -> Pose:
        return replace(
            self, rotation=self.rotation[frames], translation=self.translation[frames], scale=self.scale[frames]
        )


@dataclass(frozen=True)
class Motion:
    """Face motion: a ``pose`` and the ``expression`` (T, K, 3), offsets from the canonical keypoints.

    A still is a motion of one frame. ``keypoint_space`` names the keypoints that the expression belongs to
    (:mod:`keypoint_space`), "" where it is unknown. ``origin``: how it was sampled, as (name, value) pairs, ()
    where it was not; edits keep it.
    """

    pose: Pose
    expression: Tensor
    keypoint_space: str = ""
    origin: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        expect("Motion.expression", self.expression, len(self.pose), KEYPOINTS, 3)

    def __len__(self) -> int:
        return len(self.pose)

    def __getitem__(self, frames: slice | Tensor) -> Motion:
        return replace(self, pose=self.pose[frames], expression=self.expression[frames])

    @property
    def fps(self) -> float:
        """Frames a second, as of the pose."""
        return self.pose.fps

    def with_pose(self, pose: Pose) -> Motion:
        """The same face on another head pose of the same length and rate."""
        expect_same_rate(self.fps, pose.fps, "The motion and the pose")
        return replace(self, pose=pose)


@dataclass(frozen=True)
class Transparency:
    """``alpha`` (H, W) in [0, 1] of a picture, and the sRGB ``background`` in [0, 1] that the picture was laid on."""

    alpha: Tensor
    background: tuple[float, float, float]


@dataclass(frozen=True)
class FaceCrop:
    """The face region of a picture, before any network has run on it.

    ``image`` (H, W, 3) the whole picture; ``crop_to_image`` (2, 3) affine from pixels of a square crop of ``size``
    pixels to picture pixels; ``detected``: the square comes from a detector, not from the user; ``landmarks`` (N, 2)
    the most detailed that were detected, in pixels of the picture; ``mesh`` (478, 3) MediaPipe's points with their
    depth, in the same unit, None without it; ``transparency`` of the picture, None where it is opaque.
    """

    image: Tensor
    crop_to_image: Tensor
    size: int
    detected: bool = False
    landmarks: Tensor | None = None
    mesh: Tensor | None = None
    transparency: Transparency | None = None

    def __post_init__(self) -> None:
        expect("FaceCrop.image", self.image, "H", "W", 3)
        expect("FaceCrop.crop_to_image", self.crop_to_image, 2, 3)


@dataclass(frozen=True)
class PortraitDetails:
    """What a picture tells beyond its motion, S frames each, for generators that are conditioned on it.

    ``angle_logits`` (S, 3, 66) of pitch, yaw, roll, from which the rotation was taken; ``eyes_open`` (S, 2) and
    ``eye_balls`` (S, 6) of :func:`diffusion.ditto.eyes.eye_features`. None where nothing read them.
    """

    angle_logits: Tensor | None = None
    eyes_open: Tensor | None = None
    eye_balls: Tensor | None = None


@dataclass(frozen=True)
class Portrait:
    """A source portrait: the picture, the face crop in it, and the outputs of the face networks for that crop.

    ``image`` (H, W, 3) the whole picture; ``crop_to_image`` (2, 3) affine from crop pixels (x, y, 1) to picture pixels;
    ``crop_size`` the side of that crop in pixels; ``appearance`` (C, D, h, w) feature volume; ``keypoints`` (K, 3)
    canonical; ``rest`` the motion of one frame that the picture itself shows; ``familiar`` whether the face networks
    know faces of its kind, so that what they read of it can be trusted; ``details`` what else was read;
    ``transparency`` of the picture, None where it is opaque; ``landmarks`` (N, 2) of the face, in pixels of the
    picture, None where no detector told them.
    """

    image: Tensor
    crop_to_image: Tensor
    crop_size: int
    appearance: Tensor
    keypoints: Tensor
    rest: Motion
    familiar: bool = True
    details: PortraitDetails | None = None
    transparency: Transparency | None = None
    landmarks: Tensor | None = None

    def __post_init__(self) -> None:
        expect("Portrait.image", self.image, "H", "W", 3)
        expect("Portrait.crop_to_image", self.crop_to_image, 2, 3)
        expect("Portrait.appearance", self.appearance, "C", "D", "h", "w")
        expect("Portrait.keypoints", self.keypoints, KEYPOINTS, 3)
        if len(self.rest) != 1:
            raise ValueError(f"Portrait.rest must be one frame, got {len(self.rest)}.")

    @property
    def keypoint_space(self) -> str:
        """The keypoint space of the face model that read the portrait."""
        return self.rest.keypoint_space


@dataclass(frozen=True)
class AudioFeatures:
    """Encoded speech, one row per video frame.

    ``features`` (T, L, D): L hidden layers (1 if the encoder has one, or if they were mixed), D = two 50 Hz tokens
    concatenated or averaged. ``energy`` (T,): loudness in [0, 1], for silence gates and plots. ``encoder``: name of
    the audio encoder. ``before`` and ``after`` (M, L, D): features before the first and after the last frame, context
    for generators that is never rendered.
    """

    features: FeatureRows
    energy: Tensor
    encoder: str
    fps: float = FPS
    before: Tensor | None = None
    after: Tensor | None = None

    def __post_init__(self) -> None:
        expect("AudioFeatures.features", self.features, "T", "L", "D")
        for name, rows in (("before", self.before), ("after", self.after)):
            if rows is not None:
                expect(f"AudioFeatures.{name}", rows, "M", *self.features.shape[1:])
        expect("AudioFeatures.energy", self.energy, len(self.features))
        expect_rate("AudioFeatures.fps", self.fps)

    def __len__(self) -> int:
        return len(self.features)

    def rows_at(self, frames: Tensor) -> Tensor:
        """The rows (N, L, D) of frame numbers (N,): below 0 those of ``before``, from T on those of ``after``."""
        found = self.features[frames.clamp(0, len(self) - 1)]
        for rows, first in ((self.before, 0 if self.before is None else -len(self.before)), (self.after, len(self))):
            if rows is not None and len(rows):
                there = (frames >= first) & (frames < first + len(rows))
                found = torch.where(there[:, None, None], rows[(frames - first).clamp(0, len(rows) - 1)], found)
        return found


@dataclass(frozen=True)
class EmotionCurve:
    """Emotion weights and intensity for every frame.

    ``weights`` (T, E) over ``names``, each row summing to one, or to zero for "no control"; ``intensity`` (T,) in 0..1.
    """

    weights: Tensor
    intensity: Tensor
    names: tuple[str, ...] = EMOTIONS
    fps: float = FPS

    def __post_init__(self) -> None:
        expect("EmotionCurve.weights", self.weights, "T", len(self.names))
        expect("EmotionCurve.intensity", self.intensity, len(self.weights))
        expect_rate("EmotionCurve.fps", self.fps)

    def __len__(self) -> int:
        return len(self.weights)

    @staticmethod
    def constant(name: str, intensity: float, frames: int, fps: float = FPS) -> EmotionCurve:
        """One emotion, held for ``frames``. Raises ValueError for an unknown name or an intensity outside [0, 1]."""
        if name not in EMOTIONS:
            raise ValueError(f"Unknown emotion {name!r}; choose one of {', '.join(EMOTIONS)}.")
        if not 0.0 <= intensity <= 1.0:
            raise ValueError(f"Emotion intensity must lie in [0, 1], got {intensity:g}.")
        weights = torch.zeros(frames, len(EMOTIONS))
        weights[:, EMOTIONS.index(name)] = 1.0
        return EmotionCurve(weights, torch.full((frames,), float(intensity)), fps=fps)
