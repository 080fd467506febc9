"""Motion of the small models, asked for in one line."""

from __future__ import annotations

from dataclasses import replace

import torch
from motion_models import WINDOW, controller, denoiser, rest, voice

from playmate_core.diffusion.generate import SamplingOptions, generate
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.values import EmotionCurve, Motion

FAST = SamplingOptions(steps=3, overlap=0)


FACE = torch.randn(21, 3, generator=torch.Generator().manual_seed(3))


BASE, CONTROLLER = denoiser(), controller()


def talk(frames: int = 2 * WINDOW, emotion: EmotionCurve | str | None = None, **changes: object) -> Motion:
    """Options by name; ``previous``, ``progress``, ``base``, ``felt_by`` and ``heard`` are what else generate takes."""
    previous, progress = changes.pop("previous", None), changes.pop("progress", None)
    base, felt_by = changes.pop("base", BASE), changes.pop("felt_by", CONTROLLER)
    audio = changes.pop("heard", voice(frames))
    curve = EmotionCurve.constant(emotion, 1.0, frames) if isinstance(emotion, str) else emotion
    options = replace(FAST, **changes)  # type: ignore[arg-type]
    request = GenerationRequest(FACE, rest(), audio, curve, options, previous)  # type: ignore[arg-type]
    return generate(base, felt_by, request, progress)  # type: ignore[arg-type]
