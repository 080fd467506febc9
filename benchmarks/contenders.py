"""Who draws: the reference as its users run it, and the profiles of ours; each from the same weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.face.fast import build_fast_face
from playmate_core.rendering.device import multiplies_bf16
from playmate_core.rendering.portrait import to_shown

from .emulated import bfloat16_products
from .engines import ENGINES, Inputs, engine_draws
from .reference import Draw, load_reference, reference_networks

#: What a profile is called in the table of the issue.
TITLES = {
    "plain": "ours, plain modules",
    "structure": "ours, structure only",
    "transforms": "ours, with Winograd and FFT",
    "half": "ours, half precision",
}


@dataclass(frozen=True)
class Contender:
    """``draw`` as of the reference; ``deliver`` what becomes of pictures until they are with whoever asked; ``batch``
    frames at once; ``timed`` False where only its pictures are wanted, its numbers being imitated; ``counted`` False
    where its products cannot be counted."""

    title: str
    draw: Draw
    deliver: Callable[[Tensor], object]
    batch: int = 1
    timed: bool = True
    counted: bool = True


def contenders(
    face: FaceModel, options: argparse.Namespace, inputs: Inputs
) -> tuple[dict[str, Contender], tuple[str, ...]]:
    """All of them, the first being what the others are compared with, and a sentence for each that cannot run here;
    ``inputs`` are those of a frame."""
    on_cpu = next(face.parameters()).device.type == "cpu"
    able = not on_cpu or multiplies_bf16()
    found: dict[str, Contender] = {}
    left_out: tuple[str, ...] = ()
    if options.reference:
        plain = load_reference(options.reference, face)
        found["reference"] = Contender("reference, eager fp32", plain, _kept if on_cpu else as_they_do)
        if "half" in options.profiles:
            found["autocast"] = Contender("reference, autocast", autocast_of(plain, able), as_they_do, timed=able)
        if not on_cpu:
            compiled = load_reference(options.reference, face, compiled=True)
            found["compiled"] = Contender("reference, compiled, half", compiled, as_they_do)
        draws, left_out = engine_draws(
            options.contenders, partial(reference_networks, options.reference, face), inputs, options.threads
        )
        for name, draw in draws.items():
            found[name] = Contender(ENGINES[name].title, draw, _kept, counted=False)
    deliver = _kept if on_cpu else to_shown
    for profile in options.profiles:
        draw, half = build_fast_face(face, profile).draw, profile == "half"
        imitated = half and not able
        found[profile] = Contender(
            TITLES[profile], _imitated(draw) if imitated else draw, deliver, options.batch, not imitated
        )
    return found, left_out


def _kept(pictures: Tensor) -> Tensor:
    """On a processor all contenders' pictures are where they are wanted."""
    return pictures


def as_they_do(pictures: Tensor) -> np.ndarray:
    """To the host in float32, there cut off and made bytes, as the reference's wrapper has it."""
    shown = np.clip(pictures.float().cpu().numpy().transpose(0, 2, 3, 1), 0, 1)
    return np.clip(shown * 255, 0, 255).astype(np.uint8)


def autocast_of(plain: Draw, able: bool = True) -> Draw:
    """The reference under autocast; where bfloat16 products are not ``able``, they are imitated."""

    def draw(volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        kind = volume.device.type
        half = torch.bfloat16 if kind == "cpu" else torch.float16
        with nullcontext() if able else bfloat16_products(), torch.autocast(kind, half):
            return plain(volume, x_s, x_d)

    return draw


def _imitated(draw: Draw) -> Draw:
    def drawn(volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        with bfloat16_products():
            return draw(volume, x_s, x_d)

    return drawn
