"""A clip as the motion stages use it: what can be recorded, without the renderer's ground truth."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from playmate_core.values import Motion

#: The emotion of a clip that without a label.
UNLABELLED = ""


@dataclass(frozen=True)
class Clip:
    """T frames at 25 fps of one speaker.

    ``emotion`` is one of ``values.EMOTIONS`` or UNLABELLED; ``intensity`` 0..1, NaN where it is not annotated;
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
