"""The motion of a face from ARKit's 52 blend shapes: the inverse of :mod:`arkit`."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..errors import UserError
from ..geometry import euler_degrees
from ..values import LIDS, LOWER_LIP, UPPER_LIP, Motion, Pose
from .arkit import ARKIT_SHAPES, JAW_STEPS, WIDE
from .directions import SLIDERS, Directions, Y, directions, slider_values
from .edit import hold_rest
from .pose import ROTATION_ONLY, relative_pose

HEAD_CHOICES = ("relative", "absolute", "none")
_Shapes = dict[str, Tensor]


def motion_from_shapes(shapes: Tensor, rotation: Tensor, fps: float, space: str) -> Motion:
    """The motion with ``shapes`` (T, 52), in the order of ARKIT_SHAPES, and ``rotation`` (T, 3) in degrees.

    The expression departs from a neutral face of the keypoints ``space``, the head neither shifts nor grows. Lids and
    lips open as far as the shapes say, whatever the other shapes do to them. Exported again, the shapes that sliders
    move come out as they went in; others, such as cheeks and tongue, have no slider and are left out. Raises UserError
    for a keypoint space without directions.
    """
    ways = directions(space)
    named = dict(zip(ARKIT_SHAPES, shapes.double().clamp(0.0, 1.0).unbind(-1), strict=True))
    sliders = _sliders(named)
    values = torch.stack([sliders.get(name, torch.zeros(len(shapes)).double()) for name in SLIDERS], -1)
    expression = _with_lids(_with_jaw(ways.offset(values), named, ways), named, ways)
    still = Pose(rotation.float(), torch.zeros(len(shapes), 3), torch.ones(len(shapes), 1), fps)
    return Motion(still, expression.float(), space)


def on_face(motion: Motion, rest: Motion, head: str = "relative") -> Motion:
    """A motion of :func:`motion_from_shapes` on the face with the expression and pose of ``rest``, one frame.

    ``head``: "relative" turns it by what changes since the first frame, "absolute" to the recorded angles, "none" not.
    Raises UserError for another word.
    """
    if head not in HEAD_CHOICES:
        raise UserError(f"Unknown choice {head!r} for the head; please choose one of {', '.join(HEAD_CHOICES)}.")
    frames, fps = len(motion), motion.fps
    pose = hold_rest(rest, frames, fps).pose
    if head == "relative":
        pose = relative_pose(motion.pose, rest.pose, "first", ROTATION_ONLY)
    elif head == "absolute":
        pose = replace(pose, rotation=motion.pose.rotation)
    return replace(motion, pose=pose, expression=rest.expression + motion.expression)


def head_rotation(matrices: Tensor) -> Tensor:
    """The rotation (T, 3) in degrees of face matrices (T, 4, 4) with x to the right, y up and z towards the viewer, as
    MediaPipe's face geometry has them; their size is left out."""
    turned = matrices[:, :3, :3].double()
    turned = turned / turned.norm(dim=1, keepdim=True).clamp(min=1e-12)
    flip = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)  # ours: y down, z into the picture
    return euler_degrees((flip[:, None] * turned * flip).transpose(-1, -2))


def _sliders(named: _Shapes) -> _Shapes:
    """The sliders of everything but lids and jaw, (T,) each in the slider's own units."""
    aside = _mean(named, "eyeLookOutLeft", "eyeLookInRight") - _mean(named, "eyeLookInLeft", "eyeLookOutRight")
    up = _mean(named, "eyeLookUpLeft", "eyeLookUpRight") - _mean(named, "eyeLookDownLeft", "eyeLookDownRight")
    smile = _mean(named, "mouthSmileLeft", "mouthSmileRight") - _mean(named, "mouthFrownLeft", "mouthFrownRight") / 2
    raised = (named["browInnerUp"] + _mean(named, "browOuterUpLeft", "browOuterUpRight")) / 2
    down = _mean(named, "browDownLeft", "browDownRight")
    brow = torch.where(raised > 0, raised, -down)
    shares = {
        "pupil_x": aside,
        "pupil_y": up,
        "eyebrow": brow,
        # Brows that are drawn together while they are raised: what the export took the raised brows from.
        "frown": torch.where((raised > 0) & (down > 0), (down + raised).clamp(max=1.0), torch.zeros_like(down)),
        "eee": _mean(named, "mouthUpperUpLeft", "mouthUpperUpRight"),
        "woo": torch.maximum(named["mouthPucker"], named["mouthFunnel"]),
    }
    return {name: share * SLIDERS[name].high for name, share in shares.items()} | {"smile": smile}


def _with_jaw(offset: Tensor, named: _Shapes, ways: Directions) -> Tensor:
    """``offset`` (T, K, 3) whose lips part as far as the jaw is open, and not where the mouth is said to be closed."""
    aaa = ways.offset(slider_values({"aaa": 1.0}))
    step = float(aaa[LOWER_LIP, Y] - aaa[UPPER_LIP, Y])
    wanted = (named["jawOpen"] - named["mouthClose"]).clamp(min=0.0) * step * JAW_STEPS
    parted = offset[:, LOWER_LIP, Y] - offset[:, UPPER_LIP, Y]
    return offset + ((wanted - parted) / step)[:, None, None] * aaa


def _with_lids(offset: Tensor, named: _Shapes, ways: Directions) -> Tensor:
    """``offset`` (T, K, 3) whose lids are as far apart as the shapes of either eye say."""
    blink = ways.offset(slider_values({"blink": SLIDERS["blink"].low}))  # shuts both by ``lid_travel``
    offset = offset.clone()
    for (upper, lower), side in zip(LIDS, ("Right", "Left"), strict=True):
        shut = named[f"eyeBlink{side}"] - named[f"eyeWide{side}"] / WIDE
        now = -(offset[:, lower, Y] - offset[:, upper, Y]) / ways.lid_travel
        for point in (upper, lower):
            offset[:, point] += (shut - now)[:, None] * blink[point]
    return offset


def _mean(named: _Shapes, one: str, other: str) -> Tensor:
    return (named[one] + named[other]) / 2
