"""An encoder of many numbers a frame, for tests of memory."""

from __future__ import annotations

from typing import Any

import torch

from playmate_core.speech import make_encoder
from playmate_core.values import AudioFeatures

WIDTH, LAYERS = 1536, 2


class Wide:
    """Log-mel, repeated to the width of two layers of wav2vec2."""

    name, layers, width = "logmel", LAYERS, WIDTH

    def __init__(self) -> None:
        self.inner = make_encoder("logmel")

    def listen(self, waveform: Any, rate: int, progress: Any = None) -> AudioFeatures:
        heard = self.inner.listen(waveform, rate)
        wide = heard.features.repeat(1, LAYERS, 10)[..., :WIDTH]
        return AudioFeatures(torch.nn.functional.pad(wide, (0, WIDTH - wide.shape[-1])), heard.energy, self.name)


def wide_encoder(module: Any) -> None:
    """Let ``module`` make that encoder whatever it asks for."""
    module.make_encoder = lambda *_, **__: Wide()
