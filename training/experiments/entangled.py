"""An M with a known entanglement, the pictures it is measured on, and what is measured."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from playmate_core.face import FaceModel, FaceReading
from playmate_core.face.motion import MOVES_NOT, MotionExtractor
from training.face_pairs import losses
from training.face_pairs.clips import FramePairs, far_pair, sized
from training.synthetic.acting import pattern
from training.synthetic.identity import make_identity
from training.synthetic.pixels import render
from training.synthetic.rig import RIG
from training.synthetic.sessions import FIRST_IDENTITY, Session, session_scene

#: Degrees that are one unit of the entanglement's input.
DEGREES = 10.0
#: Poses (pitch, yaw, roll in degrees) and faces of the measuring grid: every pose with every face.
POSES = ((0.0, 0.0, 0.0), (12.0, -8.0, 4.0), (-10.0, 20.0, -6.0), (4.0, -25.0, 10.0))
JAWS = {"neutral": 0.0, "happy": 0.1, "surprised": 0.6, "angry": 0.3}


class EntangledMotion(nn.Module):
    """M with one more linear layer, by which its pose adds to its expression: expression += A pose.

    The layer is part of M and learns like the rest; nothing tells it to be zero.
    """

    def __init__(self, motion: MotionExtractor, strength: float, seed: int) -> None:
        """``strength``: deviation that ten degrees of one axis add to a coordinate, in its own spread."""
        super().__init__()
        self.detector = copy.deepcopy(motion.detector)
        spread = getattr(self.detector, "expression_spread", None)
        count = self.detector(torch.zeros(1, 3, 256, 256)).expression[0].numel() if spread is None else len(spread)
        spread = torch.full((count,), 0.01) if spread is None else spread.clone()
        spread[spread <= MOVES_NOT] = 0.0
        directions = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
        self.leak = nn.Parameter(strength * spread[:, None] * directions)

    def forward(self, image: Tensor) -> FaceReading:
        reading: FaceReading = self.detector(image)
        return replace(reading, expression=reading.expression + self._added(reading))

    def without(self, reading: FaceReading) -> FaceReading:
        """A reading of this M without what the layer added."""
        return replace(reading, expression=reading.expression - self._added(reading))

    def _added(self, reading: FaceReading) -> Tensor:
        return ((reading.rotation / DEGREES) @ self.leak.T).unflatten(-1, (-1, 3))


class FittedWarping(nn.Module):
    """W with one more linear layer on the keypoints it is given, fitted in closed form to an entangled M.

    A W that was trained with such an M would draw well from its keypoints. Of what the entanglement adds, it can take
    back what can be told from the keypoints themselves, whose pose shows; so reconstruction is content with the
    entangled M, as it would be in practice. The layer is part of W and learns like the rest.
    """

    COMPONENTS = 8

    def __init__(self, warping: nn.Module, entangled: Tensor, clean: Tensor) -> None:
        """Placed keypoints (N, K, 3) of the same frames, by the entangled M and without what was added."""
        super().__init__()
        self.warping = copy.deepcopy(warping)
        x, wanted = entangled.flatten(1).double(), (clean - entangled).flatten(1).double()
        mean = x.mean(0)
        _, _, basis = torch.linalg.svd(x - mean, full_matrices=False)
        basis = basis[: self.COMPONENTS].T  # keypoints differ by pose first of all; eight directions hold it
        seen = torch.cat([(x - mean) @ basis, torch.ones(len(x), 1, dtype=torch.float64)], 1)
        solution = torch.linalg.lstsq(seen, wanted).solution
        self.weight = nn.Parameter((basis @ solution[:-1]).float())
        self.bias = nn.Parameter((solution[-1] - mean @ basis @ solution[:-1]).float())

    def forward(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Any:
        return self.warping(volume, self.taken_back(x_s), self.taken_back(x_d))

    def taken_back(self, placed: Tensor) -> Tensor:
        """Keypoints (B, K, 3) as the wrapped W knows them."""
        return placed + (placed.flatten(1) @ self.weight + self.bias).unflatten(1, (-1, 3))


class SessionPairs:
    """Pairs of frames of rendered sessions; nothing but their pictures is given to training."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.sessions = sessions

    def draw(self, count: int, min_gap: float, generator: torch.Generator) -> FramePairs:
        chosen = torch.randint(len(self.sessions), (count,), generator=generator).tolist()
        picks = [far_pair(self.sessions[k].rotation, min_gap, generator) for k in chosen]
        frames = [
            torch.from_numpy(np.stack([self.sessions[k].frames[a], self.sessions[k].frames[b]]))
            for k, (a, b, _) in zip(chosen, picks, strict=True)
        ]
        stacked = torch.stack(frames, 1).permute(0, 1, 4, 2, 3).float() / 255.0
        return FramePairs(stacked[0], stacked[1], torch.tensor([gap for _, _, gap in picks]))


@dataclass(frozen=True)
class Grid:
    """Pictures of people in every pose with every face: (people, faces, poses, 3, S, S)."""

    pictures: Tensor


def make_grid(people: int, seed: int, size: int = 256) -> Grid:
    """People of the test split, whom no network has met."""
    rows = []
    for index in range(people):
        identity = make_identity(FIRST_IDENTITY["test"] + index)
        scene = session_scene(seed, identity.seed)
        for emotion, jaw in JAWS.items():
            rig = pattern(emotion).astype(np.float64)
            rig[RIG.index("jaw")] += jaw
            for pose in POSES:
                rows.append(render(identity, scene, rig.clip(-1.0, 1.0), pose, (0.0, 0.0, 0.0), 1.3, size))
    pictures = torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).float() / 255.0
    return Grid(pictures.unflatten(0, (people, len(JAWS), len(POSES))))


@torch.no_grad()
def fit_warping(model: FaceModel, motion: EntangledMotion, sessions: Sequence[Session]) -> FittedWarping:
    """W of ``model`` fitted to what ``motion`` reads in the sessions it will learn from."""
    frames = torch.cat([torch.from_numpy(np.asarray(one.frames)) for one in sessions]).permute(0, 3, 1, 2)
    clean, tangled = [], []
    for part in frames.split(8):
        reading = motion(sized(part.float() / 255.0, model.config.reading_size))
        tangled.append(losses.moved(reading, reading, reading))
        clean.append(losses.moved(reading, reading, motion.without(reading)))
    return FittedWarping(model.warping, torch.cat(tangled), torch.cat(clean))


@dataclass(frozen=True)
class Measured:
    """``leakage``: change of M's expression when the pose alone changes, over that when the face alone changes, both as
    RMS deviations in units of each coordinate's spread. ``spread``: the latter. ``psnr``: of a frame drawn from another
    pose and face of its person, decibels."""

    leakage: float
    spread: float
    psnr: float


@torch.inference_mode()
def measure(model: FaceModel, grid: Grid, unit: Tensor, draw_size: int) -> Measured:
    """``unit`` (K, 3): the spread of each coordinate of the expression; coordinates without any are left out."""
    model.eval()
    people, faces, poses = grid.pictures.shape[:3]
    flat = grid.pictures.flatten(0, 2)
    readings = [model.motion(sized(part, model.config.reading_size)) for part in flat.split(16)]
    alive = unit.flatten() > MOVES_NOT
    expression = torch.cat([r.expression for r in readings]).flatten(1)[:, alive] / unit.flatten()[alive]
    table = expression.unflatten(0, (people, faces, poses))
    by_pose = float(table.var(2, correction=0).mean().sqrt())
    by_face = float(table.var(1, correction=0).mean().sqrt())
    decibels = []
    for person in range(people):
        for face in range(faces):  # from the first pose of one face to another pose of the next
            source = grid.pictures[person, face, face % poses][None]
            driving = grid.pictures[person, (face + 1) % faces, (face + 1) % poses][None]
            i, j = (model.motion(sized(x, model.config.reading_size)) for x in (source, driving))
            volume = model.appearance(sized(source, draw_size or model.config.image_size))
            drawn = model.draw(volume, losses.moved(i, i, i), losses.moved(i, j, j))
            error = (drawn - sized(driving, drawn.shape[-1])).square().mean()
            decibels.append(float(-10.0 * error.clamp(min=1e-10).log10()))
    return Measured(by_pose / by_face, by_face, float(np.mean(decibels)))
