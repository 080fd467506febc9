"""The statistics of clips that are all in memory, over their frames laid end to end: what pooling has to come to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from playmate_core.diffusion.normalisation import (
    LIVE_SIGMA,
    PERCENTILES,
    TINY,
    MotionStatistics,
    pose_channels,
)
from playmate_core.values import Motion


def measure_statistics(motions: Sequence[Motion], keypoints: Sequence[Tensor], silence: Tensor) -> MotionStatistics:
    """Of ``motions`` and their canonical ``keypoints`` (K, 3) each."""
    measured = MotionStatistics(*silence.shape)
    expression = torch.cat([m.expression.flatten(1) for m in motions]).double()
    sigma = expression.std(0, correction=0)
    live = sigma > LIVE_SIGMA
    poses = [pose_channels(m.pose) for m in motions]
    std = torch.stack([pose.std(0, correction=0) for pose in poses])  # (clips, 6)
    everything = torch.cat(poses)
    faces = torch.stack([k.flatten() for k in keypoints]).double()
    face_sigma = faces.std(0, correction=0)
    measured.load_state_dict(
        {
            "expression_mean": expression.mean(0),
            "expression_std": torch.where(live, sigma, torch.ones_like(sigma)),
            "live": live,
            "pose_typical_std": std.median(0).values.clamp(min=TINY),
            "pose_percentiles": std.quantile(torch.tensor(PERCENTILES, dtype=torch.float64), dim=0),
            "pose_global_mean": everything.mean(0),
            "pose_global_std": everything.std(0, correction=0).clamp(min=TINY),
            "identity_mean": faces.mean(0),
            "identity_std": face_sigma.clamp(min=max(0.1 * float(face_sigma.median()), 1e-3)),
            "silence": silence,
        }
    )
    return measured
