"""Shared by both motion stages: the recipe of a window, its noising, and the masked mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from playmate_core.diffusion.denoiser import WindowContext
from playmate_core.diffusion.samplers import Schedule, add_noise, previous_noise, training_target
from playmate_core.values import KEYPOINTS, LIP_KEYPOINTS
from training.clip_windows import Windows
from training.config import LoopConfig


@dataclass(frozen=True)
class MotionRecipe(LoopConfig):
    """Options of both motion stages. The shares are docs/method.md 1.7's and 1.10's."""

    corpus: str = "data/corpus"
    clips: int = 0  # train on that many clips only; 0: all
    batch: int = 32
    audio_weights: str = ""  # the folder of wav2vec2 weights where the encoder needs one
    features: str = ""  # where the encoded sound is kept; empty: beside the corpus
    validate_clips: int = 8  # clips of held-out speakers that --validate-every measures
    start: float = 0.15  # share of windows without previous frames
    repeat: float = 0.10  # share whose previous frames hold one picture, as a portrait does
    at_start: float = 0.03  # share that begin with their clip
    prev_noise_max: float = 0.17  # sigma of the noise on previous motion (Eq. 9); 0 is the ablation
    lip_weight: float = 1.0
    snr_limit: float = 0.0  # where the SNR weight is clipped; 0: the plain error of the target

    free: ClassVar[frozenset[str]] = LoopConfig.free | {"features", "validate_clips"}


@dataclass(frozen=True)
class Noised:
    """B windows at diffusion steps ``t`` (B,): ``clean``, ``noisy`` and ``target`` (B, W, 69), and the conditions."""

    clean: Tensor
    noisy: Tensor
    target: Tensor
    t: Tensor
    context: WindowContext


def diffuse(
    batch: Windows,
    previous: int,
    target: str,
    schedule: Schedule,
    prev_noise_max: float,
    drop_audio: Tensor,
    drop_identity: Tensor,
    generator: torch.Generator,
) -> Noised:
    """Noise the current frames fully and the ``previous`` first ones a little (corrected Eq. 9)."""
    device = batch.motion.device
    past, clean = batch.motion[:, :previous], batch.motion[:, previous:]
    t = torch.randint(len(schedule), (len(clean),), generator=generator).to(device)
    noise = torch.randn(clean.shape, generator=generator).to(device)
    if prev_noise_max:
        past = previous_noise(schedule, past, prev_noise_max, generator)
    context = WindowContext(
        audio=batch.audio,
        previous=past,
        identity=batch.identity,
        start=batch.start,
        drop_audio=drop_audio.to(device),
        drop_identity=drop_identity.to(device),
        valid=batch.valid,
    )
    noisy = add_noise(schedule, clean, noise, t)
    return Noised(clean, noisy, training_target(schedule, target, clean, noise, t), t, context)


def expression_weight(live: Tensor, lip_weight: float) -> Tensor:
    """Weights (63,) that sum to one over the ``live`` (63,) channels, the lips' ``lip_weight`` times the others'."""
    lips = torch.ones(KEYPOINTS, 3, device=live.device)
    lips[list(LIP_KEYPOINTS)] = lip_weight
    weight = live.float() * lips.flatten()
    return weight / weight.sum()


def channel_mean(square: Tensor, weight: Tensor) -> Tensor:
    """``square`` (..., C) times ``weight`` (C,), summed over the channels in float32; a matrix product would be taken
    in half precision where the networks run in it."""
    return (square.float() * weight).sum(-1)


def masked_mean(values: Tensor, weight: Tensor, valid: Tensor) -> Tensor:
    """The sum of ``values`` times ``weight``, all (B, W), over the number of valid frames."""
    return (values * weight).sum() / valid.sum().clamp(min=1)


def snr_weight(schedule: Schedule, target: str, limit: float, t: Tensor) -> Tensor:
    """Weights (B,) of the squared error in the target's own unit; ones where ``limit`` is 0.

    Otherwise the error of the implied clean sample counts 1 + min(SNR, ``limit``) times: without a limit that is v's
    own weight (Salimans & Ho 2022), with one no step is so heavy that the others starve. For epsilon, whose unit makes
    a clean error of 1 vanish at the noisiest steps, the 1 is left out (min-SNR, Hang et al. 2023).
    """
    if not limit:
        return torch.ones(len(t), device=t.device)
    bar = schedule.alpha_bar.float().to(t.device)[t]
    snr = bar / (1 - bar)
    limited = snr.clamp(max=limit)
    return {"epsilon": limited / snr, "x0": 1 + limited, "v": (1 + limited) / (1 + snr)}[target]
