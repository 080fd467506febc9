"""Two buzzing voices that take turns, as sound files with channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

RATE = 16_000


def buzz(seconds: float, pitch: float) -> np.ndarray:
    """Syllables of a buzzing voice."""
    time = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    return (0.25 * voice * np.clip(np.sin(2 * np.pi * 4 * time), 0, None)).astype(np.float32)


def save(path: Path, channels: Sequence[np.ndarray]) -> Path:
    """A WAV file with these channels; several are written as they are."""
    with av.open(str(path), "w") as container:
        layout = {1: "mono", 2: "stereo", 3: "2.1"}[len(channels)]
        stream = container.add_stream("pcm_s16le", rate=RATE, layout=layout)
        samples = (np.stack(channels).T * 32000).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


#: One speaks in the first two seconds, the other in the second two.
LEFT = np.concatenate([buzz(2.0, 130), np.zeros(2 * RATE, np.float32)])
RIGHT = np.concatenate([np.zeros(2 * RATE, np.float32), buzz(2.0, 210)])
