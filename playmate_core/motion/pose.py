"""Head poses: resample and fit them, transfer them from one head to another, and apply them to a motion.

Every function returns a new value. Rotations are interpolated on the sphere (slerp), everything else linearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..geometry import carried_rotation, euler_degrees, rotation_matrix
from ..interpolation import FrameInterpolation, fit_frames, lerp, monotone_cubic, resample_frames, slerp, smooth_track
from ..values import FPS, Motion, Pose, expect_same_rate

REFERENCES = ("first", "frontal")
APPLY_MODES = ("replace", "add", "mix")


@dataclass(frozen=True)
class PoseAxes:
    """Which parts of a driving pose act; the others stay as they were."""

    pitch: bool = True
    yaw: bool = True
    roll: bool = True
    translation: bool = False
    scale: bool = False


#: Rotation only: a video rarely frames the head as the portrait does (docs/method.md 1.12).
ROTATION_ONLY = PoseAxes()
ALL_AXES = PoseAxes(translation=True, scale=True)


@dataclass(frozen=True)
class PoseKey:
    """One keyframe: ``seconds``; ``rotation`` pitch, yaw, roll in degrees; ``translation``; ``scale``."""

    seconds: float
    rotation: tuple[float, float, float]
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0


def neutral_pose(frames: int, fps: float = FPS) -> Pose:
    """The identity pose, facing the camera at scale 1: adding it leaves a motion unchanged."""
    return Pose(torch.zeros(frames, 3), torch.zeros(frames, 3), torch.ones(frames, 1), fps)


def still(rest: Pose, frames: int, fps: float = FPS) -> Pose:
    """The one frame of ``rest`` held for ``frames``. Raises ValueError unless ``rest`` is one frame."""
    _expect_one_frame(rest)
    held = [part.expand(frames, -1).clone() for part in (rest.rotation, rest.translation, rest.scale)]
    return Pose(held[0], held[1], held[2], fps)


def mix_poses(first: Pose, second: Pose, weight: float | Tensor) -> Pose:
    """From ``first`` (weight 0, exactly) to ``second`` (1, exactly) and beyond; ``weight`` a number or (T,)."""
    expect_same_rate(first.fps, second.fps, "The two poses")
    if len(first) != len(second):
        raise ValueError(f"Poses to mix must be equally long, got {len(first)} and {len(second)} frames.")
    weights = torch.as_tensor(weight, dtype=torch.float64).expand(len(first))[:, None]  # (T, 1)
    return replace(
        first,
        rotation=slerp(first.rotation, second.rotation, weights),
        translation=lerp(first.translation, second.translation, weights),
        scale=lerp(first.scale, second.scale, weights),
    )


def interpolate_pose(pose: Pose, frames_between: FrameInterpolation, fps: float) -> Pose:
    """``pose`` interpolated at ``frames_between``, at rate ``fps``."""

    def at(index: Tensor) -> Pose:
        return Pose(pose.rotation[index], pose.translation[index], pose.scale[index], fps)

    return mix_poses(at(frames_between.first), at(frames_between.second), frames_between.weight)


def resample_pose(pose: Pose, fps: float) -> Pose:
    """The same movement at another rate. Raises ValueError for a rate that is not positive."""
    return interpolate_pose(pose, resample_frames(len(pose), pose.fps, fps), fps)


def fit(pose: Pose, frames: int, how: str = "hold") -> Pose:
    """Exactly ``frames`` frames: hold the last, loop, bounce back and forth, or stretch; a longer track is cut."""
    return interpolate_pose(pose, fit_frames(len(pose), frames, how, pose.fps), pose.fps)


def relative_pose(driving: Pose, rest: Pose, reference: str = "first", axes: PoseAxes = ROTATION_ONLY) -> Pose:
    """The driving movement relative to its reference frame, applied to a portrait's ``rest`` pose of one frame.

    R = R_d R_d0^T R_s (transposed matrices), t = t_s + t_d - t_d0, s = s_s s_d / s_d0 (docs/method.md 1.12).
    ``reference`` is the "first" frame or the most "frontal" one; there the result is the rest pose.
    """
    zero = slice(reference_frame(driving, reference), None)
    start = driving[zero][:1]
    moved = Pose(
        carried_rotation(driving.rotation, start.rotation, rest.rotation),
        rest.translation + (driving.translation - start.translation),
        rest.scale * (driving.scale / start.scale),
        driving.fps,
    )
    return choose_axes(moved, still(rest, len(driving), driving.fps), axes)


def absolute_pose(driving: Pose, rest: Pose, axes: PoseAxes = ROTATION_ONLY) -> Pose:
    """The driving values themselves on the chosen axes, the ``rest`` pose of one frame on the others."""
    return choose_axes(driving, still(rest, len(driving), driving.fps), axes)


def reference_frame(pose: Pose, reference: str) -> int:
    """Index of the "first" or of the most "frontal" frame (the smallest rotation from facing the camera)."""
    if reference not in REFERENCES:
        raise ValueError(f"Unknown reference {reference!r}; choose one of {', '.join(REFERENCES)}.")
    if reference == "first":
        return 0
    return int(frontality(pose).argmax())


def frontality(pose: Pose) -> Tensor:
    """Frontality of every frame, (T,): the trace of its rotation matrix, 1 + 2 cos(angle)."""
    return rotation_matrix(pose.rotation.double()).diagonal(dim1=-2, dim2=-1).sum(-1)


def choose_axes(taken: Pose, kept: Pose, axes: PoseAxes) -> Pose:
    """``taken`` on the chosen axes and ``kept`` on the others; both equally long."""
    turns = torch.tensor([axes.pitch, axes.yaw, axes.roll])
    return Pose(
        torch.where(turns, taken.rotation, kept.rotation),
        taken.translation if axes.translation else kept.translation,
        taken.scale if axes.scale else kept.scale,
        taken.fps,
    )


def keyframes(keys: Sequence[PoseKey], frames: int, fps: float = FPS) -> Pose:
    """Smooth movement through ``keys``: monotone cubic easing, so that no value overshoots its two keys.

    Held before the first and after the last. Raises ValueError without keys, or with two at one time.
    """
    if not keys:
        raise ValueError("A keyframed pose needs at least one key.")
    ordered = sorted(keys, key=lambda key: key.seconds)
    seconds = torch.tensor([key.seconds for key in ordered], dtype=torch.float64)
    if len(ordered) > 1 and not (seconds.diff() > 0).all():
        raise ValueError("Two pose keys stand at the same time; give each its own second.")
    rows = [[*key.rotation, *key.translation, key.scale] for key in ordered]
    values = torch.tensor(rows, dtype=torch.float64)  # (N, 7)
    eased = monotone_cubic(seconds, values, torch.arange(frames, dtype=torch.float64) / fps).float()
    return Pose(eased[:, :3], eased[:, 3:6], eased[:, 6:], fps)


def smooth(pose: Pose, observation_variance: float = 3e-7) -> Pose:
    """LivePortrait's Kalman smoothing (docs/liveportrait.md 7.5) of rotation matrices, translation and scale.

    Matrices are made orthogonal again, which the reference leaves out. 3e-7 hardly smooths; 1e-3 does plainly.
    """
    matrix = smooth_track(rotation_matrix(pose.rotation.double()).flatten(1), observation_variance).unflatten(1, (3, 3))
    left, _, right = torch.linalg.svd(matrix)
    return replace(
        pose,
        rotation=euler_degrees(left @ right).float(),
        translation=smooth_track(pose.translation, observation_variance).float(),
        scale=smooth_track(pose.scale, observation_variance).float(),
    )


def apply_pose(
    motion: Motion,
    pose: Pose,
    mode: str = "replace",
    strength: float = 1.0,
    axes: PoseAxes = ALL_AXES,
    fade_frames: int = 0,
) -> Motion:
    """Apply ``pose`` to a motion of the same length and rate; ``fade_frames`` ease in from the motion's own pose.

    "replace": use the pose, with its movement relative to its first frame scaled by ``strength`` (1: exactly the pose).
    "add": the pose is an offset from :func:`neutral_pose`, scaled by ``strength`` and composed with the own pose.
    "mix": ``strength`` 0 is the own pose, 1 ``pose``.
    """
    own = motion.pose
    if mode not in APPLY_MODES:
        raise ValueError(f"Unknown pose mode {mode!r}; choose one of {', '.join(APPLY_MODES)}.")
    if len(pose) != len(own):
        raise ValueError(f"The pose has {len(pose)} frames and the motion {len(own)}; fit one of them first.")
    expect_same_rate(own.fps, pose.fps, "The motion and the pose")
    if mode == "replace":
        taken = mix_poses(still(pose[:1], len(pose), pose.fps), pose, strength)
    elif mode == "add":
        taken = compose(mix_poses(neutral_pose(len(pose), pose.fps), pose, strength), own)
    else:
        taken = mix_poses(own, pose, strength)
    taken = choose_axes(taken, own, axes)
    if fade_frames > 0:
        ramp = (torch.arange(len(own), dtype=torch.float64) / fade_frames).clamp(max=1.0)
        taken = mix_poses(own, taken, ramp * ramp * (3.0 - 2.0 * ramp))
    return motion.with_pose(taken)


def mirror_pose(pose: Pose) -> Pose:
    """The pose as a mirror shows it: yaw, roll and x the other way. Twice is the pose itself, bit for bit."""
    return replace(
        pose,
        rotation=pose.rotation * torch.tensor([1.0, -1.0, -1.0]),
        translation=pose.translation * torch.tensor([-1.0, 1.0, 1.0]),
    )


def compose(offset: Pose, base: Pose) -> Pose:
    """``offset``, relative to the neutral pose, composed with ``base``; both equally long."""
    matrix = rotation_matrix(offset.rotation.double()) @ rotation_matrix(base.rotation.double())
    return Pose(
        euler_degrees(matrix).float(), base.translation + offset.translation, base.scale * offset.scale, base.fps
    )


def _expect_one_frame(rest: Pose) -> None:
    if len(rest) != 1:
        raise ValueError(f"A rest pose is one frame, got {len(rest)}.")
