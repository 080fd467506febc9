"""Head poses from curves over a time: values in 0..1, of which 0.5 is no turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from ..values import FPS, Pose
from .pose import neutral_pose


def pose_from_curves(
    curves: Sequence[Sequence[float] | None], degrees: float, seconds: float, fps: float = FPS
) -> Pose:
    """Pitch, yaw and roll from evenly spaced samples of three curves over ``seconds``; None is no turn.

    1 is ``degrees``, 0 minus that. Samples beyond 0..1 are held there.
    """
    frames = max(1, round(seconds * fps))
    at = np.linspace(0.0, 1.0, frames)
    angles = torch.zeros(frames, 3)
    for axis, samples in enumerate(curves):
        if samples is not None:
            value = np.interp(at, np.linspace(0.0, 1.0, len(samples)), np.clip(samples, 0.0, 1.0))
            angles[:, axis] = torch.from_numpy((2.0 * value - 1.0) * degrees).float()
    return replace(neutral_pose(frames, fps), rotation=angles)
