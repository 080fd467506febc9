"""W: carry a feature volume from the source keypoints to the driving ones, and say where that cannot be known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .appearance import picture_in
from .config import FaceConfig
from .layers import ConvNorm2d, Down3d, Up3d

#: Variance of the Gaussian that marks a keypoint, in canonical units squared.
HEATMAP_VARIANCE = 0.01
THIRD_SLOPE = 0.01
#: The sigmoid of this is the share of the warped features shown before training has said what is hidden.
OCCLUSION_START = 2.0
#: How far, in picture halves, the visible surface may move beyond what the keypoints' translations explain.
OWN_FLOW = 0.1


@dataclass(frozen=True)
class Warped:
    """What W hands to G, and why.

    ``features`` (B, C, h, w) after occlusion, then the moved picture where one is carried;
    ``occlusion`` (B, 1, h, w), 1 where the source is seen; ``deformation``
    (B, D, h, w, 3), where each voxel came from as (x, y, z) in -1..1; ``mask`` (B, K+1, D, h, w), the share of each
    candidate motion, standing still first.
    """

    features: Tensor
    occlusion: Tensor
    deformation: Tensor
    mask: Tensor


def axis(samples: int, like: Tensor) -> Tensor:
    """Coordinates -1..1 with both ends on sample centres, as published: (samples,)."""
    return torch.linspace(-1.0, 1.0, samples, dtype=like.dtype, device=like.device)


def identity_grid(depth: int, height: int, width: int, like: Tensor) -> Tensor:
    """Where every voxel is, (D, h, w, 3) in the order x, y, z."""
    z, y, x = torch.meshgrid(axis(depth, like), axis(height, like), axis(width, like), indexing="ij")
    return torch.stack([x, y, z], -1)


def sample(volume: Tensor, grid: Tensor) -> Tensor:
    """Trilinear look-up, zero outside: (B, C, D, h, w) at (B, d, a, b, 3) -> (B, C, d, a, b).

    ``align_corners=False`` does not match :func:`axis`; the published weights were trained with exactly that pair.
    Coordinates keep their precision: the volume follows the grid's dtype and the result goes back.
    """
    volume, dtype = volume.to(grid.dtype), volume.dtype
    return F.grid_sample(volume, grid, "bilinear", "zeros", align_corners=False).to(dtype)


def heatmaps(points: Tensor, depth: int, height: int, width: int) -> Tensor:
    """exp(-|grid - p|^2 / 2 var) for points (B, K, 3) -> (B, K, D, h, w); separable, hence three short tables."""
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
        x = stages[-1]
        for up, skip in zip(self.up_blocks, stages[-2::-1], strict=True):
            x = torch.cat([up(x), skip], 1)
        return F.relu(self.norm(self.conv(x)))


class Hourglass(nn.Module):
    """A 3-D U-Net that never touches depth: (B, C, D, h, w) -> (B, width, D, h, w)."""

    def __init__(self, inside: int, config: FaceConfig) -> None:
        super().__init__()
        widths = [inside] + [
            min(config.hourglass_max, config.hourglass_expansion * 2 ** (i + 1)) for i in range(config.hourglass_levels)
        ]
        self.encoder = Encoder(widths)
        self.decoder = Decoder(widths, config.hourglass_expansion)
        self.width = self.decoder.width

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class DenseMotion(nn.Module):
    """Let every voxel choose among the keypoints' translations (page 3.4, steps 1 to 9)."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.hourglass = Hourglass(config.candidates * (1 + config.compress_channels), config)
        width = self.hourglass.width
        self.mask = nn.Conv3d(width, config.candidates, config.mask_kernel, padding=config.mask_kernel // 2)
        self.compress = nn.Conv3d(config.volume_channels, config.compress_channels, 1)
        self.norm = nn.BatchNorm3d(config.compress_channels)
        self.occlusion = nn.Conv2d(
            width * config.volume_depth, 1, config.occlusion_kernel, padding=config.occlusion_kernel // 2
        )
        if config.carry_picture:
            self.surface = nn.Conv2d(width * config.volume_depth, config.volume_depth + 2, 3, padding=1)
            nn.init.zeros_(self.surface.weight)
            assert self.surface.bias is not None
            nn.init.zeros_(self.surface.bias)
        assert self.occlusion.bias is not None  # for the type checker
        nn.init.constant_(self.occlusion.bias, OCCLUSION_START)

    def evidence(self, compressed: Tensor, grid: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        """Per candidate: where its keypoint went, then what it would bring -> (B, (K+1)(1+c), D, h, w)."""
        batch, points = x_d.shape[:2]
        depth, height, width = grid.shape[:3]
        shift = F.pad(x_s - x_d, (0, 0, 1, 0))  # the first candidate stands still
        # All candidates lie along depth, so that one look-up serves them without copying the volume.
        places = (grid + shift[:, :, None, None, None, :]).flatten(1, 2)
        moved = sample(compressed.expand(batch, -1, -1, -1, -1), places)
        moved = moved.unflatten(2, (points + 1, depth)).movedim(2, 1)
        heat = heatmaps(x_d, depth, height, width) - heatmaps(x_s, depth, height, width)
        heat = F.pad(heat, (0, 0, 0, 0, 0, 0, 1, 0)).to(moved.dtype)
        return torch.cat([heat[:, :, None], moved], 2).flatten(1, 2)

    def flow(self, hidden: Tensor, deformation: Tensor) -> Tensor:
        """Where each pixel of the visible surface came from, (B, h, w, 2): the deformation of the depth that is seen,
        and a little of its own."""
        depth = deformation.shape[1]
        told = self.surface(hidden.flatten(1, 2)).to(deformation.dtype)
        seen = told[:, :depth].softmax(1)
        along = torch.einsum("bzyx,bzyxc->byxc", seen, deformation[..., :2])
        return along + OWN_FLOW * told[:, depth:].movedim(1, -1).tanh()

    def forward(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Volume (B or 1, C, D, h, w), keypoints (B, K, 3) -> deformation, mask, occlusion as in :class:`Warped`, and
        the 3-D hidden state they were read from."""
        compressed = F.relu(self.norm(self.compress(volume)))
        depth, height, width = volume.shape[2:]
        grid = identity_grid(depth, height, width, x_d)
        hidden = self.hourglass(self.evidence(compressed, grid, x_s, x_d))
        mask = self.mask(hidden).to(x_d.dtype).softmax(1)
        # The mask sums to one, so the sum over candidate grids is the identity plus the mean shift.
        shift = torch.einsum("bkzyx,bkc->bzyxc", mask[:, 1:], x_s - x_d)
        occlusion = self.occlusion(hidden.flatten(1, 2)).sigmoid()
        return grid + shift, mask, occlusion, hidden


class WarpingModule(nn.Module):
    """volume (B or 1, C, D, h, w), x_s and x_d (B, K, 3) -> Warped (page 3.4)."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotion(config)
        self.third = ConvNorm2d(config.folded_channels, config.warped_channels, THIRD_SLOPE)
        self.fourth = nn.Conv2d(config.warped_channels, config.warped_channels, 1)
        self.channels = config.volume_channels
        self.carried = config.appearance_stride if config.carry_picture else 0

    def forward(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Warped:
        x_s = x_s.expand_as(x_d)
        matter = volume[:, : self.channels]
        deformation, mask, occlusion, hidden = self.dense_motion_network(matter, x_s, x_d)
        moved = sample(matter.expand(len(x_d), -1, -1, -1, -1), deformation)
        features = self.fourth(self.third(moved.flatten(1, 2))) * occlusion
        if self.carried:
            picture = picture_in(volume, self.channels, self.carried).to(deformation.dtype)
            flow = self.dense_motion_network.flow(hidden, deformation)
            shown = move_picture(picture.expand(len(x_d), -1, -1, -1), flow)
            features = torch.cat([features, F.pixel_unshuffle(shown, self.carried).to(features.dtype)], 1)
        return Warped(features, occlusion, deformation, mask)


def move_picture(picture: Tensor, flow: Tensor) -> Tensor:
    """A picture (B, 3, S, S) looked up at a coarse flow (B, h, w, 2) whose ends lie on the picture's corner pixels."""
    fine = F.interpolate(flow.movedim(-1, 1), size=picture.shape[-2:], mode="bilinear", align_corners=True)
    return F.grid_sample(picture, fine.movedim(1, -1), "bilinear", "border", align_corners=True)
