"""Normalisation between motion and the denoiser's model space (Eq. 5 and 6 corrected, docs/method.md 1.3, 1.4).

A model-space frame is 63 expression channels, standardised over the whole corpus, then 6 pose channels (pitch, yaw,
roll, t_x, t_y, log s), standardised by the mean and standard deviation of their own clip; t_z is passed through, never
modelled. Channels that never move in the corpus are dead: 0 in model space, their mean in motion. Pose channels and
their statistics are float64, so that a scale survives its logarithm and back exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..values import FPS, KEYPOINTS, Motion, Pose

EXPRESSION_CHANNELS = 3 * KEYPOINTS
POSE_CHANNELS = 6
MOTION_CHANNELS = EXPRESSION_CHANNELS + POSE_CHANNELS
#: Below this standard deviation an expression channel is extractor noise, not expression (docs/method.md 1.3).
LIVE_SIGMA = 1e-4
#: Lower bound of a clip's pose std, as a share of the typical one: less is a still head (docs/method.md 1.4).
POSE_FLOOR = 0.1
PERCENTILES = (0.10, 0.25, 0.75, 0.90)
#: Standardised identities are clamped to this distance from the corpus mean.
IDENTITY_LIMIT = 4.0
#: Lower bound of standard deviations used as divisors.
TINY = 1e-5


class MotionStatistics(nn.Module):
    """Statistics of the training clips; buffers, so that checkpoints contain them.

    ``expression_mean/std`` (63,), ``live`` (63,) bool, ``pose_typical_std`` (6,) the median over clips,
    ``pose_percentiles`` (4, 6) at PERCENTILES, ``pose_global_mean/std`` (6,) over all frames (the ablation),
    ``identity_mean/std`` (63,), ``silence`` (L, D) the audio features of a silent frame.
    """

    expression_mean: Tensor
    expression_std: Tensor
    live: Tensor
    pose_typical_std: Tensor
    pose_percentiles: Tensor
    pose_global_mean: Tensor
    pose_global_std: Tensor
    identity_mean: Tensor
    identity_std: Tensor
    silence: Tensor

    def __init__(self, audio_layers: int = 1, audio_width: int = 1) -> None:
        super().__init__()
        for name in ("expression", "identity"):
            self.register_buffer(f"{name}_mean", torch.zeros(EXPRESSION_CHANNELS))
            self.register_buffer(f"{name}_std", torch.ones(EXPRESSION_CHANNELS))
        self.register_buffer("live", torch.ones(EXPRESSION_CHANNELS, dtype=torch.bool))
        self.register_buffer("pose_typical_std", torch.ones(POSE_CHANNELS))
        self.register_buffer("pose_percentiles", torch.ones(len(PERCENTILES), POSE_CHANNELS))
        self.register_buffer("pose_global_mean", torch.zeros(POSE_CHANNELS))
        self.register_buffer("pose_global_std", torch.ones(POSE_CHANNELS))
        self.register_buffer("silence", torch.zeros(audio_layers, audio_width))


#: Means (N, C) of N clips, and their sums of squared distances from them (N, C), in float64.
Moments = tuple[Tensor, Tensor]


def statistics_from_moments(
    lengths: Tensor, pose: Moments, expression: Moments, keypoints: Tensor, silence: Tensor
) -> MotionStatistics:
    """The statistics of N training clips of which only sums are in memory: ``lengths`` (N,) frames, the moments of
    their pose channels and of their expression, canonical ``keypoints`` (N, 63), ``silence`` (L, D).

    Load them into a denoiser with ``denoiser.statistics.load_state_dict(measured.state_dict())``. Raises ValueError
    without clips, or if the numbers of motions and keypoint sets differ.
    """
    if not len(lengths) or len(lengths) != len(keypoints):
        raise ValueError(f"Expected clips and one set of keypoints each, got {len(lengths)} and {len(keypoints)}.")
    measured = MotionStatistics(*silence.shape)
    expression_mean, sigma = _pooled(lengths, expression)
    pose_mean, pose_sigma = _pooled(lengths, pose)
    live = sigma > LIVE_SIGMA
    std = (pose[1] / lengths[:, None]).sqrt()  # (clips, 6)
    faces = keypoints.double()
    face_sigma = faces.std(0, correction=0)
    measured.load_state_dict(
        {
            "expression_mean": expression_mean,
            "expression_std": torch.where(live, sigma, torch.ones_like(sigma)),
            "live": live,
            "pose_typical_std": std.median(0).values.clamp(min=TINY),
            "pose_percentiles": std.quantile(torch.tensor(PERCENTILES, dtype=torch.float64), dim=0),
            "pose_global_mean": pose_mean,
            "pose_global_std": pose_sigma.clamp(min=TINY),
            "identity_mean": faces.mean(0),
            "identity_std": face_sigma.clamp(min=max(0.1 * float(face_sigma.median()), 1e-3)),
            "silence": silence,
        }
    )
    return measured


def moments(values: Tensor) -> Moments:
    """The moments (1, C) each of one clip's ``values`` (T, C)."""
    mean = values.double().mean(0)
    return mean[None], (values.double() - mean).square().sum(0)[None]


def _pooled(lengths: Tensor, moments: Moments) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the frames of all clips (Chan, Golub & LeVeque 1979)."""
    means, squares = moments
    weight = lengths.double()[:, None]
    mean = (weight * means).sum(0) / weight.sum()
    between = (weight * (means - mean).square()).sum(0)
    return mean, ((squares.sum(0) + between) / weight.sum()).sqrt()


def pose_channels(pose: Pose) -> Tensor:
    """(T, 6) float64: pitch, yaw, roll in degrees, t_x, t_y, log s."""
    return torch.cat([pose.rotation, pose.translation[:, :2], pose.scale.double().log()], -1).double()


def pose_from_channels(channels: Tensor, depth: Tensor, fps: float = FPS) -> Pose:
    """The inverse of :func:`pose_channels`; ``depth`` (T, 1) or (1, 1) is the t_z it left out."""
    translation = torch.cat([channels[:, 3:5].float(), depth.expand(len(channels), 1)], -1)
    return Pose(channels[:, :3].float(), translation, channels[:, 5:].exp().float(), fps)


def clip_pose(motion: Motion, statistics: MotionStatistics) -> tuple[Tensor, Tensor]:
    """Mean and std (6,) of a clip's own pose over all its frames (Eq. 6 with its 1/N), the std floored."""
    channels = pose_channels(motion.pose)
    floor = POSE_FLOOR * statistics.pose_typical_std.to(channels)
    return channels.mean(0), torch.maximum(channels.std(0, correction=0), floor)


def corpus_pose(motion: Motion, statistics: MotionStatistics) -> tuple[Tensor, Tensor]:
    """Mean and std (6,) of the pose over all clips: adaptive normalisation off, the ablation."""
    like = pose_channels(motion.pose)
    return statistics.pose_global_mean.to(like), statistics.pose_global_std.to(like)


#: Sources of pose statistics, by ``MotionConfig.pose_normalisation``.
POSE_NORMALISATIONS = {"clip": clip_pose, "global": corpus_pose}


def pose_is_static(motion: Motion, statistics: MotionStatistics) -> bool:
    """Whether the head of this clip rotates so little that its normalised pose would be noise."""
    own = pose_channels(motion.pose)[:, :3].std(0, correction=0)
    return bool((own < POSE_FLOOR * statistics.pose_typical_std[:3].to(own)).all())


def to_model_space(motion: Motion, statistics: MotionStatistics, pose_mean: Tensor, pose_std: Tensor) -> Tensor:
    """``motion`` in model space, (T, 69) float32 on the CPU, given the clip's pose mean and std, (6,) each."""
    mean, std = statistics.expression_mean.to(motion.expression), statistics.expression_std.to(motion.expression)
    expression = (motion.expression.flatten(1) - mean) / std
    expression = expression.masked_fill(~statistics.live.to(expression.device), 0.0)
    pose = (pose_channels(motion.pose) - pose_mean.double()) / pose_std.double()
    return torch.cat([expression, pose.float()], -1)


def to_expression(model: Tensor, statistics: MotionStatistics) -> Tensor:
    """Expression (T, K, 3) from the first 63 channels of ``model`` (T, >= 63); dead channels become their mean."""
    mean, std = statistics.expression_mean.to(model), statistics.expression_std.to(model)
    moved = model[:, :EXPRESSION_CHANNELS].masked_fill(~statistics.live.to(model.device), 0.0)
    return (mean + std * moved).unflatten(-1, (KEYPOINTS, 3))


def standardised_identity(keypoints: Tensor, statistics: MotionStatistics) -> Tensor:
    """Canonical ``keypoints`` (K, 3) as f_id (63,), docs/method.md 1.6; clamped to the range of training."""
    mean, std = statistics.identity_mean.to(keypoints), statistics.identity_std.to(keypoints)
    return ((keypoints.flatten() - mean) / std).clamp(-IDENTITY_LIMIT, IDENTITY_LIMIT)
