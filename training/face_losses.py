"""The terms that teach F, M, W and G (docs/method.md 1.2): reconstruction, and the guides that keep it from
collapsing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from playmate_core.face import FaceReading, Warped
from playmate_core.face.front import HEAD_HALF_AXES, HeadPlacement
from playmate_core.geometry import ANGLE_BINS, DEGREES_PER_BIN, ZERO_BIN_DEGREES, rotation_matrix
from training.pairs import Blur, Truth

#: What one unit of each guide is worth: about the spread of the quantity over people and frames.
POSE_UNIT, KEYPOINT_UNIT, EXPRESSION_UNIT = Blur(degrees=10.0, shift=0.05, scale=0.1), 0.01, 0.01
#: Which branch of Eq. 4 may carry no gradient.
DETACH = ("none", "A", "B")
#: Where shoulders begin below the head's origin, in canonical units, how far they reach to each side, and above which
#: height nothing of them is seen.
BODY_TOP, BODY_HALF_WIDTH, ABOVE_BODY = 0.8, 0.5, 0.5


def pose_supervision(seen: HeadPlacement | FaceReading, angle_logits: Tensor, truth: Truth) -> Tensor:
    """L_H: angle bins by cross-entropy and degrees, translation and log scale by L1, all near one at the start."""
    position = (truth.rotation + ZERO_BIN_DEGREES) / DEGREES_PER_BIN
    low = position.floor().clamp(0, ANGLE_BINS - 2)
    share = (position - low).clamp(0.0, 1.0)
    target = torch.zeros_like(angle_logits)
    target.scatter_(-1, low.long()[..., None], (1.0 - share)[..., None])
    target.scatter_(-1, low.long()[..., None] + 1, share[..., None])
    bins = -(target * angle_logits.log_softmax(-1)).sum(-1).mean()
    return 0.1 * bins + pose_distance(seen, truth, POSE_UNIT)


def pose_distance(seen: HeadPlacement | FaceReading, truth: Truth, unit: Blur) -> Tensor:
    """Degrees, translation in the picture and scale by L1, each in its unit."""
    degrees = F.smooth_l1_loss(seen.rotation / unit.degrees, truth.rotation / unit.degrees, beta=0.2)
    shift = F.smooth_l1_loss(seen.translation[:, :2] / unit.shift, truth.translation[:, :2] / unit.shift, beta=0.2)
    scale = F.smooth_l1_loss(seen.scale / unit.scale, truth.scale / unit.scale, beta=0.2)
    return degrees + shift + scale


def keypoint_guide(reading: FaceReading, truth: Truth) -> Tensor:
    """The canonical keypoints at the semantic places LivePortrait's indices mean."""
    return F.smooth_l1_loss(reading.keypoints / KEYPOINT_UNIT, truth.keypoints / KEYPOINT_UNIT, beta=0.2)


def expression_guide(reading: FaceReading, truth: Truth) -> Tensor:
    """The expression near the true one; dead components are pulled to zero with the rest."""
    return F.smooth_l1_loss(reading.expression / EXPRESSION_UNIT, truth.expression / EXPRESSION_UNIT, beta=0.2)


def standard_distance(seen: Tensor, true: Tensor, spread: Tensor) -> Tensor:
    """Mean squared error of points (B, K, 3) in units of each coordinate's ``spread`` (3 K,), where it has one.

    So a brow counts as much as the jaw, which moves five times as far.
    """
    alive = spread > spread.amin()
    return ((seen - true).flatten(1) / spread)[:, alive].square().mean()


def keypoint_prior(placed: Tensor, nearest: float = 0.05) -> Tensor:
    """Hinge that keeps points (B, K, 3) at least ``nearest`` apart (face-vid2vid's key-point prior)."""
    gaps = torch.cdist(placed, placed) + torch.eye(placed.shape[1], device=placed.device)
    return F.relu(nearest - gaps).sum(-1).mean()


def rigid_guide(warped: Warped, source: Truth, driving: Truth) -> Tensor:
    """Deformation prior: inside the head the backward warp is the known rigid motion, in the body the same without the
    turn, far from both there is none.

    A voxel p of the driving frame lies on the skull at q = ((p - t_d) / s_d) R_d^T, which the source shows at
    s_s q R_s + t_s. Between the head and twice its size nothing is asked.
    """
    depth, height, width = warped.deformation.shape[1:4]
    axes = [torch.linspace(-1.0, 1.0, n, device=warped.deformation.device) for n in (depth, height, width)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    grid = torch.stack([x, y, z], -1).reshape(1, -1, 3)  # (1, N, 3)
    with torch.autocast(grid.device.type, enabled=False):  # a product in half precision is off by a tenth of a voxel
        upright = (grid - _in_plane(driving)) / driving.scale[:, None]
        skull = upright @ rotation_matrix(driving.rotation).transpose(-1, -2)  # (B, N, 3)
        moved = _seen(skull @ rotation_matrix(source.rotation), source)
    distance = (skull / torch.tensor(HEAD_HALF_AXES, device=grid.device)).square().sum(-1)
    got = warped.deformation.flatten(1, 3)
    head = _distance(got, moved, distance < 1.0)
    body = _distance(got, _seen(upright, source), _in_body(upright))
    return head + body + 0.5 * _distance(got, grid, (distance > 4.0) & (upright[..., 1] < ABOVE_BODY))


def surface_guide(flow: Tensor, source: Truth, driving: Truth) -> Tensor:
    """Where the skin that each coarse pixel shows came from: ``flow`` (B, h, w, 2) against the known rigid motion.

    The skin is taken for the front of the head's ellipsoid: the ray through (x, y) meets the skull at
    q = ((x, y, z) - t_d) / s_d R_d^T for the smallest z with |q / half axes| = 1, which the source shows at
    s_s q R_s + t_s. Shoulders move without the turn. Pixels whose ray misses twice that ellipsoid, and lie above the
    shoulders, should not move; between nothing is asked.
    """
    height, width = flow.shape[1:3]
    y, x = torch.meshgrid(*(torch.linspace(-1.0, 1.0, n, device=flow.device) for n in (height, width)), indexing="ij")
    plane = torch.stack([x, y, torch.zeros_like(x)], -1).reshape(1, -1, 3)
    axes = torch.tensor(HEAD_HALF_AXES, device=flow.device)
    with torch.autocast(flow.device.type, enabled=False):
        upright = (plane - _in_plane(driving)) / driving.scale[:, None]
        back = rotation_matrix(driving.rotation).transpose(-1, -2)
        start, ray = upright @ back, back[:, 2:3]  # the ray at z = 0 (B, N, 3), and what one unit of z adds (B, 1, 3)
        a, b = (ray / axes).square().sum(-1), (start * ray / axes.square()).sum(-1)
        c = (start / axes).square().sum(-1)
        hit = b.square() - a * (c - 1.0)
        skin = start + ((-b - hit.clamp(min=0.0).sqrt()) / a)[..., None] * ray
        moved = _seen(skin @ rotation_matrix(source.rotation), source)[..., :2]
    missed = b.square() - a * (c - 4.0) < 0.0
    got = flow.flatten(1, 2)
    head = _distance(got, moved, hit > 0.0)
    body = _distance(got, _seen(upright, source)[..., :2], _in_body(upright) & (hit <= 0.0))
    return head + body + 0.5 * _distance(got, plane[..., :2], missed & (upright[..., 1] < ABOVE_BODY))


def _in_plane(truth: Truth) -> Tensor:
    """A head's translation without depth, (B, 1, 3)."""
    return (truth.translation * torch.tensor([1.0, 1.0, 0.0], device=truth.translation.device))[:, None]


def _seen(turned: Tensor, truth: Truth) -> Tensor:
    """Where points (B, N, 3) of a head that has turned already are seen."""
    return truth.scale[:, None] * turned + _in_plane(truth)


def _in_body(upright: Tensor) -> Tensor:
    """Which points, in the head's frame before it turns, are taken for shoulders and chest."""
    return (upright[..., 1] > BODY_TOP) & (upright[..., 0].abs() < BODY_HALF_WIDTH)


def _distance(got: Tensor, wanted: Tensor, where: Tensor) -> Tensor:
    """Mean distance of points (B, N, 2 or 3) in a zone (B, N)."""
    return ((got - wanted).abs().sum(-1) * where).sum() / where.sum().clamp(min=1)


def gradient_distance(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """L1 of the horizontal and vertical differences of two pictures: edges in the right place. ``weight`` (B, 1, S, S):
    how much each pixel counts."""
    apart = first - second
    across, down = apart.diff(dim=-1).abs(), apart.diff(dim=-2).abs()
    if weight is not None:
        across, down = across * weight[..., 1:], down * weight[..., 1:, :]
    return across.mean() + down.mean()


def nearness(points: Tensor, side: int, radius: float) -> Tensor:
    """How near each pixel is to the nearest of points (B, N, 2): a Gaussian of ``radius``, 1 there -> (B, 1, S, S).

    Lips and eyes are a hundredth of the picture and nearly all of its expression.
    """
    axis = torch.linspace(-1.0, 1.0, side, device=points.device)
    across = torch.exp(-0.5 * ((axis - points[..., :1]) / radius).square())  # (B, N, S)
    down = torch.exp(-0.5 * ((axis - points[..., 1:2]) / radius).square())
    return (down[..., :, None] * across[..., None, :]).amax(1, keepdim=True)
