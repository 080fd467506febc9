"""What ``lock_pose`` is worth and what it costs, on long motion with an emotion.

With it the head is that of the emotion off, in every bit, so all figures of the pose are those of the emotion off. The
control is the same motion without it, whose head must leave that course.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from playmate_core.diffusion.generate import stride
from playmate_core.values import EMOTIONS, Motion
from training.evaluate import liveliness as life
from training.evaluate import motion_metrics as metrics
from training.evaluate.subjects import Subject, System, Take
from training.evaluate.table import Row, number


def off_course(motion: Motion, course: Motion) -> float:
    """Mean distance of the head's angles from those of ``course``, over their deviation there."""
    apart = (motion.pose.rotation - course.pose.rotation).abs().mean(0)
    return float((apart / course.pose.rotation.std(0).clamp(min=1e-9)).mean())


def lock_rows(system: System, subjects: Sequence[Subject], calm: Sequence[Motion]) -> list[Row]:
    """Rows on rollouts of the ``subjects`` with an emotion each; ``calm`` are the same with the emotion off, a seed for
    each as :func:`liveliness_rows` gives them."""
    emotions = [name for name in EMOTIONS if name != "neutral"]
    takes = [Take(subject, emotions[k % len(emotions)], seed=k) for k, subject in enumerate(subjects)]
    felt = [system.perform(takes, lock_pose=lock) for lock in (False, True)]
    free, locked = (life.Spoken(subjects, motions) for motions in felt)
    moved, held = (
        float(np.mean([off_course(m, c) for m, c in zip(each.motions, calm, strict=True)])) for each in (free, locked)
    )
    lost = lip_correlation(free) - lip_correlation(locked)
    every, overlap = stride(system.denoiser.config.window, system.options.overlap), system.options.overlap
    joints, count = life.joint_figure(locked, every, overlap, life.face)
    without, _ = life.joint_figure(free, every, overlap, life.face)
    asked = f"<= {life.JOINT_LIMIT:g}"
    return [
        Row("emotion with lock_pose: head off its course, over its deviation", number(held), "0", held == 0.0),
        life.control("without lock_pose", moved, moved == 0.0),
        Row("loss of lip correlation by lock_pose", number(lost, 4), "<= 0.005", lost <= 0.005),
        Row(
            f"emotion with lock_pose, {count} joints: acceleration of the expression, over the overall mean"
            f" (without: {number(without)})",
            number(joints),
            asked,
            joints <= life.JOINT_LIMIT,
        ),
    ]


def lip_correlation(spoken: life.Spoken) -> float:
    """Mean lip correlation."""
    pairs = zip(spoken.subjects, spoken.motions, strict=True)
    return float(np.mean([metrics.correlation(s.lips(m), s.aperture) for s, m in pairs]))
