"""Process keypoints after Eq. 1: damping, retargeting, stitching, scaling.

See docs/liveportrait.md 7.1, 7.6 and 8.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..detection.landmarks import Openings
from ..errors import UserError
from ..face import FaceModel
from ..face.stitching import Stitching
from ..motion.driving import ANIMAL, DrivingOptions
from .portrait import exact_to

#: Eyes less open than the first are held as open as the second.
SHUT_EYES, OPEN_EYES = 0.18, 0.39
#: A mouth at least this open is closed before the animation, where that is asked for.
OPEN_LIPS = 0.03


def guide_keypoints(
    face: FaceModel,
    x_s: Tensor,
    x_d: Tensor,
    options: DrivingOptions,
    start: int = 0,
    source: Openings | None = None,
    driving: Openings | None = None,
) -> Tensor:
    """The final driven keypoints (T, K, 3); ``x_s`` (1 or T, K, 3) are the source's.

    ``start`` is the reference frame. ``source`` (1 or T frames) and ``driving`` (T) are the openings of eyes and lips,
    needed for retargeting. Raises UserError when the face model lacks the networks for the options.
    """
    require_networks(face, options)
    damped = options.mode == ANIMAL or (options.mode == "relative" and options.priority == "expression")
    if damped and len(x_s) == 1 < len(x_d):
        x_d = x_s + expression_gain(x_s[0], x_d[start]) * (x_d - x_d[start])
    if options.retargets:
        x_d = (x_s if options.mode == "relative" else x_d) + _retargeting(face, x_s, options, source, driving)
    if options.stitching and face.stitching is not None:
        with torch.inference_mode():
            stitched = face.stitching(exact_to(face, x_s.expand_as(x_d)), exact_to(face, x_d))
        x_d = _at_rest(stitched)
    if options.close_lips and options.mode == "relative" and not options.retargets:
        x_d = x_d + _closing(face, x_s, source)
    if options.hold_eyes and len(x_s) > 1 and not options.retargets:
        x_d = x_d + _holding(face, x_s, source)
    return x_s + (x_d - x_s) * options.multiplier


def require_networks(face: FaceModel, options: DrivingOptions) -> None:
    """Raise UserError when retargeting is asked of a face model without its networks."""
    if face.stitching is None and (options.retargets or options.close_lips or options.hold_eyes):
        raise UserError(
            "This face model cannot retarget eyes or lips: it has no networks for it; please leave that out or choose"
            " weights with stitching, such as LivePortrait's."
        )


def expression_gain(x_s: Tensor, x_d: Tensor) -> float:
    """sqrt(V(x_s) / V(x_d)) for keypoints (K, 3), V the volume of their convex hull: 1 for faces of one size."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        volumes = [ConvexHull(points.double().numpy()).volume for points in (x_s, x_d)]
    except QhullError:  # a flat face has no volume to compare
        return 1.0
    return float((volumes[0] / volumes[1]) ** 0.5)


def _retargeting(
    face: FaceModel, x_s: Tensor, options: DrivingOptions, source: Openings | None, driving: Openings | None
) -> Tensor:
    if source is None or driving is None:
        raise UserError(
            "Retargeting needs to know how open eyes and lips are; please choose a detector that tells (mediapipe, or"
            " insightface with landmark.onnx)."
        )
    frames = max(len(source.lips), len(driving.lips))
    offset = torch.zeros(1)
    if options.retarget_eyes:
        wanted = torch.cat([source.eyes.expand(frames, -1), driving.eyes[:, :1].expand(frames, -1)], 1)
        offset = offset + _offset(face, Stitching.eye_offset, x_s, wanted)
    if options.retarget_lips:
        wanted = torch.cat([source.lips.expand(frames, -1), driving.lips.expand(frames, -1)], 1)
        offset = offset + _offset(face, Stitching.lip_offset, x_s, wanted)
    return offset


def _closing(face: FaceModel, x_s: Tensor, source: Openings | None) -> Tensor:
    """Offsets (T, K, 3) that close the lips in source frames where they are open."""
    if source is None:
        raise UserError(
            "Closing the lips needs to know how open they are; please choose a detector that tells (mediapipe, or"
            " insightface with landmark.onnx)."
        )
    offset = _offset(face, Stitching.lip_offset, x_s, torch.cat([source.lips, torch.zeros_like(source.lips)], 1))
    return torch.where(source.lips[..., None] >= OPEN_LIPS, offset, torch.zeros(()))


def _holding(face: FaceModel, x_s: Tensor, source: Openings | None) -> Tensor:
    """Offsets (T, K, 3) that open the eyes of every source frame as in the first one (docs/liveportrait.md 8.4)."""
    if source is None:
        raise UserError(
            "Holding the eyes needs to know how open they are; please choose a detector that tells (mediapipe, or"
            " insightface with landmark.onnx)."
        )
    first = float(source.eyes[0].mean())
    wanted = torch.full_like(source.lips, first if first >= SHUT_EYES else OPEN_EYES)
    return _offset(face, Stitching.eye_offset, x_s, torch.cat([source.eyes, wanted], 1))


def _offset(
    face: FaceModel, network: Callable[[Stitching, Tensor, Tensor], Tensor], x_s: Tensor, ratios: Tensor
) -> Tensor:
    networks = face.stitching
    if networks is None:
        raise ValueError("Stitching networks are needed; see require_networks.")
    with torch.inference_mode():
        faces = exact_to(face, x_s.expand(len(ratios), -1, -1))
        return _at_rest(network(networks, faces, exact_to(face, ratios)))


def _at_rest(value: Tensor) -> Tensor:
    return value.to("cpu", torch.float32, copy=True)
