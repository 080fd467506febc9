"""Transfer driving motion to a still portrait or to a source video: which regions, and how.

docs/liveportrait.md 7.1, 7.2 and 7.4, with a weight for each region in place of one region out of five. Every
function returns a new value; :mod:`retarget` processes keypoints after Eq. 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..geometry import euler_degrees, rotation_matrix
from ..keypoint_space import same_keypoints
from ..ranges import check_ranges, ranged
from ..values import EYE_KEYPOINTS, KEYPOINTS, LIP_KEYPOINTS, Motion, Pose, expect_same_rate
from .edit import Regions, fit_motion, hold_rest, mix, smooth_motion
from .pose import ALL_AXES, REFERENCES, reference_frame, relative_pose

#: A closed and neutral mouth, by keypoint, as (y, z): the reference of a single driving frame, which has no first frame
#: (docs/liveportrait.md 7.3; components not listed are below 0.001).
CLOSED_MOUTH = {7: (0.0026, 0.0), 14: (-0.002, 0.0), 17: (-0.001, 0.0), 19: (-0.015, -0.0026), 20: (0.0056, 0.0027)}
MODES = ("relative", "absolute")
#: A third mode, for still portraits only: LivePortrait's mode for animals (the end of docs/liveportrait.md 7.2).
ANIMAL = "animal"
PRIORITIES = ("expression", "pose")


@dataclass(frozen=True)
class DrivingOptions:
    """How a driving motion is transferred.

    ``mode`` "relative" adds the change since the ``reference`` frame ("first" or most "frontal") to the source's own
    motion, "absolute" takes the driving values, ANIMAL all of them, damped as by ``priority`` "expression".
    ``regions`` are the shares of the driving motion, ``size`` that of its head's change in size (relative, still
    portraits). ``smoothing`` is the observation variance of the Kalman smoother (LivePortrait's is 3e-7), 0 for none.

    The rest acts on keypoints: ``priority`` "expression" damps the whole so that the face keeps its size (relative,
    still portraits); ``multiplier`` scales every departure from the source; ``retarget_eyes`` and ``retarget_lips`` set
    openings instead of copying motion, and in relative mode hold everything else; ``close_lips`` starts from a closed
    mouth; ``hold_eyes`` keeps the eyes of a video as open as they are in its first frame.
    """

    mode: str = "relative"
    reference: str = "first"
    regions: Regions = field(default_factory=Regions)
    size: float = ranged(1.0, 0.0, 10.0)
    smoothing: float = ranged(0.0, 0.0, 1.0)
    priority: str = "expression"
    multiplier: float = ranged(1.0, 0.0, 10.0)
    stitching: bool = True
    retarget_eyes: bool = False
    retarget_lips: bool = False
    close_lips: bool = False
    hold_eyes: bool = False

    def __post_init__(self) -> None:
        choices = (("mode", (*MODES, ANIMAL)), ("reference", REFERENCES), ("priority", PRIORITIES))
        for name, allowed in choices:
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        check_ranges(self)

    @property
    def retargets(self) -> bool:
        """Whether eyes or lips are retargeted."""
        return self.retarget_eyes or self.retarget_lips


def comparable(driving: Motion, source: Motion, options: DrivingOptions) -> tuple[Motion, DrivingOptions]:
    """A driving motion for the source's keypoint space: itself, or its pose alone with a warning."""
    if not same_keypoints(driving.keypoint_space, source.keypoint_space):
        pose_only = Regions(lips=0.0, eyes=0.0, expression=0.0, pose=options.regions.pose)
        options = replace(options, regions=pose_only)
    return replace(driving, keypoint_space=source.keypoint_space), options


def drive_still(rest: Motion, driving: Motion, options: DrivingOptions) -> Motion:
    """The motion of a still portrait: ``rest`` is one frame, the result as long as ``driving``."""
    if len(rest) != 1:
        raise ValueError(f"A still portrait's motion is one frame, got {len(rest)}.")
    driving, options = comparable(driving, rest, options)
    held = hold_rest(rest, len(driving), driving.fps)
    if options.mode == "relative":
        pose = relative_pose(driving.pose, rest.pose, options.reference, ALL_AXES)
        scale = torch.lerp(held.pose.scale, pose.scale, float(options.size))
        taken = replace(
            driving, pose=replace(pose, scale=scale), expression=rest.expression + _change(driving, options)
        )
    else:
        pose = replace(driving.pose, scale=held.pose.scale)
        whole = options.mode == ANIMAL
        expression = torch.where(driven_components() | whole, driving.expression, held.expression)
        taken = replace(driving, pose=pose, expression=expression)
    return mix(held, _calm(taken, options), options.regions)


def drive_clip(source: Motion, driving: Motion, options: DrivingOptions) -> Motion:
    """The driven motion of a source video, as long as the shorter of the two; a single driving frame is held."""
    expect_same_rate(source.fps, driving.fps, "The source and the driving motion")
    driving, options = comparable(driving, source, options)
    single = len(driving) == 1
    change = _change(driving, options) if options.mode == "relative" else None
    if single:
        driving, options = fit_motion(driving, len(source)), replace(options, smoothing=0.0)
    frames = min(len(source), len(driving))
    source, driving = source[:frames], driving[:frames]
    own = source.pose
    if change is not None:
        change = change[:frames]
        start = rotation_matrix(driving.pose[_start(driving, options)].rotation.double())
        rotation = rotation_matrix(driving.pose.rotation.double()) @ start.transpose(-1, -2)
        rotation = euler_degrees(rotation @ rotation_matrix(own.rotation.double())).float()
        pose, expression = Pose(rotation, own.translation, own.scale, own.fps), source.expression
        taken = replace(source, pose=pose, expression=expression + change)
    else:
        taken = replace(driving, pose=replace(driving.pose, scale=own.scale))
    calm = _calm(taken, options)
    # Only the driving motion is smoothed; scale and translation stay the source's own, frame by frame.
    pose = replace(calm.pose, scale=own.scale, translation=taken.pose.translation)
    driven = replace(source, pose=pose, expression=torch.where(driven_components(), calm.expression, source.expression))
    return mix(source, driven, options.regions)


def driven_components() -> Tensor:
    """Mask (K, 3) of the expression components taken from absolute driving values (docs/liveportrait.md 7.2).

    The others differ between people rather than between expressions, or carry no information.
    """
    taken = torch.zeros(KEYPOINTS, 3, dtype=torch.bool)
    taken[[1, 2, *LIP_KEYPOINTS, *EYE_KEYPOINTS]] = True
    x_y_z = {3: (1,), 4: (1,), 5: (2,), 8: (2,), 9: (1, 2)}
    for point, axes in x_y_z.items():
        taken[point, list(axes)] = True
    return taken


def _start(driving: Motion, options: DrivingOptions) -> slice:
    first = reference_frame(driving.pose, options.reference)
    return slice(first, first + 1)


def closed_mouth() -> Tensor:
    """The expression (1, K, 3) of a neutral, closed mouth."""
    expression = torch.zeros(1, KEYPOINTS, 3)
    for point, y_z in CLOSED_MOUTH.items():
        expression[0, point, 1:] = torch.tensor(y_z)
    return expression


def _change(driving: Motion, options: DrivingOptions) -> Tensor:
    if len(driving) == 1:
        return driving.expression - closed_mouth()
    return driving.expression - driving.expression[_start(driving, options)]


def _calm(motion: Motion, options: DrivingOptions) -> Motion:
    return smooth_motion(motion, options.smoothing) if options.smoothing and len(motion) > 1 else motion
