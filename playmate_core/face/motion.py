"""M, the motion extractor: keypoints, pose and expression of a face, from one picture."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..geometry import ANGLE_BINS, degrees_from_bins
from .config import FaceConfig
from .front import HeadPlacement, frontal_view

NORM_EPS = 1e-6
#: Initial value of the scale head, which has no activation: heads in a crop are about this much larger than canonical.
SCALE_START = 1.3
#: Standard deviation of the initial weights of heads whose outputs are of the order of 0.01.
FINE_START = 0.002
#: Lower bound of the standard deviation of a coordinate, in canonical units.
MOVES_NOT = 1e-4


@dataclass(frozen=True)
class FaceReading:
    """M's output for a batch of pictures.

    ``keypoints`` (B, K, 3) canonical; ``rotation`` (B, 3) pitch, yaw, roll in degrees; ``translation`` (B, 3);
    ``scale`` (B, 1); ``expression`` (B, K, 3); ``angle_logits`` (B, 3, 66), from which the rotation is computed.
    """

    keypoints: Tensor
    rotation: Tensor
    translation: Tensor
    scale: Tensor
    expression: Tensor
    angle_logits: Tensor


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel: (B, C, h, w) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ResponseNorm(nn.Module):
    """Global response normalisation of ConvNeXt V2 on channels-last (B, h, w, K); statistics per sample."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, K) -> the same."""
        size = x.norm(dim=(1, 2), keepdim=True)
        relative = size / (size.mean(-1, keepdim=True) + NORM_EPS)
        return torch.addcmul(self.beta, x, self.gamma * relative + 1.0)


class ConvNeXtBlock(nn.Module):
    """ConvNeXt V2 block: depthwise 7x7, then a per-pixel MLP four times as wide, plus the input: (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.grn = ResponseNorm(4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        inner = self.norm(self.dwconv(x).movedim(1, -1))
        inner = self.pwconv2(self.grn(F.gelu(self.pwconv1(inner))))
        return x + inner.movedim(-1, 1)


class ConvNeXt(nn.Module):
    """The published backbone: (B, 3, S, S) -> pooled, normalised features (B, width)."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        widths = config.motion_widths
        self.downsample_layers = nn.ModuleList()
        self.downsample_layers.append(
            nn.Sequential(nn.Conv2d(3, widths[0], 4, stride=4), ChannelNorm(widths[0], eps=NORM_EPS))
        )
        for a, b in zip(widths, widths[1:], strict=False):
            # After the stem the norm comes first.
            self.downsample_layers.append(nn.Sequential(ChannelNorm(a, eps=NORM_EPS), nn.Conv2d(a, b, 2, stride=2)))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth)))
            for width, depth in zip(widths, config.motion_depths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=NORM_EPS)
        self.features_width = widths[-1]

    def features(self, image: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) -> (B, features_width)."""
        x = image
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(down(x))
        return self.norm(x.mean((2, 3)))


class PlainBackbone(nn.Module):
    """Strided convolutions with batch norm whose last 4x4 cells are flattened: (B, 3, S, S) -> (B, 256).

    On a few thousand pictures it learns the pose in hundreds of steps, where ConvNeXt, with its global average and
    per-pixel norm, still predicts a constant (measured: 3.7 against 16 degrees of yaw error after 400 steps).
    """

    CELLS = 4

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        widths = (3, *config.motion_widths)
        self.stages = nn.ModuleList(
            _halving(a, b, depth, nn.ReLU)
            for a, b, depth in zip(widths, widths[1:], config.motion_depths, strict=False)
        )
        self.features_width = 256
        self.join = nn.Linear(widths[-1] * self.CELLS**2, self.features_width)

    def features(self, image: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [0, 1] -> (B, features_width)."""
        x = image * 2.0 - 1.0
        for stage in self.stages:
            x = stage(x)
        return F.relu(self.join(F.adaptive_avg_pool2d(x, self.CELLS).flatten(1)))


class PoseHeads(nn.Module):
    """Linear heads for the head pose on a backbone's features, without activation."""

    features_width: int

    def _add_pose_heads(self) -> None:
        width = self.features_width
        self.fc_scale = nn.Linear(width, 1)
        self.fc_pitch = nn.Linear(width, ANGLE_BINS)
        self.fc_yaw = nn.Linear(width, ANGLE_BINS)
        self.fc_roll = nn.Linear(width, ANGLE_BINS)
        self.fc_t = nn.Linear(width, 3)
        # Start near a still, frontal face of usual size.
        for head in (self.fc_t, self.fc_scale):
            nn.init.normal_(head.weight, std=FINE_START)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.fc_scale.bias, SCALE_START)

    def where(self, features: Tensor) -> tuple[HeadPlacement, Tensor]:
        """The pose, and the logits (B, 3, 66) from which its rotation is computed."""
        logits = torch.stack([self.fc_pitch(features), self.fc_yaw(features), self.fc_roll(features)], 1)
        return HeadPlacement(degrees_from_bins(logits), self.fc_t(features), self.fc_scale(features)), logits

    def fine_heads(self) -> tuple[nn.Linear, ...]:
        """The heads with outputs of the order of 0.01, which need a smaller learning rate than the rest."""
        return self.fc_t, self.fc_scale


class ConvNeXtMotionExtractor(ConvNeXt, PoseHeads):
    """The published M: seven linear heads on one backbone (docs/liveportrait.md 3.3)."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__(config)
        self._add_pose_heads()
        self.fc_kp = nn.Linear(self.features_width, 3 * config.keypoints)
        self.fc_exp = nn.Linear(self.features_width, 3 * config.keypoints)
        for head in (self.fc_kp, self.fc_exp):
            nn.init.normal_(head.weight, std=FINE_START)
            nn.init.zeros_(head.bias)
        nn.init.uniform_(self.fc_kp.bias, -0.3, 0.3)  # otherwise all keypoints start equal

    def fine_heads(self) -> tuple[nn.Linear, ...]:
        """The heads of keypoints and expression, and those of :class:`PoseHeads`."""
        return self.fc_kp, self.fc_exp, *super().fine_heads()

    def start_from(self, keypoints: Tensor, expressions: Tensor) -> None:
        """Initialise the keypoint head to the mean of training faces (P, K, 3); ``expressions`` are not used."""
        with torch.no_grad():
            self.fc_kp.bias.copy_(keypoints.mean(0).flatten())

    def forward(self, image: Tensor) -> FaceReading:
        """Pictures (B, 3, S, S) in [0, 1] -> FaceReading."""
        x = self.features(image)
        where, logits = self.where(x)
        keypoints, expression = _points(self.fc_kp(x)), _points(self.fc_exp(x))
        return FaceReading(keypoints, where.rotation, where.translation, where.scale, expression, logits)


class CoarseToFineMotionExtractor(PlainBackbone, PoseHeads):
    """The M this repository trains from scratch: a coarse pose, then a fine network on the frontalised face.

    Brows are two pixels thick at the coarse resolution, from which only jaw and lids generalised to unseen people. The
    fine network sees a frontal view at the input's full resolution; its outputs are scaled by the standard deviation of
    each component. It also corrects the pose.
    """

    keypoint_mean: Tensor
    keypoint_spread: Tensor
    expression_mean: Tensor
    expression_spread: Tensor

    HIDDEN = 96
    #: Units of the pose correction: degrees, picture halves (x, y), and log scale.
    CORRECTIONS = (4.0, 4.0, 4.0, 0.02, 0.02, 0.04)

    def __init__(self, config: FaceConfig) -> None:
        super().__init__(config)
        self._add_pose_heads()
        self.size, self.close_size = config.first_look, 3 * config.first_look // 4
        widths = (3, *config.motion_widths)
        self.close_stages = nn.Sequential(*(_halving(a, b, 1, nn.SiLU) for a, b in pairwise(widths)))
        cells = -(-self.close_size // 2 ** len(config.motion_widths))
        # Without this normalisation most hidden units die, and small movements are lost.
        self.close_join = nn.Sequential(
            nn.Flatten(), nn.Linear(widths[-1] * cells**2, self.HIDDEN), nn.BatchNorm1d(self.HIDDEN), nn.SiLU()
        )
        self.close_kp = nn.Linear(self.HIDDEN, 3 * config.keypoints)
        self.close_exp = nn.Linear(self.HIDDEN, 3 * config.keypoints)
        self.close_pose = nn.Linear(self.HIDDEN, len(self.CORRECTIONS))
        for name in ("keypoint", "expression"):
            self.register_buffer(f"{name}_mean", torch.zeros(3 * config.keypoints))
            self.register_buffer(f"{name}_spread", torch.full((3 * config.keypoints,), 0.01))
        nn.init.uniform_(self.keypoint_mean, -0.3, 0.3)  # otherwise all keypoints start equal

    def start_from(self, keypoints: Tensor, expressions: Tensor) -> None:
        """Set mean and std of the outputs to those of training ``keypoints`` (P, K, 3) and ``expressions`` (T, K,
        3)."""
        for name, seen in (("keypoint", keypoints), ("expression", expressions)):
            getattr(self, f"{name}_mean").copy_(seen.mean(0).flatten())
            getattr(self, f"{name}_spread").copy_(std_of(seen))

    def first_parts(self) -> tuple[nn.Module, ...]:
        """The modules of the coarse stage."""
        return self.stages, self.join, self.fc_pitch, self.fc_yaw, self.fc_roll, self.fc_t, self.fc_scale

    def coarse(self, image: Tensor) -> tuple[HeadPlacement, Tensor]:
        """The coarse pose in pictures (B, 3, S, S), and the logits (B, 3, 66) of its angles."""
        return self.where(self.features(F.interpolate(image, size=(self.size, self.size), mode="area")))

    def fine(self, image: Tensor, where: HeadPlacement) -> tuple[HeadPlacement, Tensor, Tensor]:
        """The corrected pose, keypoints and expression (B, K, 3) of pictures (B, 3, S, S), given the coarse pose."""
        seen = frontal_view(image, where.fixed(), self.close_size)
        x = self.close_join(self.close_stages(seen * 2.0 - 1.0))
        rotation, shift, size = (self.close_pose(x) * x.new_tensor(self.CORRECTIONS)).split((3, 2, 1), -1)
        mended = HeadPlacement(
            where.rotation + rotation, where.translation + F.pad(shift, (0, 1)), where.scale * size.exp()
        )
        keypoints = self.keypoint_mean + self.keypoint_spread * self.close_kp(x)
        expression = self.expression_mean + self.expression_spread * self.close_exp(x)
        return mended, _points(keypoints), _points(expression)

    def forward(self, image: Tensor) -> FaceReading:
        """Pictures (B, 3, S, S) in [0, 1] -> FaceReading."""
        where, logits = self.coarse(image)
        mended, keypoints, expression = self.fine(image, where)
        return FaceReading(keypoints, mended.rotation, mended.translation, mended.scale, expression, logits)


def _halving(inside: int, outside: int, deeper: int, bend: type[nn.Module]) -> nn.Sequential:
    """A normalised convolution of stride 2 and ``deeper`` of stride 1, with ``bend`` after each."""
    layers: list[nn.Module] = []
    for width, stride in ((inside, 2), *((outside, 1),) * deeper):
        layers += [nn.Conv2d(width, outside, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outside), bend()]
    return nn.Sequential(*layers)


def std_of(points: Tensor) -> Tensor:
    """Standard deviation of every coordinate over points (N, K, 3): (3 K,), at least MOVES_NOT."""
    return points.flatten(1).std(0).clamp(min=MOVES_NOT)


def _points(flat: Tensor) -> Tensor:
    return flat.unflatten(-1, (-1, 3))


EXTRACTORS: dict[str, type[ConvNeXtMotionExtractor] | type[CoarseToFineMotionExtractor]] = {
    "convnext": ConvNeXtMotionExtractor,
    "two-looks": CoarseToFineMotionExtractor,
}


class MotionExtractor(nn.Module):
    """M under its published name: every key begins with ``detector.``."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.detector: ConvNeXtMotionExtractor | CoarseToFineMotionExtractor = EXTRACTORS[config.motion_backbone](
            config
        )

    def forward(self, image: Tensor) -> FaceReading:
        """Pictures (B, 3, S, S) in [0, 1] -> FaceReading."""
        return self.detector(image)
