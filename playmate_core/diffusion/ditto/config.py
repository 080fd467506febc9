"""The configuration of a Ditto network, inferred from the shapes of its tensors (docs/motion_models.md 5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: Attention heads, which cannot be inferred from shapes.
HEADS = 8
#: Diffusion steps of training.
STEPS = 1000


@dataclass(frozen=True)
class DittoConfig:
    """Sizes of the network; the defaults are the published network's."""

    motion: int = 265
    condition: int = 1103
    window: int = 80
    width: int = 512
    heads: int = HEADS
    feed_forward: int = 1024
    encoder_layers: int = 2
    decoder_layers: int = 8

    @staticmethod
    def of(shapes: Mapping[str, tuple[int, ...]]) -> DittoConfig:
        """Infer the sizes. Raises ValueError, or KeyError naming a missing tensor, for other networks."""
        motion = shapes["final_layer.weight"][0]
        width, inside = shapes["input_projection.weight"]
        if inside != 2 * motion:
            raise ValueError(f"it takes {inside} numbers a frame, and noise and one condition frame are {2 * motion}")
        return DittoConfig(
            motion=motion,
            condition=shapes["cond_projection.weight"][1],
            window=shapes["null_cond_embed"][1],
            width=width,
            feed_forward=shapes["seqTransDecoder.stack.0.linear1.weight"][0],
            encoder_layers=_count(shapes, r"cond_encoder\.(\d+)\."),
            decoder_layers=_count(shapes, r"seqTransDecoder\.stack\.(\d+)\."),
        )


def _count(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    return len({int(m[1]) for key in shapes if (m := re.match(pattern, key))})
