"""G, the generator: warped features to a picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .canvas import Canvas
from .config import FaceConfig
from .layers import conv2d

SLOPE = 0.2
#: The softmax of (0, MOVED_START, 0) gives the warped picture a weight of 0.9.
MOVED_START = 2.9


class Spade(nn.Module):
    """Instance norm of x, then a per-pixel scale and shift computed from the label (docs/liveportrait.md 3.5).

    x (B, C, h, w), label (B, L, a, b) -> (B, C, h, w).
    """

    def __init__(self, channels: int, label: int, hidden: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(label, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """``x`` (B, C, h, w), ``label`` (B, L, a, b), resized to x -> (B, C, h, w)."""
        if label.shape[2:] != x.shape[2:]:
            label = F.interpolate(label, size=x.shape[2:])
        shared = self.mlp_shared(label)
        return F.instance_norm(x) * (1.0 + self.mlp_gamma(shared)) + self.mlp_beta(shared)


class SpadeBlock(nn.Module):
    """Residual block of two SPADE-normalised 3x3 convolutions: x (B, in, h, w), label -> (B, out, h, w)."""

    def __init__(self, inside: int, outside: int, label: int, config: FaceConfig) -> None:
        super().__init__()
        middle = min(inside, outside)
        hidden, spectral = config.spade_hidden, config.spectral_norm
        self.conv_0 = conv2d(inside, middle, 3, spectral=spectral)
        self.conv_1 = conv2d(middle, outside, 3, spectral=spectral)
        self.norm_0 = Spade(inside, label, hidden)
        self.norm_1 = Spade(middle, label, hidden)
        self.learned_shortcut = inside != outside
        if self.learned_shortcut:
            self.conv_s = conv2d(inside, outside, 1, bias=False, spectral=spectral)
            self.norm_s = Spade(inside, label, hidden)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """``x`` (B, in, h, w), ``label`` (B, L, a, b) -> (B, out, h, w)."""
        shortcut = self.conv_s(self.norm_s(x, label)) if self.learned_shortcut else x
        x = self.conv_0(F.leaky_relu(self.norm_0(x, label), SLOPE))
        x = self.conv_1(F.leaky_relu(self.norm_1(x, label), SLOPE))
        return shortcut + x


class Generator(nn.Module):
    """Warped features (B, C, h, w) -> picture (B, 3, 8h, 8w) in [0, 1] (docs/liveportrait.md 3.7).

    With ``carry_picture`` it also takes the canvas: every block gets keypoint heatmaps at its own resolution, the last
    block nothing else, and the output is ``shrink`` times wider.
    """

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        wide, marks = config.generator_middle, config.mark_channels
        label = config.label_channels + marks
        self.fc = nn.Conv2d(label, wide, 3, padding=1)
        self.middle = tuple(f"G_middle_{i}" for i in range(config.generator_blocks))  # published names, not a list
        for name in self.middle:
            self.add_module(name, SpadeBlock(wide, wide, label, config))
        self.up_0 = SpadeBlock(wide, config.generator_up_0, label, config)
        self.up_1 = SpadeBlock(config.generator_up_0, config.generator_up_1, marks or label, config)
        self.carried, finer = config.carry_picture, 2 * config.shrink
        self.fine = FineStage(config) if config.generator_fine else None
        inside, finer = (config.generator_fine, 2) if self.fine else (config.generator_up_1, finer)
        last = nn.Conv2d(inside, (8 if self.carried else 3) * finer**2, 3, padding=1)
        self.conv_img = nn.Sequential(last, nn.PixelShuffle(finer))
        if self.carried:
            keep_the_moved_picture(last, finer**2)

    def forward(self, label: Tensor, canvas: Canvas | None = None) -> Tensor:
        """``label`` (B, L, h, w). Raises ValueError if the canvas is missing, or given without ``carry_picture``."""
        output = self.output(label, canvas)
        return output.sigmoid() if canvas is None else canvas.blend(canvas.layers_of(output))

    def output(self, label: Tensor, canvas: Canvas | None = None) -> Tensor:
        """The last layer's channels, which :meth:`forward` makes a picture of. Raises ValueError likewise."""
        if self.carried != (canvas is not None):
            raise ValueError(f"G of this config needs {'a' if self.carried else 'no'} canvas, got {canvas!r:.40}.")
        height, width = label.shape[-2:]
        coarse = label if canvas is None else with_marks(label, canvas, height, width)
        x = self.fc(coarse)
        for name in self.middle:
            x = self.get_submodule(name)(x, coarse)
        middle = label if canvas is None else with_marks(label, canvas, 2 * height, 2 * width)
        x = self.up_0(F.interpolate(x, scale_factor=2.0), middle)
        fine = label if canvas is None else canvas.marks(4 * height, 4 * width).to(x.dtype)
        x = self.up_1(F.interpolate(x, scale_factor=2.0), fine)
        if self.fine is not None and canvas is not None:
            x = self.fine(x, canvas)
        output: Tensor = self.conv_img(F.leaky_relu(x, SLOPE))
        return output

    @torch.no_grad()
    def forget_look(self) -> None:
        """Copy from where W's flow leads, without a correction of G's own, as before training. Raises ValueError where
        no picture is carried."""
        if not self.carried:
            raise ValueError("G of this config copies nothing, expected carry_picture.")
        last = self.conv_img[0]
        assert isinstance(last, nn.Conv2d) and last.bias is not None  # for the type checker
        each = last.out_channels // 8
        last.weight[3 * each : 5 * each] = 0.0
        last.bias[3 * each : 5 * each] = 0.0


class FineStage(nn.Module):
    """A stage at half of the full size that reads the warped and the original picture and the heatmaps again, as lips,
    lids and outlines are thinner than a feature pixel. x (B, up_1, 4h, 4w) -> (B, generator_fine, 4h shrink, 4w
    shrink)."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        wide, finer = config.generator_fine, config.shrink
        widened = nn.Conv2d(config.generator_up_1, wide * finer**2, 3, padding=1)
        self.widen = nn.Sequential(widened, nn.PixelShuffle(finer))
        self.look = nn.Conv2d(wide + config.mark_channels + 6, wide, 3, padding=1)
        self.again = nn.Conv2d(wide, wide, 3, padding=1)

    def forward(self, x: Tensor, canvas: Canvas) -> Tensor:
        """``x`` (B, up_1, 4h, 4w) -> (B, generator_fine, 4h shrink, 4w shrink)."""
        x = self.widen(F.leaky_relu(x, SLOPE))
        height, width = x.shape[-2:]
        seen = torch.cat([F.leaky_relu(x, SLOPE), canvas.marks(height, width), canvas.layers(height, width)], 1)
        seen = self.look(seen.to(x.dtype))
        return x + self.again(F.leaky_relu(seen, SLOPE))


def with_marks(label: Tensor, canvas: Canvas, height: int, width: int) -> Tensor:
    """The label resized to (height, width), concatenated with the keypoint heatmaps of that size."""
    sized = label if label.shape[-2:] == (height, width) else F.interpolate(label, size=(height, width))
    return torch.cat([sized, canvas.marks(height, width).to(label.dtype)], 1)


def keep_the_moved_picture(last: nn.Conv2d, each: int) -> None:
    """Initialise G to output the warped picture: no flow correction, and a weight of 0.9 (order of `Canvas.blend`)."""
    assert last.bias is not None  # for the type checker
    with torch.no_grad():
        last.weight[3 * each :] = 0.0
        last.bias[3 * each :] = 0.0
        last.bias[6 * each : 7 * each] = MOVED_START
