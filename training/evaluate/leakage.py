"""Disentanglement of pose and expression in the face networks, the purpose of Eq. 4 (docs/method.md 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from playmate_core.face import FaceModel
from training.data import Sessions
from training.evaluate.ablations import spread_text
from training.evaluate.level2 import far_pairs, read, redraw
from training.evaluate.motion_metrics import ratio
from training.evaluate.table import Row
from training.pairs import images
from training.probe import Reader

#: Pairs of frames of each person, and the draws of pairs over which the spread is stated.
PAIRS = 2
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Leakage:
    """Leakage relative to the intended change; 0 is none.

    ``to_expression``: change of the re-read rig when only the pose is replaced, over that when only the expression is.
    ``to_pose``: change of the re-read angles when only the expression is replaced, over that when only the pose is.
    """

    to_expression: float
    to_pose: float


@torch.inference_mode()
def leakage(face: FaceModel, probe: Reader, sessions: Sessions, seed: int) -> Leakage:
    """Draw frame i with j's pose alone and with j's expression alone, and read both against i redrawn as it is.

    Pose means rotation, translation and scale. i and j are read by M and lie at least GAP degrees apart.
    """
    rig_by_pose, rig_by_face, turn_by_pose, turn_by_face = 0.0, 0.0, 0.0, 0.0
    for index in range(len(sessions)):
        pairs = far_pairs(sessions[index], sessions[index], PAIRS, seed * len(sessions) + index)
        for i, j in pairs:
            source = images([(sessions[index], i)])
            seen, other = read(face, source), read(face, images([(sessions[index], j)]))
            posed, acted = replace(other, expression=seen.expression), replace(seen, expression=other.expression)
            same, by_pose, by_face = (probe(redraw(face, source, seen, motion)) for motion in (seen, posed, acted))
            rig_by_pose += float((by_pose.rig - same.rig).norm())
            rig_by_face += float((by_face.rig - same.rig).norm())
            turn_by_pose += float((by_pose.rotation - same.rotation).norm())
            turn_by_face += float((by_face.rotation - same.rotation).norm())
    return Leakage(ratio(rig_by_pose, rig_by_face), ratio(turn_by_face, turn_by_pose))


def leakage_rows(face: FaceModel, probe: Reader, sessions: Sessions, name: str = "with Eq. 4") -> list[Row]:
    """Both leaks of one face model, mean and half range over draws of pairs; ``name`` says which model."""
    found = [leakage(face, probe, sessions, seed) for seed in SEEDS]
    asked = "lower than without" if name == "with Eq. 4" else ""
    return [
        Row(f"leakage pose to expression, {name}", spread_text([one.to_expression for one in found]), asked),
        Row(f"leakage expression to pose, {name}", spread_text([one.to_pose for one in found]), asked),
    ]
