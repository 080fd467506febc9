"""W, the warping module: warps a feature volume from source to driving keypoints and estimates occlusion."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .canvas import Canvas, picture_in
from .config import FaceConfig
from .layers import ConvNorm2d, Down3d, LongConv2d, LongConv3d, Up3d, convolved

#: Variance of the Gaussian that marks a keypoint, in canonical units squared.
HEATMAP_VARIANCE = 0.01
THIRD_SLOPE = 0.01
#: Initial logit of the occlusion map: its sigmoid is the initial weight of warped features.
OCCLUSION_START = 2.0
#: Largest flow of the visible surface beyond the keypoints' translations, in picture halves.
OWN_FLOW = 0.1


@dataclass(frozen=True)
class Warped:
    """W's output.

    ``features`` (B, C, h, w) after occlusion, with ``carry_picture`` followed by the warped and the original picture;
    ``occlusion`` (B, 1, h, w), 1 where the source is visible; ``deformation`` (B, D, h, w, 3), the source position of
    each voxel as (x, y, z) in -1..1; ``mask`` (B, N, D, h, w), weights of the candidate motions, the identity first;
    ``canvas``: further inputs of G, with ``carry_picture``.
    """

    features: Tensor
    occlusion: Tensor
    deformation: Tensor
    mask: Tensor
    canvas: Canvas | None = None


def axis(samples: int, like: Tensor) -> Tensor:
    """Coordinates -1..1 with both ends on sample centres, as published: (samples,)."""
    return torch.linspace(-1.0, 1.0, samples, dtype=like.dtype, device=like.device)


def identity_grid(depth: int, height: int, width: int, like: Tensor) -> Tensor:
    """Coordinates of every voxel, (D, h, w, 3) in the order x, y, z."""
    z, y, x = torch.meshgrid(axis(depth, like), axis(height, like), axis(width, like), indexing="ij")
    return torch.stack([x, y, z], -1)


def coordinates(like: Tensor) -> AbstractContextManager[Any]:
    """Products of coordinates keep their precision where the networks run under autocast: bfloat16 rounds a place in
    the picture to 1/256 of its half."""
    kind = like.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def sample_volume(volume: Tensor, grid: Tensor) -> Tensor:
    """Trilinear sampling, zero outside: (B, C, D, h, w) at (B, d, a, b, 3) -> (B, C, d, a, b).

    ``align_corners=False`` does not match :func:`axis`; the published weights were trained with exactly that pair. The
    volume is converted to the grid's dtype, to keep the precision of coordinates, and the result is converted back.
    """
    volume, dtype = volume.to(grid.dtype), volume.dtype
    return F.grid_sample(volume, grid, "bilinear", "zeros", align_corners=False).to(dtype)


def heatmaps(points: Tensor, depth: int, height: int, width: int) -> Tensor:
    """exp(-|grid - p|^2 / 2 var) for points (B, K, 3) -> (B, K, D, h, w), computed per axis (it is separable)."""
    tables = [
        torch.exp((axis(n, points) - points[..., i, None]).square() * (-0.5 / HEATMAP_VARIANCE))
        for i, n in enumerate((width, height, depth))
    ]
    x, y, z = tables
    return z[..., :, None, None] * (y[..., :, None] * x[..., None, :])[..., None, :, :]


class Encoder(nn.Module):
    """Halve the picture plane level by level, keeping every stage: (B, C, D, h, w) -> list from fine to coarse."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(Down3d(a, b) for a, b in zip(widths, widths[1:], strict=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, D, h, w) -> the input and every stage, each half as wide and high as the one before."""
        stages = [x]
        for down in self.down_blocks:
            stages.append(down(stages[-1]))
        return stages


class Decoder(nn.Module):
    """Double level by level, appending the encoder's stage of the same size after each (decoder channels first)."""

    def __init__(self, widths: list[int], narrow: int) -> None:
        super().__init__()
        self.up_blocks = nn.ModuleList()
        coarse_to_fine = widths[::-1]
        inside = coarse_to_fine[0]
        for i, skip in enumerate(coarse_to_fine[1:]):
            outside = narrow if i == len(widths) - 2 else skip
            self.up_blocks.append(Up3d(inside, outside))
            inside = outside + skip
        self.conv = nn.Conv3d(inside, inside, 3, padding=1)
        self.norm = nn.BatchNorm3d(inside)
        self.width = inside

    def forward(self, stages: list[Tensor]) -> Tensor:
        """The stages of :class:`Encoder` -> (B, width, D, h, w) at the size of the finest."""
        x = stages[-1]
        for up, skip in zip(self.up_blocks, stages[-2::-1], strict=True):
            x = torch.cat([up(x), skip], 1)
        return F.relu(self.norm(convolved(self.conv, x)))


class Hourglass(nn.Module):
    """A 3-D U-Net without pooling over depth: (B, C, D, h, w) -> (B, width, D, h, w)."""

    def __init__(self, inside: int, config: FaceConfig) -> None:
        super().__init__()
        widths = [inside] + [
            min(config.hourglass_max, config.hourglass_expansion * 2 ** (i + 1)) for i in range(config.hourglass_levels)
        ]
        self.encoder = Encoder(widths)
        self.decoder = Decoder(widths, config.hourglass_expansion)
        self.width = self.decoder.width

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, h, w) -> (B, width, D, h, w)."""
        return self.decoder(self.encoder(x))


@torch.no_grad()
def common_rotation(x_from: Tensor, x_to: Tensor) -> Tensor:
    """The least-squares rotation and scale J from one centred keypoint set to another, for row vectors (Kabsch 1976,
    Umeyama 1991): (B, K, 3) twice -> (B, 3, 3). A raised brow or a dropped jaw hardly changes it."""
    with coordinates(x_from):  # half precision has no determinant
        a, b = (x.float() - x.float().mean(1, keepdim=True) for x in (x_from, x_to))
        u, stretch, vh = torch.linalg.svd(a.transpose(1, 2) @ b)
        sign = torch.ones_like(stretch)
        sign[:, 2] = torch.linalg.det(u @ vh).sign()
        scale = (stretch * sign).sum(-1) / a.square().sum((1, 2)).clamp(min=1e-8)
        return (scale[:, None, None] * ((u * sign[:, None]) @ vh)).to(x_from.dtype)


def blend_to_origin(face: Tensor) -> Tensor:
    """Minimum-norm weights (K,), summing to one, that express the origin, the centre of head rotation, by the points of
    a canonical face (K, 3). As Eq. 1 is affine, the same weights give the centre of a face in image space."""
    conditions = torch.cat([face.T, torch.ones(1, len(face))])
    return torch.linalg.lstsq(conditions, torch.tensor([0.0, 0.0, 0.0, 1.0])[:, None], driver="gelsd").solution[:, 0]


class DenseMotion(nn.Module):
    """Dense motion: a softmax over candidate motions per voxel (docs/liveportrait.md 3.4, steps 1 to 9)."""

    origin: Tensor

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.turns, self.has_body = config.turn_candidates, config.body_candidate
        if self.has_body:  # `blend_to_origin` of a mean face; until one is known, the keypoints' centre
            self.register_buffer("origin", torch.full((config.keypoints,), 1.0 / config.keypoints))
        self.hourglass = Hourglass(config.candidates * (1 + config.compress_channels), config)
        width = self.hourglass.width
        self.mask = LongConv3d(width, config.candidates, config.mask_kernel, padding=config.mask_kernel // 2)
        self.compress = nn.Conv3d(config.volume_channels, config.compress_channels, 1)
        self.norm = nn.BatchNorm3d(config.compress_channels)
        self.occlusion = LongConv2d(
            width * config.volume_depth, 1, config.occlusion_kernel, padding=config.occlusion_kernel // 2
        )
        if config.carry_picture:
            self.surface = nn.Conv2d(width * config.volume_depth, config.volume_depth + 2, 3, padding=1)
            nn.init.zeros_(self.surface.weight)
            assert self.surface.bias is not None
            nn.init.zeros_(self.surface.bias)
        assert self.occlusion.bias is not None  # for the type checker
        nn.init.constant_(self.occlusion.bias, OCCLUSION_START)

    def evidence(
        self, compressed: Tensor, grid: Tensor, rotated: Tensor, shift: Tensor, x_s: Tensor, x_d: Tensor, *body: Tensor
    ) -> Tensor:
        """Input of the hourglass: per candidate a heatmap difference and the warped volume -> (B, N (1+c), D, h, w)."""
        batch = len(x_d)
        depth, height, width = grid.shape[:3]
        still = grid.expand(batch, 1, *grid.shape)  # the first candidate is the identity
        # Candidates are concatenated along depth: one sampling call without copies of the volume.
        places = [still, rotated[:, None] + shift[:, :, None, None, None, :], *(b[:, None] for b in body)]
        moved = sample_volume(compressed.expand(batch, -1, -1, -1, -1), torch.cat(places, 1).flatten(1, 2))
        moved = moved.unflatten(2, (-1, depth)).movedim(2, 1)
        heat = heatmaps(x_d, depth, height, width) - heatmaps(x_s, depth, height, width)
        heat = F.pad(heat, (0, 0, 0, 0, 0, 0, 1, len(body))).to(moved.dtype)
        return torch.cat([heat[:, :, None], moved], 2).flatten(1, 2)

    def follow_body(self, grid: Tensor, rotation: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        """The body candidate: translation and scale of the head without rotation -> source positions (B, D, h, w,
        3)."""
        scale = torch.linalg.det(rotation.float()).clamp(min=1e-8).pow(1.0 / 3.0).to(rotation.dtype)
        with coordinates(grid):
            from_, to = (torch.einsum("k,bkc->bc", self.origin.to(x.dtype), x)[:, None, None, None] for x in (x_s, x_d))
        return from_ + scale[:, None, None, None, None] * (grid - to)

    def flow(self, hidden: Tensor, deformation: Tensor) -> Tensor:
        """Source position of each pixel of the visible surface, (B, h, w, 2): the deformation averaged over depth with
        predicted weights, plus a bounded correction."""
        depth = deformation.shape[1]
        output = self.surface(hidden.flatten(1, 2)).to(deformation.dtype)
        seen = output[:, :depth].softmax(1)
        with coordinates(deformation):
            along = torch.einsum("bzyx,bzyxc->byxc", seen, deformation[..., :2])
        return along + OWN_FLOW * output[:, depth:].movedim(1, -1).tanh()

    def forward(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Volume (B or 1, C, D, h, w), keypoints (B, K, 3) -> deformation, mask, occlusion as in :class:`Warped`, and
        the 3-D hidden state they are computed from."""
        compressed = F.relu(self.norm(self.compress(volume)))
        depth, height, width = volume.shape[2:]
        grid = identity_grid(depth, height, width, x_d)
        rotated, shift = grid.expand(len(x_d), *grid.shape), x_s - x_d
        rotation = common_rotation(x_d, x_s) if self.turns or self.has_body else x_d.new_empty(0)
        body = (self.follow_body(grid, rotation, x_s, x_d),) if self.has_body else ()
        if self.turns:
            with coordinates(grid):
                rotated = (grid.flatten(0, 2) @ rotation).unflatten(1, (depth, height, width))
                shift = x_s - x_d @ rotation
        hidden = self.hourglass(self.evidence(compressed, grid, rotated, shift, x_s, x_d, *body))
        mask = self.mask(hidden).to(x_d.dtype).softmax(1)
        # The mask sums to one, so the weighted sum of candidate grids is the common grid plus the mean shift.
        points = x_d.shape[1]
        with coordinates(grid):
            deformation = torch.einsum("bkzyx,bkc->bzyxc", mask[:, 1 : points + 1], shift)
        deformation = deformation + rotated + mask[:, 0, ..., None] * (grid - rotated)
        for share, moved in zip(mask[:, points + 1 :].unbind(1), body, strict=True):
            deformation = deformation + share[..., None] * (moved - rotated)
        occlusion = self.occlusion(hidden.flatten(1, 2)).sigmoid()
        return deformation, mask, occlusion, hidden


class WarpingModule(nn.Module):
    """volume (B or 1, C, D, h, w), x_s and x_d (B, K, 3) -> Warped (docs/liveportrait.md 3.4)."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotion(config)
        self.third = ConvNorm2d(config.folded_channels, config.warped_channels, THIRD_SLOPE)
        self.fourth = nn.Conv2d(config.warped_channels, config.warped_channels, 1)
        self.config = config

    def forward(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Warped:
        """``volume`` (B or 1, C, D, h, w), source and driving keypoints ``x_s``, ``x_d`` (B, K, 3) -> Warped."""
        x_s = x_s.expand_as(x_d)
        matter = volume[:, : self.config.volume_channels]
        deformation, mask, occlusion, hidden = self.dense_motion_network(matter, x_s, x_d)
        moved = sample_volume(matter.expand(len(x_d), -1, -1, -1, -1), deformation)
        features = self.fourth(self.third(moved.flatten(1, 2))) * occlusion
        if not self.config.carry_picture:
            return Warped(features, occlusion, deformation, mask)
        picture = picture_in(volume, self.config.volume_channels, self.config.fold).to(deformation.dtype)
        flow = self.dense_motion_network.flow(hidden, deformation)
        canvas = Canvas(picture.expand(len(x_d), -1, -1, -1), flow, x_d[..., :2])
        features = torch.cat([features, canvas.label(self.config).to(features.dtype)], 1)
        return Warped(features, occlusion, deformation, mask, canvas)
