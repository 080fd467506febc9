"""A clip as the motion stages know it: what a camera and a microphone give, and nothing that only a renderer knows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from playmate_core.values import Motion

#: The emotion of a clip that nobody labelled.
UNLABELLED = ""


@dataclass(frozen=True)
class Clip:
    """T frames at 25 fps of one speaker.

    ``emotion`` is one of ``values.EMOTIONS`` or UNLABELLED; ``intensity`` 0..1, NaN where nobody said how strong;
    ``motion`` as LivePortrait has it; ``keypoints`` (21, 3) canonical;
    ``license_tag`` what the recording may be used for.
    """

    id: str
    speaker: str
    emotion: str
    intensity: float
    motion: Motion
    keypoints: Tensor
    license_tag: str

    def __len__(self) -> int:
        return len(self.motion)

    @property
    def waveform(self) -> Tensor:
        """The sound (640 T,) float32 in -1..1 at 16 kHz."""
        raise NotImplementedError
