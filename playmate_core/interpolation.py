"""Tracks of numbers over time: interpolate between frames, fit to a length, ease between keys, smooth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import euler_degrees, rotation_matrix
from .host import HOST
from .values import FPS, AudioFeatures, expect_rate

#: How :func:`fit_frames` makes a track longer (a longer one is cut, except by "stretch").
FITS = ("hold", "loop", "bounce", "stretch")
#: A loop cross-fades over at most this long, and at most a third of the track, so that its seam does not jump.
LOOP_FADE_SECONDS = 0.4
#: Process variance of LivePortrait's smoother (docs/liveportrait.md 7.5).
PROCESS_VARIANCE = 1e-5


@dataclass(frozen=True)
class FrameInterpolation:
    """Source positions of new frames: between ``first`` and ``second`` (T,) int64, with ``weight`` (T,) of the
    second."""

    first: Tensor
    second: Tensor
    weight: Tensor


def lerp(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Linear interpolation of two float32 tensors, computed in float64 and exact at weights 0 and 1."""
    between = torch.lerp(first.double(), second.double(), weight.double().expand_as(first)).float()
    return _exact_at_ends(between, first, second, weight)


def slerp(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Shortest rotation from ``first`` to ``second``, degrees (T, 3), at ``weight`` (T, 1); exact at 0 and 1."""
    start, rotation = rotation_matrix(first.double()), rotation_matrix(second.double())
    axis_angle = _axis_angle(start.transpose(-1, -2) @ rotation)  # (T, 3)
    between = euler_degrees(start @ torch.linalg.matrix_exp(_cross(axis_angle * weight))).float()
    return _exact_at_ends(between, first, second, weight)


def resample_frames(length: int, from_fps: float, to_fps: float) -> FrameInterpolation:
    """Frames at ``to_fps`` covering the same time as ``length`` frames at ``from_fps``; at least one."""
    expect_rate("fps", to_fps)
    frames = max(1, round(length * to_fps / from_fps))
    return _frames_at(torch.arange(frames, dtype=torch.float64) * (from_fps / to_fps), length)


def frames_by_timestamp(times: Tensor, fps: float) -> FrameInterpolation:
    """Frames at ``fps`` covering the same time as frames with timestamps ``times`` (T,) in seconds; at least one."""
    expect_rate("fps", fps)
    times = times.double()
    last = times.diff().median() if len(times) > 1 else torch.ones(()) / fps  # how long the last frame is shown
    return frames_at_times(times, torch.arange(max(1, round(float(times[-1] + last) * fps)), dtype=torch.float64) / fps)


def frames_at_times(times: Tensor, wanted: Tensor) -> FrameInterpolation:
    """Where the times ``wanted`` (N,) lie between frames at increasing ``times`` (T,); the ends are held."""
    times, wanted = times.double(), wanted.double()
    first = (torch.searchsorted(times, wanted, right=True) - 1).clamp(0, len(times) - 1)
    second = (first + 1).clamp(max=len(times) - 1)
    span = times[second] - times[first]
    weight = torch.where(span > 0, (wanted - times[first]) / span.clamp(min=1e-9), torch.zeros_like(wanted))
    return FrameInterpolation(first, second, weight.clamp(0, 1))


def loudness_at(audio: AudioFeatures, frames: int, fps: float) -> Tensor:
    """The loudness (T,) of speech at the times of ``frames`` frames at ``fps``, between its own; 0 after its end."""
    time = torch.arange(frames, dtype=torch.float64) / fps * audio.fps  # in frames of the speech
    heard = time < len(audio) - 1e-6
    if not bool(heard.any()):
        return torch.zeros(frames)
    at = _frames_at(torch.where((time - time.round()).abs() < 1e-6, time.round(), time), len(audio))
    return torch.where(heard, lerp(audio.energy[at.first], audio.energy[at.second], at.weight), torch.zeros(frames))


def steady_rate(times: Tensor, fps: float) -> bool:
    """Whether frames at ``times`` (T,) seconds have the constant rate ``fps``, to a quarter of a frame."""
    ideal = torch.arange(len(times), dtype=torch.float64) / fps
    return bool((times.double() - ideal).abs().max() < 0.25 / fps)


def rate_of(times: Tensor, fps: float) -> float:
    """The rate at which to take frames at ``times`` (T,) seconds, on average ``fps`` a second.

    Where the rate varies, at least FPS: the average of a recording that stood still for long would skip what moves.
    """
    return fps if steady_rate(times, fps) else max(fps, FPS)


def fit_frames(length: int, frames: int, how: str, fps: float) -> FrameInterpolation:
    """How ``length`` frames become ``frames``: one of FITS. Raises ValueError for another word or an empty track."""
    if how not in FITS:
        raise ValueError(f"Unknown fit {how!r}; choose one of {', '.join(FITS)}.")
    if length < 1:
        raise ValueError("An empty track cannot be fitted to a length.")
    index = torch.arange(frames)
    if how == "stretch":
        return _frames_at(index.double() * (length - 1) / max(frames - 1, 1), length)
    if how == "loop" and frames > length:
        return _loop_frames(length, index, fps)
    if how == "bounce" and length > 1:
        index = index % (2 * (length - 1))
        index = torch.minimum(index, 2 * (length - 1) - index)
    return _frames_at(index.double(), length)


def smooth_track(track: Tensor, observation_variance: float, process_variance: float = PROCESS_VARIANCE) -> Tensor:
    """Rauch-Tung-Striebel smoother of a random walk, each column on its own: (T, N) -> (T, N) float64."""
    seen = track.double()
    mean, variance = seen.clone(), [1.0] * len(seen)
    for i in HOST.interruptible(range(len(seen))):
        prior = 1.0 if i == 0 else variance[i - 1] + process_variance
        gain = prior / (prior + observation_variance)
        if i > 0:
            mean[i] = mean[i - 1] + gain * (seen[i] - mean[i - 1])
        variance[i] = (1.0 - gain) * prior
    for i in HOST.interruptible(range(len(seen) - 2, -1, -1)):
        mean[i] += variance[i] / (variance[i] + process_variance) * (mean[i + 1] - mean[i])
    return mean


def monotone_cubic(knots: Tensor, values: Tensor, times: Tensor) -> Tensor:
    """Fritsch-Carlson interpolation: knots (N,), values (N, C), times (T,) -> (T, C); flat outside and at both ends."""
    if len(knots) == 1:
        return values.expand(len(times), -1)
    step = knots.diff()[:, None]  # (N - 1, 1)
    secant = values.diff(dim=0) / step  # (N - 1, C)
    slope = torch.zeros_like(values)
    before, after = secant[:-1], secant[1:]
    harmonic = 2 * before * after / torch.where(before * after > 0, before + after, torch.ones_like(before))
    slope[1:-1] = torch.where(before * after > 0, harmonic, torch.zeros_like(before))
    times = times.clamp(knots[0], knots[-1])
    i = (torch.searchsorted(knots, times, right=True) - 1).clamp(0, len(knots) - 2)
    u, h = ((times - knots[i]) / step[i, 0])[:, None], step[i]
    return (
        values[i] * (1 + 2 * u) * (1 - u) ** 2
        + values[i + 1] * u * u * (3 - 2 * u)
        + h * u * (1 - u) * (slope[i] * (1 - u) - slope[i + 1] * u)
    )


def _exact_at_ends(between: Tensor, first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    return torch.where(weight == 0, first, torch.where(weight == 1, second, between))


def _frames_at(position: Tensor, length: int) -> FrameInterpolation:
    position = position.clamp(0, length - 1)
    first = position.floor().long()
    return FrameInterpolation(first, (first + 1).clamp(max=length - 1), position - first)


def _loop_frames(length: int, index: Tensor, fps: float) -> FrameInterpolation:
    fade = min(round(LOOP_FADE_SECONDS * fps), length // 3)
    period = length - fade
    phase = index % period
    # After each cut the tail is cross-faded into the start of the track, so that the seam does not jump.
    fading = (phase < fade) & (index >= period)
    weight = torch.where(fading, (phase + 1) / (fade + 1), torch.ones(()))
    return FrameInterpolation(torch.where(fading, phase + period, phase), phase, weight.double())


def _axis_angle(matrix: Tensor) -> Tensor:
    """Logarithm of rotation matrices (T, 3, 3) -> (T, 3) radians, for angles under 180 degrees."""
    skew = matrix - matrix.transpose(-1, -2)
    axis = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1) / 2  # sin(angle) times the axis
    sine = axis.norm(dim=-1, keepdim=True)
    cosine = (matrix.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2
    return axis * torch.where(sine > 1e-9, torch.atan2(sine, cosine) / sine.clamp(min=1e-9), torch.ones_like(sine))


def _cross(vector: Tensor) -> Tensor:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
