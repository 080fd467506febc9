"""JoyVASA's denoiser: a post-norm transformer decoder that predicts clean motion (docs/motion_models.md 4.3).

Modules have the published names, which are the file format.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import JoyVasaConfig

#: "constant": every position gets the row whose index is the sequence length, as the published weights were trained;
#: "per_position": position p gets row p.
POSITIONS = ("constant", "per_position")


class DecoderLayer(nn.Module):
    """Self-attention over all positions, each position's own audio, feed-forward; a norm after each residual sum."""

    def __init__(self, config: JoyVasaConfig) -> None:
        super().__init__()
        d = config.width
        self.self_attn = nn.MultiheadAttention(d, config.heads, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(d, config.heads, batch_first=True)
        self.linear1 = nn.Linear(d, config.feed_forward)
        self.linear2 = nn.Linear(config.feed_forward, d)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """``x`` and ``memory`` (B, T, d) -> (B, T, d)."""
        x = self.norm1(x + self.self_attn(x, x, x, need_weights=False)[0])
        x = self.norm2(x + self._own_audio(memory))
        return self.norm3(x + self.linear2(F.gelu(self.linear1(x))))

    def _own_audio(self, memory: Tensor) -> Tensor:
        """Cross-attention with a diagonal mask: its softmax is always 1, so only the value projection is needed."""
        cross = self.multihead_attn
        d = memory.shape[-1]
        assert cross.in_proj_weight is not None and cross.in_proj_bias is not None
        return cross.out_proj(F.linear(memory, cross.in_proj_weight[2 * d :], cross.in_proj_bias[2 * d :]))


class DenoisingNet(nn.Module):
    """Noisy and previous motion, audio and step -> clean motion of previous and current frames."""

    def __init__(self, config: JoyVasaConfig) -> None:
        super().__init__()
        d = config.width
        self.diff_step_map = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))
        self.feature_proj = nn.Linear(config.motion, d)
        layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.transformer = nn.ModuleDict({"layers": layers})
        self.motion_dec = nn.Sequential(nn.Linear(d, d // 2), nn.GELU(), nn.Linear(d // 2, config.motion))

    @property
    def layers(self) -> Iterable[nn.Module]:
        """The decoder layers, in order."""
        return cast(nn.ModuleList, self.transformer["layers"])

    def forward(self, motion: Tensor, audio: Tensor, steps: Tensor, positions: str) -> Tensor:
        """``motion`` (B, T, C), ``audio`` (B, T, d), ``steps`` (B,) from 1 -> (B, T, C)."""
        x = self.feature_proj(motion)
        length, width = x.shape[1:]
        rows = torch.arange(length) if positions == "per_position" else torch.full((length,), length)
        step = self.diff_step_map(sinusoidal_rows(steps, width).to(x))
        x = x + sinusoidal_rows(rows, width).to(x) + step[:, None]
        for layer in self.layers:
            x = layer(x, audio)
        return self.motion_dec(x)


class JoyVasaNetwork(nn.Module):
    """The denoiser with learned start embeddings and the projection of audio features."""

    def __init__(self, config: JoyVasaConfig) -> None:
        super().__init__()
        self.config = config
        self.start_audio_feat = nn.Parameter(torch.zeros(1, config.previous, config.width))
        self.start_motion_feat = nn.Parameter(torch.zeros(1, config.previous, config.motion))
        self.null_audio_feat = nn.Parameter(torch.zeros(1, 1, config.width))
        self.audio_feature_map = nn.Linear(config.audio_width, config.width)
        self.denoising_net = DenoisingNet(config)

    def forward(
        self,
        noisy: Tensor,
        audio: Tensor,
        previous_motion: Tensor,
        previous_audio: Tensor,
        steps: Tensor,
        positions: str = "constant",
    ) -> Tensor:
        """Clean motion (B, P + W, C) of previous and current frames.

        ``noisy`` (B, W, C), ``audio`` (B, W, d) mapped features, ``previous_motion`` (B, P, C), ``previous_audio``
        (B, P, d), ``steps`` (B,) whole numbers from 1, ``positions`` one of POSITIONS.
        """
        motion = torch.cat([previous_motion, noisy], 1)
        return self.denoising_net(motion, torch.cat([previous_audio, audio], 1), steps, positions)


def sinusoidal_rows(rows: Tensor, width: int) -> Tensor:
    """Rows (n,) of the sinusoidal table (n, width), float32: sines in even columns, cosines in odd ones."""
    pitch = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
    angle = rows.to("cpu", torch.float64)[:, None] * pitch
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1).float()
