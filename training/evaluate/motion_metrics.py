"""Motion-space metrics that need no trained network (docs/method.md 3.2). r = generated, g = ground truth, 25 fps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from playmate_core.values import Motion

#: Frames of lag searched on either side (docs/method.md 3.2).
LAG = 5


def correlation(first: Tensor, second: Tensor) -> float:
    """Pearson correlation of two tracks, cut to the shorter; 0 when either does not move."""
    n = min(len(first), len(second))
    a, b = first[:n] - first[:n].mean(), second[:n] - second[:n].mean()
    scale = float(a.norm() * b.norm())
    return float((a * b).sum()) / scale if scale > 1e-9 else 0.0


def lag_frames(generated: Tensor, truth: Tensor) -> int:
    """Shift in frames, within +-5, at which the generated track fits the true one best; positive is late."""
    n = min(len(generated), len(truth))
    scores = [
        correlation(generated[LAG + shift : n - LAG + shift], truth[LAG : n - LAG]) for shift in range(-LAG, LAG + 1)
    ]
    return int(np.argmax(scores)) - LAG


def closure_contrast(aperture: Tensor, bilabial: Tensor) -> float:
    """How much more closed the lips are on /p b m/ frames than elsewhere (canonical units)."""
    n = min(len(aperture), len(bilabial))
    held = bilabial[:n].bool()
    if not held.any() or held.all():
        return float("nan")
    return float(aperture[:n][~held].mean() - aperture[:n][held].mean())


def pose_channels(motion: Motion) -> Tensor:
    """Pitch, yaw, roll, t_x, t_y, log s of every frame -> (T, 6)."""
    pose = motion.pose
    return torch.cat([pose.rotation, pose.translation[:, :2], pose.scale.log()], -1)


def jerk(motion: Motion) -> float:
    """RMS second difference of the three angles, degrees per frame squared."""
    return float(motion.pose.rotation.diff(n=2, dim=0).square().mean().sqrt())


def pose_deviation(motion: Motion) -> Tensor:
    """Within-clip standard deviation of the six pose channels -> (6,)."""
    return pose_channels(motion).std(0, unbiased=False)


def seam_ratio(motion: Motion, window: int) -> tuple[float, float]:
    """Mean step of expression at window joints, and elsewhere (their ratio is the seam; 1 is invisible)."""
    steps = motion.expression.flatten(1).diff(dim=0).norm(dim=-1)
    joints = torch.arange(len(steps))[window - 1 :: window]
    elsewhere = torch.ones(len(steps), dtype=torch.bool)
    elsewhere[joints] = False
    if len(joints) == 0:
        return float("nan"), float(steps.mean())
    return float(steps[joints].mean()), float(steps[elsewhere].mean())


def drift(motion: Motion, seconds: float = 5.0) -> float:
    """Distance of expression's mean and deviation in the last seconds from those in the first seconds."""
    frames = int(seconds * motion.fps)
    values = motion.expression.flatten(1)
    head, tail = values[:frames], values[-frames:]
    return float((head.mean(0) - tail.mean(0)).norm() + (head.std(0) - tail.std(0)).norm())


def ratio(value: float, reference: float) -> float:
    """``value`` over ``reference``; NaN where the reference is nothing, as a seam in a still portrait is."""
    return value / reference if abs(reference) > 1e-12 else float("nan")


def mean_and_half_range(values: list[float]) -> tuple[float, float]:
    """Mean and half range over seeds."""
    return float(np.mean(values)), float((np.max(values) - np.min(values)) / 2.0)
