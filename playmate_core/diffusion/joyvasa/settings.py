"""Settings of JoyVASA's model beyond SamplingOptions; the defaults are the published ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...errors import UserError
from ..model_controls import SUBJECTS, ModelControls
from .combine import COMBINED_REGIONS
from .network import POSITIONS
from .smoothing import PUBLISHED, SMOOTHERS


@dataclass(frozen=True)
class JoyVasaSettings:
    """``lead_frames`` of silence before the speech: 2 as published (the face lags by 80 ms), or 0.

    ``waveform`` "raw", or "standardised" for the first release's weights. ``positions``: "constant" as the published
    weights were trained, or "per_position". ``smoother`` filters the head pose, ``smoothing`` is the weight of a new
    frame for "exponential". ``region`` and ``subject`` select what is driven, and how (:func:`combine.combine`).
    """

    lead_frames: int = 2
    waveform: str = "raw"
    positions: str = "constant"
    smoother: str = "exponential"
    smoothing: float = PUBLISHED
    region: str = "all"
    subject: str = "human"

    def __post_init__(self) -> None:
        choices = {
            "positions": POSITIONS,
            "smoother": tuple(SMOOTHERS),
            "region": COMBINED_REGIONS,
            "subject": SUBJECTS,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UserError(f"Unknown {name} {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")
        if not 0.0 < self.smoothing <= 1.0:
            raise UserError(f"Got a smoothing of {self.smoothing:g}; choose a share above 0, up to 1 for none at all.")

    def controlled(self, controls: ModelControls) -> JoyVasaSettings:
        """These settings with the controls that are chosen."""
        made = self
        if controls.lead_frames is not None:
            made = replace(made, lead_frames=controls.lead_frames)
        if controls.head_smoothing is not None:
            made = replace(made, smoother="exponential", smoothing=controls.head_smoothing)
        return made if controls.subject is None else replace(made, subject=controls.subject)
