"""Sessions for the face networks: one person in one place, poses and faces of every kind (docs/method.md 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from playmate_core.values import EMOTIONS

from .acting import HIGH, LOW, pattern
from .clips import SPLITS
from .identity import canonical_keypoints, make_identity
from .rig import RIG, expression_from_rig
from .scene import Scene, make_scene
from .visemes import MOUTH, random_mouths

#: Reach of pitch, yaw, roll (degrees) and of t_x, t_y; the scale is drawn log-uniformly.
ANGLE_RANGE = (20.0, 35.0, 20.0)
TRANSLATION_RANGE = 0.12
SCALES = (1.05, 1.6)
#: First identity of each split; the identities of "judge" are used nowhere else, clips included.
FIRST_IDENTITY = {**{split: first for split, (first, _) in SPLITS.items()}, "judge": 3_000_000}
_MILD = (5.0, 8.0, 4.0)
#: One frame in this many has the pose of the one before it and another face: what differs between the two is expression
#: alone, which otherwise drowns in the pixels that a turning head moves.
SAME_POSE_EVERY = 3


@dataclass(frozen=True)
class Session:
    """K frames of one person and what is true of each.

    ``frames`` (K, S, S, 3) uint8, possibly lying on disk; ``rotation`` (K, 3) degrees, ``translation`` (K, 3),
    ``scale`` (K, 1), ``expression`` (K, 21, 3), ``keypoints`` (21, 3) canonical, ``rig`` (K, 16); ``emotion`` (K,) in
    the order of EMOTIONS, ``intensity`` (K,). Frame 0 is near frontal, as portraits are.
    """

    identity_seed: int
    frames: NDArray[np.uint8]
    rotation: Tensor
    translation: Tensor
    scale: Tensor
    expression: Tensor
    keypoints: Tensor
    rig: Tensor
    emotion: Tensor
    intensity: Tensor

    def __len__(self) -> int:
        return len(self.rotation)


def make_session(seed: int, index: int, split: str, frames: int, size: int = 256) -> Session:
    """Session ``index`` of a split: its own identity, its own scene; the same arguments give the same bytes."""
    from .pixels import render

    identity = make_identity(FIRST_IDENTITY[split] + index)
    rng = _session_rng(seed, identity.seed)
    scene = make_scene(int(rng.integers(2**31)))
    rotation, translation, scale = _poses(rng, frames)
    emotion = rng.integers(len(EMOTIONS), size=frames)
    intensity = rng.uniform(0.0, 1.0, frames)
    rig = _faces(rng, emotion, intensity).astype(np.float32)
    pictures = [render(identity, scene, rig[k], rotation[k], translation[k], scale[k, 0], size) for k in range(frames)]
    return Session(
        identity_seed=identity.seed,
        frames=np.stack(pictures),
        rotation=torch.from_numpy(rotation).float(),
        translation=torch.from_numpy(translation).float(),
        scale=torch.from_numpy(scale).float(),
        expression=torch.from_numpy(expression_from_rig(identity, rig)),
        keypoints=torch.from_numpy(canonical_keypoints(identity)),
        rig=torch.from_numpy(rig),
        emotion=torch.from_numpy(emotion.astype(np.int64)),
        intensity=torch.from_numpy(intensity).float(),
    )


def _session_rng(seed: int, identity_seed: int) -> Generator:
    """Generator for everything random about a session except the identity."""
    return np.random.default_rng([seed, identity_seed, 0x5E55])


def session_scene(seed: int, identity_seed: int) -> Scene:
    """The scene of the session of an identity in the corpus made with ``seed``: its first draw."""
    return make_scene(int(_session_rng(seed, identity_seed).integers(2**31)))


def _poses(rng: Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Two thirds spread over the whole reach, one third (and the first) near frontal; some repeat the one before."""
    wide = rng.uniform(-1, 1, (count, 3)) * ANGLE_RANGE
    mild = (rng.normal(0, 1, (count, 3)) * _MILD).clip(np.negative(ANGLE_RANGE), ANGLE_RANGE)
    is_mild = rng.random((count, 1)) < 1 / 3
    is_mild[0] = True
    translation = np.zeros((count, 3))
    translation[:, :2] = rng.uniform(-TRANSLATION_RANGE, TRANSLATION_RANGE, (count, 2))
    scale = np.exp(rng.uniform(np.log(SCALES[0]), np.log(SCALES[1]), (count, 1)))
    frames = np.arange(count)
    shown = np.where(frames % SAME_POSE_EVERY == SAME_POSE_EVERY - 1, frames - 1, frames)
    return np.where(is_mild, mild, wide)[shown], translation[shown], scale[shown]


def _faces(rng: Generator, emotion: NDArray[np.int64], intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rigs (K, 16): speaking mouths under emotions, blinks at any stage, eyes that look anywhere."""
    count = len(emotion)
    rig = intensity[:, None] * np.stack([pattern(EMOTIONS[e]) for e in emotion])
    rig[:, [RIG.index(name) for name in MOUTH]] += random_mouths(rng, count)
    spread = {
        "gaze_x": 0.45,
        "gaze_y": 0.3,
        "jaw_side": 0.12,
        "asymmetry": 0.06,
        "brow_inner": 0.06,
        "brow_outer": 0.06,
    }
    for name, deviation in spread.items():
        rig[:, RIG.index(name)] += deviation * rng.normal(0, 1, count)
    shut = np.where(rng.random(count) < 0.2, rng.uniform(0, 1, count), 0.0)
    for name in ("lid_left", "lid_right"):
        lid = rig[:, RIG.index(name)]
        rig[:, RIG.index(name)] = lid + (1.0 - lid) * shut
    return rig.clip(LOW, HIGH)
