"""The configuration of a JoyVASA network, inferred from the shapes of its tensors (docs/motion_models.md 4.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: Attention heads, which cannot be inferred from shapes.
HEADS = 8
#: Frames of a window, if the file has no attention mask to infer it from.
WINDOW = 100
#: Diffusion steps, if the file has no schedule to infer them from.
STEPS = 50


@dataclass(frozen=True)
class JoyVasaConfig:
    """Sizes of the network; the defaults are the published ones. ``motion``: columns, the last of which may be
    unused."""

    motion: int = 73
    window: int = WINDOW
    previous: int = 10
    width: int = 256
    layers: int = 8
    heads: int = HEADS
    feed_forward: int = 1024
    audio_width: int = 768
    steps: int = STEPS

    @staticmethod
    def of(shapes: Mapping[str, tuple[int, ...]]) -> JoyVasaConfig:
        """Infer the sizes. Raises ValueError, or KeyError naming a missing tensor, for other networks."""
        previous, motion = shapes["start_motion_feat"][1:]
        columns = shapes["denoising_net.feature_proj.weight"][1]
        if columns != motion:
            raise ValueError(f"it takes {columns} columns for {motion} motion numbers, an indicator this cannot feed")
        layers = {int(m[1]) for key in shapes if (m := re.match(r"denoising_net\.transformer\.layers\.(\d+)\.", key))}
        mask = shapes.get("denoising_net.alignment_mask", (previous + WINDOW,))
        betas = shapes.get("diffusion_sched.betas", (STEPS + 1,))
        return JoyVasaConfig(
            motion=motion,
            window=mask[0] - previous,
            previous=previous,
            width=shapes["null_audio_feat"][2],
            layers=len(layers),
            feed_forward=shapes["denoising_net.transformer.layers.0.linear1.weight"][0],
            audio_width=shapes["audio_feature_map.weight"][1],
            steps=betas[0] - 1,
        )
