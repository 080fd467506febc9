"""Two performances in one: lips, eyes, brows, the rest of the face, rotation, translation and scale of either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..errors import UserError
from ..interpolation import lerp, slerp
from ..keypoint_space import adapt_motion
from ..times import TimeCurve
from ..values import BROWS, EYE_KEYPOINTS, KEYPOINTS, LIP_KEYPOINTS, Motion, expect_same_rate
from .edit import resample_motion

NONE = TimeCurve(((0.0, 0.0),))
_NAMED = (*LIP_KEYPOINTS, *EYE_KEYPOINTS, *BROWS)
#: The keypoints of each part of the face; together all of them, each once.
FACE_REGIONS: Mapping[str, tuple[int, ...]] = {
    "lips": LIP_KEYPOINTS,
    "eyes": EYE_KEYPOINTS,
    "brows": BROWS,
    "rest": tuple(point for point in range(KEYPOINTS) if point not in _NAMED),
}


@dataclass(frozen=True)
class RegionShares:
    """How much of the second motion each region takes, 0..1 over time."""

    lips: TimeCurve = NONE
    eyes: TimeCurve = NONE
    brows: TimeCurve = NONE
    rest: TimeCurve = NONE
    rotation: TimeCurve = NONE
    translation: TimeCurve = NONE
    scale: TimeCurve = NONE

    @staticmethod
    def written(shares: Mapping[str, str], fps: float) -> RegionShares:
        """Shares by region as :meth:`TimeCurve.written` reads them. Raises UserError, naming the region."""
        read: dict[str, TimeCurve] = {}
        for region, text in shares.items():
            try:
                read[region] = TimeCurve.written(text, 0.0, 1.0, fps)
            except UserError as refusal:
                raise UserError(f"{region}: {refusal}") from None
        return RegionShares(**read)


REGION_NAMES = tuple(field.name for field in fields(RegionShares))


def region_mix(first: Motion, second: Motion, shares: RegionShares) -> Motion:
    """``first`` with its regions blended into those of ``second``; as long as ``first`` and at its rate.

    A share of 0 leaves the region of the first in every bit, 1 takes that of the second. Where the second is shorter,
    its last frame is held. A second motion of other keypoints lends its pose only.
    """
    frames, fps = len(first), first.fps
    if abs(second.fps - fps) > 1e-6:
        second = resample_motion(second, fps)
    second = adapt_motion(second[torch.arange(frames).clamp(max=len(second) - 1)], first)
    expect_same_rate(fps, second.fps, "The two motions")
    share = {name: getattr(shares, name).values(frames, fps) for name in REGION_NAMES}
    weight = torch.zeros(frames, KEYPOINTS, 1, dtype=torch.float64)
    for region, points in FACE_REGIONS.items():
        weight[:, list(points), 0] = share[region][:, None]
    pose, other = first.pose, second.pose
    return replace(
        first,
        pose=replace(
            pose,
            rotation=slerp(pose.rotation, other.rotation, share["rotation"][:, None]),
            translation=lerp(pose.translation, other.translation, share["translation"][:, None]),
            scale=lerp(pose.scale, other.scale, share["scale"][:, None]),
        ),
        expression=lerp(first.expression, second.expression, weight),
    )


@dataclass(frozen=True)
class RegionDifference:
    """How far two motions are apart in one region: ``largest`` and ``mean`` distance in ``unit``."""

    region: str
    largest: float
    mean: float
    unit: str

    def __str__(self) -> str:
        return f"{self.region}: largest {self.largest:.4g} {self.unit}, mean {self.mean:.4g} {self.unit}"


def compare_motions(first: Motion, second: Motion) -> tuple[RegionDifference, ...]:
    """How far two motions of one length are apart, region by region.

    Raises UserError for motions of different length or rate, or of different keypoints.
    """
    if len(first) != len(second) or abs(first.fps - second.fps) > 1e-6:
        raise UserError(
            f"The motions have {len(first)} frames at {first.fps:g} and {len(second)} at {second.fps:g} a second;"
            " please give both one length and rate."
        )
    if first.keypoint_space != second.keypoint_space and first.keypoint_space and second.keypoint_space:
        raise UserError(
            f"The motions have {first.keypoint_space} and {second.keypoint_space} keypoints, which cannot be compared;"
            " please choose motions of one face model."
        )
    expression = (first.expression.double() - second.expression.double()).norm(dim=-1)  # (T, K)
    apart: list[tuple[str, Tensor, str]] = [
        (name, expression[:, list(points)], "units") for name, points in FACE_REGIONS.items()
    ]
    one, other = first.pose, second.pose
    apart.append(("rotation", (one.rotation.double() - other.rotation.double()).abs(), "degrees"))
    apart.append(("translation", (one.translation.double() - other.translation.double()).norm(dim=-1), "units"))
    apart.append(("scale", (one.scale.double() - other.scale.double()).abs(), "times"))
    return tuple(
        RegionDifference(name, float(away.max()) if away.numel() else 0.0, float(away.mean()), unit)
        for name, away, unit in apart
    )
