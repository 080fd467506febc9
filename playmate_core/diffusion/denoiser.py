"""Stage 1, the motion denoiser conditioned on speech (docs/method.md 1.7).

Four projections embed motion, audio, identity and diffusion step into one sequence of P previous and W current frames;
a Conformer processes it; Pose-MLP and Exp-MLP decode the current frames. Letters: L audio layers, D audio width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from ..errors import UserError
from ..keypoint_space import PLAYMATE_DEMO
from ..values import expect
from .conformer import Conformer, Transformer, perceptron, sinusoids
from .normalisation import (
    EXPRESSION_CHANNELS,
    MOTION_CHANNELS,
    POSE_CHANNELS,
    POSE_NORMALISATIONS,
    MotionStatistics,
)
from .samplers import TARGETS

__all__ = [
    "MOTION_CHANNELS",
    "MotionConfig",
    "MotionDenoiser",
    "MotionStatistics",
    "PreparedConditions",
    "WindowContext",
]

FUSIONS = ("add", "concat")


@dataclass(frozen=True)
class MotionConfig:
    """Sizes of the network. ``audio_layers`` L and ``audio_width`` D are those of ``audio_encoder``."""

    width: int = 512
    layers: int = 8
    heads: int = 8
    kernel: int = 15
    dropout: float = 0.1
    window: int = 64  # W, current frames
    previous: int = 10  # P
    audio_encoder: str = "wav2vec2"
    audio_layers: int = 12
    audio_width: int = 1536  # two tokens concatenated
    audio_blocks: int = 2  # self-attention at 50 Hz, before two tokens become a frame
    identity_width: int = EXPRESSION_CHANNELS
    fuse: str = "add"  # or "concat"
    target: str = "epsilon"  # or "x0", "v"
    pose_normalisation: str = "clip"  # Eq. 6; "global" is the ablation
    keypoint_space: str = PLAYMATE_DEMO  # of the training motion; files without the field were trained on our corpus

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of twice the heads, got {self.width} and {self.heads}.")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}.")
        if self.audio_width % 2:
            raise ValueError(f"audio_width must be even, two tokens a frame, got {self.audio_width}.")
        if min(self.layers, self.previous) < 1 or self.window < self.previous:
            raise ValueError(f"layers and previous must be positive, window no shorter than previous, got {self}.")
        choices = {"fuse": FUSIONS, "target": TARGETS, "pose_normalisation": tuple(POSE_NORMALISATIONS)}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}.")

    @staticmethod
    def tiny() -> MotionConfig:
        """The model this repository trains and ships: log-mel features, no download."""
        return MotionConfig(
            width=128,
            layers=4,
            heads=4,
            kernel=9,
            window=50,
            audio_encoder="logmel",
            audio_layers=1,
            audio_width=160,
        )


@dataclass(frozen=True)
class WindowContext:
    """The conditions of B windows.

    ``audio`` (B, P+W, L, D); ``previous`` (B, P, 69) model-space motion; ``identity`` (B, 63) standardised. Bool (B,):
    ``start`` without previous frames (their motion and audio are ignored), ``drop_audio`` replaces the current frames'
    audio by the learned null embedding, ``drop_identity`` likewise. ``valid`` (B, W) bool, False past the end of the
    speech.
    """

    audio: Tensor
    previous: Tensor
    identity: Tensor
    start: Tensor
    drop_audio: Tensor
    drop_identity: Tensor
    valid: Tensor


@dataclass(frozen=True)
class PreparedConditions:
    """The conditions embedded once for all diffusion steps: ``audio`` (B, P+W, d), ``previous`` (B, P, d), ``identity``
    (B, d), attention ``mask`` (B, 1, 1, P+W) and ``keep`` (B, P+W, 1), both None where all frames are valid."""

    audio: Tensor
    previous: Tensor
    identity: Tensor
    mask: Tensor | None
    keep: Tensor | None


class AudioProjection(nn.Module):
    """A-Proj: layers mixed by learned weights, attention among 50 Hz tokens, two tokens to a frame.

    Previous frames never attend to current ones, so that dropping the current audio removes it completely.
    """

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        d = config.width
        self.previous = config.previous
        self.mix = nn.Parameter(torch.zeros(config.audio_layers)) if config.audio_layers > 1 else None
        self.embed = nn.Linear(config.audio_width // 2, d)
        self.blocks = nn.ModuleList(Transformer(d, config.heads, 2, config.dropout) for _ in range(config.audio_blocks))
        self.norm = nn.LayerNorm(2 * d)
        self.out = perceptron(2 * d, d, d, layers=2)
        self.start = nn.Parameter(0.02 * torch.randn(d))
        self.null = nn.Parameter(0.02 * torch.randn(d))

    def forward(self, context: WindowContext) -> Tensor:
        """Audio embeddings (B, P+W, d) of ``context``."""
        mixed = context.audio[:, :, 0] if self.mix is None else _weighted(context.audio, self.mix.softmax(0))
        x = self.embed(rearrange(mixed, "b t (two d) -> b (t two) d", two=2))  # (B, 2(P+W), d)
        mask = self._mask(context)
        for block in self.blocks:
            x = block(x, mask)
        x = self.out(self.norm(rearrange(x, "b (t two) d -> b t (two d)", two=2)))  # (B, P+W, d)
        before = torch.where(context.start[:, None, None], self.start, x[:, : self.previous])
        now = torch.where(context.drop_audio[:, None, None], self.null, x[:, self.previous :])
        return torch.cat([before, now], 1)

    def _mask(self, context: WindowContext) -> Tensor:
        """Attention mask (B, 1, 2(P+W), 2(P+W)): current tokens attend to valid current and to previous ones if there
        are any; previous ones to previous ones."""
        before = (~context.start)[:, None].expand(-1, self.previous)
        seen = torch.cat([before, context.valid], 1).repeat_interleave(2, 1)  # (B, keys)
        length = seen.shape[1]
        place = torch.arange(length, device=seen.device)
        current = place >= 2 * self.previous
        forward = current[None, :] & ~current[:, None]  # a previous query, a current key
        itself = place[None, :] == place[:, None]  # every row keeps one key, or softmax would give NaN
        return ((seen[:, None, :] & ~forward) | itself)[:, None]


def _weighted(layers: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("btld,l->btd", layers, weights)


class MotionDenoiser(nn.Module):
    """Denoising network: (noisy motion, step, conditions) -> prediction of ``config.target``."""

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        d = config.width
        self.config = config
        self.statistics = MotionStatistics(config.audio_layers, config.audio_width)
        self.motion_projection = nn.Linear(MOTION_CHANNELS + 1, d)  # the last channel is 1 for previous frames
        self.audio_projection = AudioProjection(config)
        self.identity_projection = perceptron(config.identity_width, d, d, layers=2)
        self.time_projection = perceptron(d, d, d, layers=2)
        self.start = nn.Parameter(0.02 * torch.randn(d))
        self.null_identity = nn.Parameter(0.02 * torch.randn(d))
        self.join = nn.Linear(2 * d, d) if config.fuse == "concat" else None
        self.blocks = nn.ModuleList(
            Conformer(d, config.heads, config.kernel, config.dropout) for _ in range(config.layers)
        )
        self.pose_mlp = perceptron(d, d, POSE_CHANNELS, layers=3)
        self.expression_mlp = perceptron(d, d, EXPRESSION_CHANNELS, layers=3)

    def forward(self, noisy: Tensor, t: Tensor, context: WindowContext) -> Tensor:
        """``noisy`` (B, W, 69), ``t`` (B,) -> (B, W, 69), expression before pose."""
        hidden = self.hidden_frames(noisy, t, context)
        return torch.cat([self.expression_head(hidden), self.pose_head(hidden)], -1)

    def hidden_frames(self, noisy: Tensor, t: Tensor, context: WindowContext) -> Tensor:
        """The Conformer's output (B, P+W, d)."""
        return self.run(noisy, t, self.prepare(context))

    def prepare(self, context: WindowContext) -> PreparedConditions:
        """Everything that does not depend on the noisy motion or the step. Raises ValueError for a wrong shape."""
        c = self.config
        rows = len(context.previous)
        expect("WindowContext.audio", context.audio, rows, c.previous + c.window, c.audio_layers, c.audio_width)
        expect("WindowContext.previous", context.previous, rows, c.previous, MOTION_CHANNELS)
        expect("WindowContext.identity", context.identity, rows, c.identity_width)
        expect("WindowContext.valid", context.valid, rows, c.window)
        flagged = torch.cat([context.previous, torch.ones_like(context.previous[..., :1])], -1)
        previous = torch.where(context.start[:, None, None], self.start, self.motion_projection(flagged))
        identity = self.identity_projection(context.identity)
        identity = torch.where(context.drop_identity[:, None], self.null_identity, identity)
        mask = keep = None
        if not bool(context.valid.all()):
            seen = torch.cat([torch.ones_like(context.valid[:, :1]).expand(-1, c.previous), context.valid], 1)
            mask, keep = seen[:, None, None, :], seen[..., None]
        return PreparedConditions(self.audio_projection(context), previous, identity, mask, keep)

    def run(self, noisy: Tensor, t: Tensor, prepared: PreparedConditions) -> Tensor:
        """The Conformer's output for prepared conditions: (B, W, 69), (B,) -> (B, P+W, d)."""
        current = self.motion_projection(torch.cat([noisy, torch.zeros_like(noisy[..., :1])], -1))
        motion = torch.cat([prepared.previous, current], 1)  # (B, P+W, d)
        if self.join is None:
            x = motion + prepared.audio
        else:
            x = self.join(torch.cat([motion, prepared.audio], -1))
        step = self.time_projection(sinusoids(t, self.config.width).to(x.dtype))  # (B, d)
        x = x + (prepared.identity + step)[:, None]
        for block in self.blocks:
            x = block(x, prepared.mask, prepared.keep)
        return x

    def pose_head(self, hidden: Tensor) -> Tensor:
        """Pose channels from hidden frames: (B, P+W, d) -> (B, W, 6)."""
        return self.pose_mlp(hidden[:, self.config.previous :])

    def expression_head(self, hidden: Tensor) -> Tensor:
        """Expression channels from hidden frames: (B, P+W, d) -> (B, W, 63)."""
        return self.expression_mlp(hidden[:, self.config.previous :])

    def refuse_other_audio(self, encoder: str, layers: int, width: int) -> None:
        """Raise UserError unless this model was trained on features of ``encoder``, (T, ``layers``, ``width``)."""
        c = self.config
        if (encoder, layers, width) != (c.audio_encoder, c.audio_layers, c.audio_width):
            raise UserError(
                f"The audio was listened to by {encoder} ({layers} x {width}), but this motion model was trained with "
                f"{c.audio_encoder} ({c.audio_layers} x {c.audio_width}); listen with that encoder."
            )
