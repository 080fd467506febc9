"""What LivePortrait does to keypoints after Eq. 1, as a motion, for a node that hands motions on.

See docs/liveportrait.md 7.1, 7.2 and 8. Stitching is left to the renderer.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..detection.landmarks import Openings
from ..face import FaceModel
from ..geometry import place_motion, rotation_matrix
from ..motion.driving import ANIMAL, DrivingOptions, drive_still
from ..motion.motion_file import MotionClip
from ..motion.pose import reference_frame
from ..values import Motion, Portrait
from .retarget import guide_keypoints


def guided_motion(face: FaceModel, portrait: Portrait, seen: MotionClip, options: DrivingOptions) -> Motion:
    """The motion of a still portrait driven by ``seen``, with retargeting, closed lips and, for animals, damping.

    Raises UserError where openings of eyes or lips are needed and unknown, or the face model has no networks for them.
    """
    motion = drive_still(portrait.rest, seen.motion, options)
    if not (options.retargets or options.close_lips or options.mode == ANIMAL):
        return motion
    points = None if portrait.landmarks is None else Openings.of(portrait.landmarks[None])
    x_s, x_d = (place_motion(portrait.keypoints, one) for one in (portrait.rest, motion))
    # Damping belongs to animals here: elsewhere a node's motion has never been damped.
    how = replace(options, stitching=False, priority="pose")
    start = reference_frame(seen.motion.pose, options.reference)
    guided = guide_keypoints(face, x_s, x_d, how, start, points, seen.openings)
    return replace(motion, expression=_expression_of(guided, portrait.keypoints, motion))


def _expression_of(x: Tensor, keypoints: Tensor, motion: Motion) -> Tensor:
    """The expression (T, K, 3) that :func:`place_motion` makes the image keypoints ``x`` (T, K, 3) of, by Eq. 1."""
    pose = motion.pose
    shift = pose.translation[:, None].clone()
    shift[..., 2] = 0
    return (x.expand(len(motion), -1, -1) - shift) / pose.scale[..., None] - keypoints @ rotation_matrix(pose.rotation)
