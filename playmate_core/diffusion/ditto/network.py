"""Ditto's denoiser: a pre-norm transformer with FiLM that predicts clean motion (docs/motion_models.md 5.4).

Modules have the published names, which are the file format.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import DittoConfig
from .rotary import rotated


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward on normalised input: (B, W, d) -> the same."""

    def __init__(self, config: DittoConfig) -> None:
        super().__init__()
        d = config.width
        self.self_attn = nn.MultiheadAttention(d, config.heads, batch_first=True)
        self.linear1 = nn.Linear(d, config.feed_forward)
        self.linear2 = nn.Linear(config.feed_forward, d)
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, W, d) -> (B, W, d)."""
        x = x + attended(self.self_attn, self.norm1(x))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))


class FiLM(nn.Module):
    """Feature-wise linear modulation: a vector (B, d) becomes scale and shift of a branch (B, W, d)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Mish(), nn.Linear(width, 2 * width))

    def forward(self, branch: Tensor, vector: Tensor) -> Tensor:
        """``branch`` (B, W, d), ``vector`` (B, d) -> (B, W, d)."""
        scale, shift = self.block(vector)[:, None].chunk(2, -1)
        return (scale + 1) * branch + shift


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward, each modulated before it is added."""

    def __init__(self, config: DittoConfig) -> None:
        super().__init__()
        d = config.width
        self.self_attn = nn.MultiheadAttention(d, config.heads, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(d, config.heads, batch_first=True)
        self.linear1 = nn.Linear(d, config.feed_forward)
        self.linear2 = nn.Linear(config.feed_forward, d)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.film1, self.film2, self.film3 = FiLM(d), FiLM(d), FiLM(d)

    def forward(self, x: Tensor, memory: Tensor, vector: Tensor) -> Tensor:
        """``x`` (B, W, d), ``memory`` (B, M, d), ``vector`` (B, d) -> (B, W, d)."""
        x = x + self.film1(attended(self.self_attn, self.norm1(x)), vector)
        x = x + self.film2(attended(self.multihead_attn, self.norm2(x), memory), vector)
        return x + self.film3(self.linear2(F.gelu(self.linear1(self.norm3(x)))), vector)


class DecoderStack(nn.Module):
    """The decoder layers one after another, under the published key ``stack``."""

    def __init__(self, config: DittoConfig) -> None:
        super().__init__()
        self.stack = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))

    def forward(self, x: Tensor, memory: Tensor, vector: Tensor) -> Tensor:
        """As :meth:`DecoderLayer.forward`."""
        for layer in self.stack:
            x = layer(x, memory, vector)
        return x


class DittoNetwork(nn.Module):
    """Noisy motion, the frame before, conditions and step -> clean motion."""

    def __init__(self, config: DittoConfig) -> None:
        super().__init__()
        self.config = config
        d = config.width
        self.null_cond_embed = nn.Parameter(torch.zeros(1, config.window, d))
        self.null_cond_hidden = nn.Parameter(torch.zeros(1, d))
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(d, 4 * d), nn.Mish())
        self.to_time_cond = nn.Sequential(nn.Linear(4 * d, d))
        self.to_time_tokens = nn.Sequential(nn.Linear(4 * d, 2 * d))
        self.norm_cond = nn.LayerNorm(d)
        self.input_projection = nn.Linear(2 * config.motion, d)
        self.cond_encoder = nn.Sequential(*(EncoderLayer(config) for _ in range(config.encoder_layers)))
        self.cond_projection = nn.Linear(config.condition, d)
        self.non_attn_cond_projection = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.SiLU(), nn.Linear(d, d))
        self.seqTransDecoder = DecoderStack(config)
        self.final_layer = nn.Linear(d, config.motion)

    def embed_condition(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Embed condition rows (B, W, D), once for all steps: tokens (B, W, d) and one vector (B, d)."""
        tokens = self.cond_encoder(self.cond_projection(condition))
        return tokens, self.non_attn_cond_projection(tokens.mean(1))

    def null_condition(self, rows: int) -> tuple[Tensor, Tensor]:
        """The embedding of no condition for ``rows`` samples: tokens (B, W, d) and one vector (B, d)."""
        return self.null_cond_embed.expand(rows, -1, -1), self.null_cond_hidden.expand(rows, -1)

    def forward(self, noisy: Tensor, frame: Tensor, condition_tokens: tuple[Tensor, Tensor], steps: Tensor) -> Tensor:
        """Clean motion (B, W, C) from ``noisy`` (B, W, C), the ``frame`` before (B, C), the embedded condition and
        integer ``steps`` (B,) from 0."""
        tokens, vector = condition_tokens
        x = self.input_projection(torch.cat([noisy, frame[:, None].expand_as(noisy)], -1))
        hidden = self.hidden(steps)
        step_tokens = self.to_time_tokens(hidden).unflatten(-1, (2, -1))
        memory = self.norm_cond(torch.cat([tokens, step_tokens], 1))
        return self.final_layer(self.seqTransDecoder(x, memory, self.to_time_cond(hidden) + vector))

    def hidden(self, steps: Tensor) -> Tensor:
        """Hidden embedding of the steps: (B,) -> (B, 4 d)."""
        return self.time_mlp(step_embedding(steps, self.config.width).to(self.null_cond_hidden))


def attended(attention: nn.MultiheadAttention, x: Tensor, memory: Tensor | None = None) -> Tensor:
    """Attention with rotary positions on queries and keys, not on values."""
    memory = x if memory is None else memory
    return attention(rotated(x), rotated(memory), memory, need_weights=False)[0]


def step_embedding(steps: Tensor, width: int) -> Tensor:
    """Steps (B,) as (B, width) float32: sines, then cosines."""
    half = width // 2
    pitch = torch.exp(torch.arange(half, dtype=torch.float64) * (-math.log(10000.0) / (half - 1)))
    angle = steps.to("cpu", torch.float64)[:, None] * pitch
    return torch.cat([angle.sin(), angle.cos()], -1).float()
