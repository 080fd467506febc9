"""An M with a known entanglement, the pictures it is measured on, and what is measured."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from playmate_core.face import FaceModel, FaceReading
from playmate_core.face.motion import MOVES_NOT, MotionExtractor
from training.face_pairs import losses
from training.face_pairs.clips import FramePairs, far_pair, sized
from training.face_pairs.stage import PairsStage
from training.run_state import VALIDATION
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

    The layer is part of M and learns like the rest; nothing tells it to be zero. Its weights ``leak`` (3 K, 3) are in
    each coordinate's own spread a ten degrees: spreads differ by a hundred times, and Adam moves every weight alike.
    """

    spread: Tensor

    def __init__(self, motion: MotionExtractor, strength: float, seed: int) -> None:
        """``strength``: deviation that ten degrees of one axis add to a coordinate, in its own spread."""
        super().__init__()
        self.detector = copy.deepcopy(motion.detector)
        spread = getattr(self.detector, "expression_spread", None)
        device = next(self.detector.parameters()).device
        if spread is None:
            count = self.detector(torch.zeros(1, 3, 256, 256, device=device)).expression[0].numel()
            spread = torch.full((count,), 0.01, device=device)
        spread = spread.clone()
        spread[spread <= MOVES_NOT] = 0.0
        self.register_buffer("spread", spread)
        directions = torch.randn(len(spread), 3, generator=torch.Generator().manual_seed(seed))
        self.leak = nn.Parameter(strength * directions.to(device))

    def forward(self, image: Tensor) -> FaceReading:
        reading: FaceReading = self.detector(image)
        return replace(reading, expression=reading.expression + self._added(reading))

    def without(self, reading: FaceReading) -> FaceReading:
        """A reading of this M without what the layer added."""
        return replace(reading, expression=reading.expression - self._added(reading))

    def matrix(self) -> Tensor:
        """A (3 K, 3), in canonical units a ten degrees."""
        return self.spread[:, None] * self.leak

    def _added(self, reading: FaceReading) -> Tensor:
        return ((reading.rotation / DEGREES) @ self.matrix().T).unflatten(-1, (-1, 3))


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
        # in double precision on the CPU: not every device has it, and few solve a system that is short of rank
        x, wanted = (points.flatten(1).cpu().double() for points in (entangled, clean - entangled))
        mean = x.mean(0)
        _, _, basis = torch.linalg.svd(x - mean, full_matrices=False)
        basis = basis[: self.COMPONENTS].T  # keypoints differ by pose first of all; eight directions hold it
        seen = torch.cat([(x - mean) @ basis, torch.ones(len(x), 1, dtype=torch.float64)], 1)
        solution = torch.linalg.lstsq(seen, wanted).solution
        self.weight = nn.Parameter((basis @ solution[:-1]).to(entangled))
        self.bias = nn.Parameter((solution[-1] - mean @ basis @ solution[:-1]).to(entangled))

    def forward(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Any:
        return self.warping(volume, self.taken_back(x_s), self.taken_back(x_d))

    def taken_back(self, placed: Tensor) -> Tensor:
        """Keypoints (B, K, 3) as the wrapped W knows them."""
        return placed + (placed.flatten(1) @ self.weight + self.bias).unflatten(1, (-1, 3))


@dataclass(frozen=True)
class Shown:
    """What training sees of a session: ``frames`` (K, S, S, 3) uint8, and ``rotation`` (K, 3) to choose pairs by."""

    frames: NDArray[np.uint8]
    rotation: Tensor


class SessionPairs:
    """Pairs of frames of rendered sessions; nothing but their pictures is given to training."""

    def __init__(self, sessions: Sequence[Shown | Session]) -> None:
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
def fit_warping(model: FaceModel, motion: EntangledMotion, sessions: Sequence[Shown | Session]) -> FittedWarping:
    """W of ``model`` fitted to what ``motion`` reads in the sessions it will learn from."""
    device = motion.leak.device
    frames = torch.cat([torch.from_numpy(np.asarray(one.frames)) for one in sessions]).permute(0, 3, 1, 2)
    clean, tangled = [], []
    for part in frames.split(8):
        reading = motion(sized(part.to(device).float() / 255.0, model.config.reading_size))
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
    pictures = grid.pictures.to(next(model.parameters()).device)
    people, faces, poses = pictures.shape[:3]
    readings = [model.motion(sized(part, model.config.reading_size)) for part in pictures.flatten(0, 2).split(16)]
    unit = unit.flatten().to(pictures.device)
    alive = unit > MOVES_NOT
    expression = torch.cat([r.expression for r in readings]).flatten(1)[:, alive] / unit[alive]
    table = expression.unflatten(0, (people, faces, poses))
    by_pose = float(table.var(2, correction=0).mean().sqrt())
    by_face = float(table.var(1, correction=0).mean().sqrt())
    decibels = []
    for person in range(people):
        for face in range(faces):  # from the first pose of one face to another pose of the next
            source = pictures[person, face, face % poses][None]
            driving = pictures[person, (face + 1) % faces, (face + 1) % poses][None]
            i, j = (model.motion(sized(x, model.config.reading_size)) for x in (source, driving))
            volume = model.appearance(sized(source, draw_size or model.config.image_size))
            drawn = model.draw(volume, losses.moved(i, i, i), losses.moved(i, j, j))
            error = (drawn - sized(driving, drawn.shape[-1])).square().mean()
            decibels.append(float(-10.0 * error.clamp(min=1e-10).log10()))
    return Measured(by_pose / by_face, by_face, float(np.mean(decibels)))


def course(run: Path) -> dict[int, Measured]:
    """What was measured in a run, by the step."""
    path = run / VALIDATION
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    names = [one.name for one in fields(Measured)]
    return {line["step"]: Measured(**{name: line[name] for name in names}) for line in lines}


def pulls(stage: PairsStage, batch: FramePairs, leak: Tensor) -> dict[str, float]:
    """The relative derivative of Eq. 4 and of reconstruction along ``leak``, by V and by the pixels alone."""
    i, j, model = stage.frame(batch.source, True), stage.frame(batch.driving, True), stage.model
    a, b = losses.recombined(model.draw, i, j)
    drawn = model.draw(i.volume, i.placed(), losses.moved(i.reading, j.reading, j.reading))
    target = sized(batch.driving, drawn.shape[-1])
    values = {
        "Eq. 4 by V": stage.look_apart(a, b),
        "Eq. 4 by pixels": (a - b).abs().mean(),
        "reconstruction by V": stage.look_apart(drawn, target),
        "reconstruction by pixels": (drawn - target).abs().mean(),
    }
    found = {}
    for name, value in values.items():
        (slope,) = torch.autograd.grad(value, leak, retain_graph=True)
        found[name] = float((slope * leak).sum().detach()) / float(value.detach())
    return found
