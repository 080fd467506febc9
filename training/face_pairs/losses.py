"""The terms that fine-tune F, M, W and G on unlabelled pairs of frames (docs/method.md 1.2), each a pure function.

Letters: B pairs, K keypoints, S the side of a picture. Placed keypoints are those of Eq. 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from playmate_core.face import FaceReading
from playmate_core.geometry import place

#: ``draw(volume, source keypoints, driving keypoints)`` -> pictures, as ``FaceModel.draw``.
Draw = Callable[[Tensor, Tensor, Tensor], Tensor]
#: How unlike two batches of pictures are, one number.
Distance = Callable[[Tensor, Tensor], Tensor]

#: What one unit of each part of a motion is worth in the anchor: about its spread over people and frames.
DEGREES, SHIFT, LOG_SCALE, HUNDREDTH = 10.0, 0.05, 0.1, 0.01


@dataclass(frozen=True)
class Frame:
    """A frame as the networks know it: its appearance ``volume`` (B, C, D, h, w) and what M reads in it."""

    volume: Tensor
    reading: FaceReading

    def placed(self) -> Tensor:
        """Where its keypoints are, (B, K, 3)."""
        return moved(self.reading, pose=self.reading, expression=self.reading)


def moved(shape: FaceReading, pose: FaceReading, expression: FaceReading) -> Tensor:
    """Eq. 1 with canonical keypoints, pose and expression of three readings -> (B, K, 3), in full precision."""
    with torch.autocast(shape.keypoints.device.type, enabled=False):
        return place(shape.keypoints, pose.rotation, expression.expression, pose.translation, pose.scale)


def recombined(draw: Draw, i: Frame, j: Frame) -> tuple[Tensor, Tensor]:
    """Pose j with expression i, drawn from frame i (Eq. 2) and from frame j (Eq. 3): A and B."""
    target_a = moved(i.reading, pose=j.reading, expression=i.reading)
    target_b = moved(j.reading, pose=j.reading, expression=i.reading)
    return draw(i.volume, i.placed(), target_a), draw(j.volume, j.placed(), target_b)


def transfer_loss(draw: Draw, distance: Distance, i: Frame, j: Frame, detach: str = "none") -> Tensor:
    """L_p (Eq. 4): both ways to pose j with expression i must look alike.

    Zero where M's expression says nothing of the pose: A moves frame i by what the pose alone changed, B moves frame j
    by what the expression alone changed. ``detach``: "A" or "B" carries no gradient.
    """
    a, b = recombined(draw, i, j)
    return distance(a.detach() if detach == "A" else a, b.detach() if detach == "B" else b)


def hinge_discriminator(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Hinge loss of a discriminator with a score map for each scale: real above 1, drawn below -1; 2 if it knows
    nothing."""
    pairs = zip(real, fake, strict=True)
    return torch.stack([F.relu(1.0 - r).mean() + F.relu(1.0 + f).mean() for r, f in pairs]).mean()


def hinge_generator(fake: Sequence[Tensor]) -> Tensor:
    """What the generator pays for pictures that the discriminator scores low."""
    return torch.stack([-f.mean() for f in fake]).mean()


def feature_matching(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean L1 of the discriminator's feature maps; real pictures carry no gradient (pix2pixHD)."""
    return torch.stack([F.l1_loss(f, r.detach()) for r, f in zip(real, fake, strict=True)]).mean()


def random_affine(count: int, generator: torch.Generator, degrees: float = 15.0, reach: float = 0.1) -> Tensor:
    """Small turns, scales and shifts in the picture plane (B, 2, 3), as ``affine_grid`` takes them."""
    u = 2.0 * torch.rand(4, count, generator=generator) - 1.0
    angle, size = torch.deg2rad(degrees * u[0]), torch.exp(reach * u[1])
    cosine, sine = size * angle.cos(), size * angle.sin()
    rows = torch.stack([cosine, -sine, reach * u[2], sine, cosine, reach * u[3]], -1)
    return rows.reshape(count, 2, 3)


def warped(image: Tensor, affine: Tensor) -> Tensor:
    """Pictures (B, 3, S, S) whose pixel at p shows what lay at ``affine`` p; p in -1..1 from edge to edge."""
    grid = F.affine_grid(affine.to(image), list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)


def equivariance(placed: Tensor, placed_in_warped: Tensor, affine: Tensor) -> Tensor:
    """Keypoints (B, K, 3) must move with the picture: those of the warped one, mapped back, lie where they lay before.

    In the picture plane alone (face-vid2vid's L_E): an affine map says nothing of depth.
    """
    affine = affine.to(placed)
    back = placed_in_warped[..., :2] @ affine[:, :, :2].transpose(-1, -2) + affine[:, None, :, 2]
    return (placed[..., :2] - back).abs().mean()


def landmark_guide(placed: Tensor, landmarks: Tensor, width: float = 0.05, bend: float = 0.01) -> Tensor:
    """Wing loss of placed keypoints (B, N, 3) against landmarks (B, N, 2) in picture halves (Feng et al. 2018).

    Within ``width`` it grows as width ln(1 + gap / bend), beyond it as the gap.
    """
    gap = (placed[..., :2] - landmarks).abs()
    near, far = width * torch.log1p(gap / bend), gap - width + width * math.log1p(width / bend)
    return torch.where(gap < width, near, far).mean()


def anchor(now: FaceReading, before: FaceReading) -> Tensor:
    """How far expression, canonical keypoints and pose have moved from what the given M reads, in units of their spread
    (L1).

    It keeps stitching and retargeting usable, which were trained on the given M.
    """
    parts = (
        (now.expression - before.expression) / HUNDREDTH,
        (now.keypoints - before.keypoints) / HUNDREDTH,
        (now.rotation - before.rotation) / DEGREES,
        (now.translation - before.translation)[:, :2] / SHIFT,
        (now.scale.clamp(min=1e-3).log() - before.scale.clamp(min=1e-3).log()) / LOG_SCALE,
    )
    return torch.stack([part.abs().mean() for part in parts]).sum()


def outside_head(placed: Tensor, side: int, margin: float = 1.35) -> Tensor:
    """1 where a picture shows no head: outside the ellipse over keypoints (B, K, 3), ``margin`` times as large ->
    (B, 1, side, side)."""
    low, high = placed[..., :2].amin(1), placed[..., :2].amax(1)
    centre, half = (low + high) / 2.0, margin * (high - low).clamp(min=1e-3) / 2.0
    axis = (torch.arange(side, device=placed.device) + 0.5) / side * 2.0 - 1.0
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    across = (x[None] - centre[:, 0, None, None]) / half[:, 0, None, None]
    down = (y[None] - centre[:, 1, None, None]) / half[:, 1, None, None]
    return (across.square() + down.square() > 1.0).float()[:, None]


def stitching_loss(stitched: Tensor, still: Tensor, outside: Tensor, offset: Tensor, weight: float) -> Tensor:
    """Shoulders and background of the stitched picture as in the picture drawn without motion, and ``weight`` times
    the mean size of the offset (B, K, 3) that does it (docs/liveportrait.md 3.8)."""
    apart = ((stitched - still).abs() * outside).sum() / (3.0 * outside.sum()).clamp(min=1.0)
    return apart + weight * offset.abs().mean()
