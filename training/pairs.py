"""Pairs of frames of one person, and the ground truth the face losses are guided by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from playmate_core.face.front import HeadPlacement
from playmate_core.geometry import place, rotation_matrix
from training.data import Session, Sessions
from training.synthetic.rig import RIG

#: From which mean closure of the two lids on (1: closed) a frame counts as one of lids partly closed.
PARTLY_CLOSED = 0.25


@dataclass(frozen=True)
class Truth:
    """The rendered head's own motion, in LivePortrait's convention, for B frames."""

    keypoints: Tensor  # (B, K, 3) canonical
    rotation: Tensor  # (B, 3) degrees
    translation: Tensor  # (B, 3)
    scale: Tensor  # (B, 1)
    expression: Tensor  # (B, K, 3)

    def placed(self) -> Tensor:
        """Eq. 1 on ground truth -> (B, K, 3), in full precision also where the networks run in half."""
        with torch.autocast(self.rotation.device.type, enabled=False):
            return place(self.keypoints, self.rotation, self.expression, self.translation, self.scale)


@dataclass(frozen=True)
class Blur:
    """How wrong a first look is, one standard deviation: degrees, picture halves, and log scale."""

    degrees: float = 2.5
    shift: float = 0.012
    scale: float = 0.025


def about(truth: Truth, blur: Blur, generator: torch.Generator) -> HeadPlacement:
    """The true pose, wrong by about as much as a first look is."""
    device = truth.rotation.device
    noise = torch.randn(len(truth.rotation), 7, generator=generator).to(device)
    return HeadPlacement(
        truth.rotation + blur.degrees * noise[:, :3],
        truth.translation + blur.shift * noise[:, 3:6] * torch.tensor([1.0, 1.0, 0.0], device=device),
        truth.scale * (blur.scale * noise[:, 6:]).exp(),
    )


@dataclass(frozen=True)
class Pairs:
    """B pairs (source i, driving j) of one clip each; images (B, 3, S, S) in [0, 1] at the sessions' full size."""

    source: Tensor
    driving: Tensor
    source_truth: Truth
    driving_truth: Truth


def pose_gap_degrees(first: Tensor, second: Tensor) -> Tensor:
    """Geodesic angle between two rotations given as degrees (..., 3) -> (...)."""
    turn = rotation_matrix(first) @ rotation_matrix(second).transpose(-1, -2)
    cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1.0) / 2.0
    return torch.rad2deg(torch.acos(cosine.clamp(-1.0, 1.0)))


def draw_pairs(
    sessions: Sessions,
    count: int,
    min_gap: float,
    generator: torch.Generator,
    same_pose: float = 0.0,
    lids: float = 0.0,
) -> Pairs:
    """Draw ``count`` pairs, each from a random session, more than ``min_gap`` degrees apart where the session has such.

    A near-static pair teaches Eq. 4 nothing (docs/method.md 1.2): of eight draws the first far enough apart is
    taken. A share
    ``same_pose`` is drawn from frames of one pose and two faces instead, where the session has such. Independently, a
    share ``lids`` has a driving frame whose lids are partly or wholly closed, where the session has such.
    """
    picks: list[tuple[Session, int, int]] = []
    alike = torch.rand(count, generator=generator) < same_pose
    # drawn only where asked for: a run without it draws the same pairs as before
    closing = torch.rand(count, generator=generator) < lids if lids else torch.zeros(count, dtype=torch.bool)
    numbers = torch.randint(len(sessions), (count,), generator=generator)
    for which, wanted, closes in zip(numbers, alike, closing, strict=True):
        session = sessions[int(which)]
        every = torch.arange(len(session.rotation))
        closed = partly_closed(session) if closes else every
        driving = closed if len(closed) else every
        pairs = one_pose(session) if wanted else torch.empty(0, 2)
        pairs = pairs[torch.isin(pairs[:, 1], driving)]
        if len(pairs):
            i, j = pairs[int(torch.randint(len(pairs), (1,), generator=generator))].tolist()
        else:
            i, j = _far_apart(session, driving, min_gap, generator)
        picks.append((session, i, j))
    first = [(session, i) for session, i, _ in picks]
    second = [(session, j) for session, _, j in picks]
    return Pairs(images(first), images(second), truth(first), truth(second))


def partly_closed(session: Session) -> Tensor:
    """The frames of a session in which both lids together are at least `PARTLY_CLOSED`: (N,)."""
    lids = session.rig[:, [RIG.index("lid_left"), RIG.index("lid_right")]].mean(-1)
    return (lids >= PARTLY_CLOSED).nonzero()[:, 0]


def one_pose(session: Session) -> Tensor:
    """Every ordered pair of different frames of a session that stand in exactly one pose: (N, 2)."""
    pose = torch.cat([session.rotation, session.translation, session.scale], -1)
    same = (pose[:, None] == pose[None]).all(-1)
    return same.fill_diagonal_(False).nonzero()


def _far_apart(session: Session, driving: Tensor, min_gap: float, generator: torch.Generator) -> tuple[int, int]:
    """A source frame and one of the ``driving`` frames (N,)."""
    tries = torch.randint(len(session.rotation), (8, 2), generator=generator)
    tries[:, 1] = driving[tries[:, 1] % len(driving)]
    gaps = pose_gap_degrees(session.rotation[tries[:, 0]], session.rotation[tries[:, 1]])
    best = int((gaps > min_gap).int().argmax()) if bool((gaps > min_gap).any()) else int(gaps.argmax())
    return int(tries[best, 0]), int(tries[best, 1])


def images(frames: list[tuple[Session, int]]) -> Tensor:
    """Frames as (B, 3, S, S) in [0, 1]."""
    stacked = torch.from_numpy(np.stack([np.asarray(session.frames[i]) for session, i in frames]))
    return stacked.permute(0, 3, 1, 2).float() / 255.0


def truth(frames: list[tuple[Session, int]]) -> Truth:
    """Ground truth of frames, stacked."""
    return Truth(
        keypoints=torch.stack([session.keypoints for session, _ in frames]),
        rotation=torch.stack([session.rotation[i] for session, i in frames]),
        translation=torch.stack([session.translation[i] for session, i in frames]),
        scale=torch.stack([session.scale[i] for session, i in frames]),
        expression=torch.stack([session.expression[i] for session, i in frames]),
    )


def resized(image: Tensor, side: int) -> Tensor:
    """Pictures (B, 3, S, S) area-averaged to ``side``; untouched when they have that size."""
    return image if image.shape[-1] == side else F.interpolate(image, size=(side, side), mode="area")


def every_expression(sessions: Sessions) -> Tensor:
    """The expression of every frame of every session, (T, K, 3)."""
    return torch.cat([sessions[index].expression for index in range(len(sessions))])
