"""Motions that are wrong on purpose: each must fail one row of :mod:`liveliness`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from playmate_core.values import Motion
from training.evaluate.level1 import rig_of
from training.evaluate.subjects import Subject
from training.synthetic.identity import make_identity
from training.synthetic.rig import RIG, expression_from_rig

LID_COLUMNS = [RIG.index("lid_left"), RIG.index("lid_right")]
GAZE_COLUMNS = [RIG.index("gaze_x"), RIG.index("gaze_y")]


def smoothed(subject: Subject, motion: Motion) -> Motion:
    """The head averaged over 5 frames."""
    padded = torch.cat(
        [motion.pose.rotation[:1].expand(2, -1), motion.pose.rotation, motion.pose.rotation[-1:].expand(2, -1)]
    )
    return motion.with_pose(replace(motion.pose, rotation=padded.unfold(0, 5, 1).mean(-1)))


def shaken(subject: Subject, motion: Motion) -> Motion:
    """The head with noise as large as its usual step."""
    turned = motion.pose.rotation
    noise = torch.randn(turned.shape, generator=torch.Generator().manual_seed(0))
    return motion.with_pose(replace(motion.pose, rotation=turned + turned.diff(dim=0).std(0) * noise))


def with_rig(subject: Subject, motion: Motion, change: Callable[[Tensor], Tensor]) -> Motion:
    """``motion`` with its rig (T, 16) changed."""
    rig = change(rig_of(subject, motion).clone())
    identity = make_identity(subject.clip.identity_seed)
    return replace(motion, expression=torch.as_tensor(expression_from_rig(identity, rig.numpy())))


def held_lids(subject: Subject, motion: Motion) -> Motion:
    """The lids held where they usually are."""

    def held(rig: Tensor) -> Tensor:
        rig[:, LID_COLUMNS] = rig[:, LID_COLUMNS].median(0).values
        return rig

    return with_rig(subject, motion, held)


def doubled_blinks(subject: Subject, motion: Motion) -> Motion:
    """Every blink again 8 frames later."""

    def doubled(rig: Tensor) -> Tensor:
        lids = rig[:, LID_COLUMNS]
        rig[8:, LID_COLUMNS] = torch.maximum(lids[8:], lids[:-8])
        return rig

    return with_rig(subject, motion, doubled)


def long_blinks(subject: Subject, motion: Motion) -> Motion:
    """Lids that stay shut for 5 frames longer."""

    def longer(rig: Tensor) -> Tensor:
        lids = rig[:, LID_COLUMNS]
        rig[5:, LID_COLUMNS] = torch.stack([lids[k : len(lids) - 5 + k] for k in range(6)]).amax(0)
        return rig

    return with_rig(subject, motion, longer)


def popped(subject: Subject, motion: Motion) -> Motion:
    """The mouth wide open for one frame."""

    def popped(rig: Tensor) -> Tensor:
        rig[len(rig) // 2, RIG.index("jaw")] += 1.0
        return rig

    return with_rig(subject, motion, popped)


def fixed_gaze(subject: Subject, motion: Motion) -> Motion:
    """The gaze of the first frame."""

    def held(rig: Tensor) -> Tensor:
        rig[:, GAZE_COLUMNS] = rig[:1, GAZE_COLUMNS]
        return rig

    return with_rig(subject, motion, held)
