"""Building blocks of sequence networks over frames: rotary attention, feed-forward, and the Conformer block.

Gulati et al. 2020, with two changes: rotary positions (Su et al. 2021), so that any window length works, and layer
norm in place of batch norm, so that neither padding nor the rest of the batch changes a frame.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def sinusoids(t: Tensor, width: int) -> Tensor:
    """Diffusion steps (B,) as (B, width): cosines and sines at wavelengths from 2 pi to 20,000 pi."""
    half = width // 2
    rates = torch.exp(torch.arange(half, device=t.device, dtype=torch.float32) * (-math.log(10_000.0) / half))
    angle = t.float()[:, None] * rates
    return torch.cat([angle.cos(), angle.sin()], -1)


def rotary(length: int, head_width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, head_width / 2) of rotary positions 0 .. length - 1."""
    half = head_width // 2
    rates = torch.exp(torch.arange(half, device=device, dtype=torch.float32) * (-math.log(10_000.0) / half))
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * rates
    return angle.cos(), angle.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def perceptron(inside: int, width: int, outside: int, layers: int) -> nn.Sequential:
    """``layers`` linear layers with SiLU between them."""
    sizes = [inside, *[width] * (layers - 1), outside]
    parts: list[nn.Module] = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
        parts += [nn.Linear(a, b)] if i == 0 else [nn.SiLU(), nn.Linear(a, b)]
    return nn.Sequential(*parts)


class FeedForward(nn.Sequential):
    """Linear to ``factor`` times the width, SiLU, and back."""

    def __init__(self, width: int, factor: int, dropout: float) -> None:
        inner = factor * width
        super().__init__(
            nn.Linear(width, inner), nn.SiLU(), nn.Dropout(dropout), nn.Linear(inner, width), nn.Dropout(dropout)
        )


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``x`` (B, T, d); ``mask`` (B or 1, 1, T or 1, T), True where a key may be attended to, None for
        everywhere."""
        q, k, v = rearrange(self.qkv(x), "b t (n h d) -> n b h t d", n=3, h=self.heads)
        cos, sin = (table.to(q.dtype) for table in rotary(x.shape[1], q.shape[-1], x.device))
        y = F.scaled_dot_product_attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v, attn_mask=mask)
        return self.drop(self.out(rearrange(y, "b h t d -> b t (h d)")))


class Transformer(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, width: int, heads: int, factor: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.feed = FeedForward(width, factor, dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``x`` (B, T, d), boolean attention ``mask`` or None for all -> (B, T, d)."""
        x = x + self.attention(self.norm1(x), mask)
        return x + self.feed(self.norm2(x))


class Convolution(nn.Module):
    """Gated linear unit, depth-wise convolution over time, norm, SiLU, linear."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, keep: Tensor | None) -> Tensor:
        """``keep`` (B, T, 1) is False at padded frames, which are zeroed like the padding outside; None keeps all."""
        x = F.glu(self.gate(x), -1)
        if keep is not None:
            x = x.masked_fill(~keep, 0.0)
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return self.drop(self.out(F.silu(self.norm(x))))


class Conformer(nn.Module):
    """Half feed-forward, attention, convolution, half feed-forward, norm: (B, T, d) to the same."""

    def __init__(self, width: int, heads: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.feed1 = FeedForward(width, 4, dropout)
        self.attention = Attention(width, heads, dropout)
        self.convolution = Convolution(width, kernel, dropout)
        self.feed2 = FeedForward(width, 4, dropout)

    def forward(self, x: Tensor, mask: Tensor | None, keep: Tensor | None) -> Tensor:
        """``mask`` as in Attention, ``keep`` as in Convolution."""
        n = self.norms
        x = x + 0.5 * self.feed1(n[0](x))
        x = x + self.attention(n[1](x), mask)
        x = x + self.convolution(n[2](x), keep)
        x = x + 0.5 * self.feed2(n[3](x))
        return n[4](x)
