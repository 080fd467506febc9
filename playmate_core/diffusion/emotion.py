"""Stage 2, the emotion controller: two DiT blocks between the frozen Conformer and the Exp-MLP (docs/method.md 1.11).

Every gate starts at zero (adaLN-zero), so an untrained controller does not change stage 1; the pose is independent of
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..values import EMOTIONS, expect
from .conformer import Attention, FeedForward, perceptron, sinusoids


@dataclass(frozen=True)
class EmotionConfig:
    """``width`` is the motion model's; ``emotions`` names the weight columns, of which ``neutral`` has no intensity."""

    width: int = 512
    heads: int = 8
    blocks: int = 2
    dropout: float = 0.1
    emotions: tuple[str, ...] = EMOTIONS
    neutral: str = "neutral"

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of twice the heads, got {self.width} and {self.heads}.")
        if self.neutral not in self.emotions:
            raise ValueError(f"neutral must be one of {', '.join(self.emotions)}, got {self.neutral!r}.")

    @staticmethod
    def tiny() -> EmotionConfig:
        """The controller of ``MotionConfig.tiny()``."""
        return EmotionConfig(width=128, heads=4)


@dataclass(frozen=True)
class IntensityCalibration:
    """The intensities that a controller needs to show LEVELS of what true faces show: ``needed`` (E, 3) in the order of
    ``emotions``, rising. ``measured`` says how they were found. See docs/method.md 1.11."""

    emotions: tuple[str, ...]
    needed: tuple[tuple[float, ...], ...]
    measured: str = ""

    LEVELS: ClassVar[tuple[float, ...]] = (1 / 3, 2 / 3, 1.0)

    def __post_init__(self) -> None:
        rising = all(0.0 < a < b < c <= 2.0 for a, b, c in self.needed)
        if len(self.needed) != len(self.emotions) or not rising:
            raise ValueError(f"Expected three rising intensities up to 2 for each emotion, got {self.needed}.")

    def network_intensity(self, weights: Tensor, intensity: Tensor) -> Tensor:
        """What the controller is given for an ``intensity`` (T,) of ``weights`` (T, E), straight lines between LEVELS;
        of several emotions at once the mean by their weights."""
        known, at = [0.0, *self.LEVELS], intensity.double().clamp(0.0, 1.0).numpy()
        each = torch.stack([torch.from_numpy(np.interp(at, known, [0.0, *row])) for row in self.needed], -1)  # (T, E)
        total = weights.sum(-1).clamp(min=1e-9)
        return ((weights.double() * each).sum(-1) / total).to(intensity)


class DiTBlock(nn.Module):
    """Attention and feed-forward under shift, scale and gate from the condition (Peebles & Xie 2023, adaLN-zero)."""

    def __init__(self, config: EmotionConfig) -> None:
        super().__init__()
        d = config.width
        self.norm1 = nn.LayerNorm(d, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(d, elementwise_affine=False)
        self.attention = Attention(d, config.heads, config.dropout)
        self.feed = FeedForward(d, 4, config.dropout)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))
        last = self.modulation[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, c: Tensor, mask: Tensor | None) -> Tensor:
        """``x`` and ``c`` (B, T, d): the condition acts frame by frame."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(c).chunk(6, -1)
        x = x + gate1 * self.attention(self.norm1(x) * (1 + scale1) + shift1, mask)
        return x + gate2 * self.feed(self.norm2(x) * (1 + scale2) + shift2)


class EmotionController(nn.Module):
    """Moves the hidden frames towards an emotion."""

    def __init__(self, config: EmotionConfig) -> None:
        super().__init__()
        d, classes = config.width, len(config.emotions)
        self.config = config
        self.calibration: IntensityCalibration | None = None
        self.classes = nn.Parameter(0.02 * torch.randn(classes, d))
        self.null = nn.Parameter(0.02 * torch.randn(d))
        self.strength = nn.Parameter(torch.zeros(d))
        self.time_projection = perceptron(d, d, d, layers=2)
        self.blocks = nn.ModuleList(DiTBlock(config) for _ in range(config.blocks))

    def forward(
        self,
        hidden: Tensor,
        t: Tensor,
        weights: Tensor,
        intensity: Tensor,
        null: Tensor,
        valid: Tensor | None = None,
    ) -> Tensor:
        """``hidden`` (B, P+W, d) -> the same, changed.

        ``t`` (B,); ``weights`` (B, W, E) over ``config.emotions``, a row of zeros is "no emotion"; ``intensity``
        (B, W); ``null`` (B,) bool drops the emotion; ``valid`` (B, W) bool, False past the end. The previous frames
        get the emotion of the first current frame.
        """
        rows, length = hidden.shape[:2]
        frames = weights.shape[1]
        expect("hidden", hidden, "B", "P+W", self.config.width)
        expect("weights", weights, rows, "W", len(self.config.emotions))
        expect("intensity", intensity, rows, frames)
        embedding = self._emotion_embedding(weights, intensity, null)  # (B, W, d)
        embedding = torch.cat([embedding[:, :1].expand(-1, length - frames, -1), embedding], 1)
        step = self.time_projection(sinusoids(t, self.config.width).to(hidden.dtype))
        c = embedding + step[:, None]  # (B, P+W, d)
        mask = None
        if valid is not None and not bool(valid.all()):
            mask = torch.cat([torch.ones_like(valid[:, :1]).expand(-1, length - frames), valid], 1)[:, None, None, :]
        x = hidden
        for block in self.blocks:
            x = block(x, c, mask)
        return x

    def _emotion_embedding(self, weights: Tensor, intensity: Tensor, null: Tensor) -> Tensor:
        """(B, W, d): linear in intensity from neutral to each emotion; neutral is the same at every intensity."""
        neutral = self.config.emotions.index(self.config.neutral)
        is_emotion = torch.ones(len(self.config.emotions), device=weights.device, dtype=weights.dtype)
        is_emotion[neutral] = 0.0
        amount = weights * intensity[..., None] * is_emotion  # (B, W, E)
        towards = self.classes + self.strength
        embedding = self.classes[neutral] + amount @ towards  # (B, W, d)
        present = weights.sum(-1, keepdim=True).clamp(0, 1)
        present = present.masked_fill(null[:, None, None], 0.0)
        return present * embedding + (1 - present) * self.null
