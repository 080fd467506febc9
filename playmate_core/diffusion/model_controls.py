"""What a person may change of how a published generator is run, in one vocabulary for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UserError
from ..ranges import check_ranges, ranged

#: "blink": blinks, and a gaze that makes up for the turn of the head. "gaze": the gaze alone. "still": the portrait's.
EYES = ("blink", "gaze", "still")
#: What the portrait shows: an animal's size stays, and its lips move relatively like the rest of its face.
SUBJECTS = ("human", "animal")
#: Whom a generator is conditioned on where its file holds a reference face: that face, or the portrait.
CONDITIONED_ON = ("reference", "portrait")

#: What the speech drives: head and face, or the face alone, while the head keeps the portrait's pose.
DRIVES = ("all", "face")


@dataclass(frozen=True)
class ModelControls:
    """None leaves a control as the generator was published; each generator has some of them.

    ``lead_frames`` of silence before the speech (JoyVASA: 2 as published, with lips 80 ms late). ``head_smoothing``:
    share of each new frame in the running average of the head, 1 for none (JoyVASA: 0.01 as published).
    ``subject`` one of SUBJECTS. ``eyes`` one of EYES; ``blink_seconds`` from one blink to the next. ``lips``: factor on
    the driven expression. ``tilt`` in degrees is added to the pitch. ``fade_in`` and ``fade_out``: seconds from and to
    the portrait's own face and pose. ``conditioned_on`` one of CONDITIONED_ON. ``drives`` one of DRIVES.
    """

    lead_frames: int | None = ranged(None, 0, 2, "frames", whole=True)
    head_smoothing: float | None = ranged(None, 0.001, 1.0)
    subject: str | None = None
    eyes: str | None = None
    blink_seconds: float | None = ranged(None, 0.6, 60.0, "seconds")
    lips: float | None = ranged(None, 0.0, 2.0)
    tilt: float | None = ranged(None, -30.0, 30.0, "degrees")
    fade_in: float | None = ranged(None, 0.0, 60.0, "seconds")
    fade_out: float | None = ranged(None, 0.0, 60.0, "seconds")
    conditioned_on: str | None = None
    drives: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
        choices = {"subject": SUBJECTS, "eyes": EYES, "conditioned_on": CONDITIONED_ON, "drives": DRIVES}
        for name, allowed in choices.items():
            if getattr(self, name) not in (None, *allowed):
                raise UserError(f"Unknown {name} {getattr(self, name)!r}; choose one of {', '.join(allowed)}.")

    @property
    def chosen(self) -> dict[str, object]:
        """The controls that are not left as published."""
        return {name: value for name, value in vars(self).items() if value is not None}


def require_controls(model: str, controls: ModelControls, known: tuple[str, ...]) -> None:
    """Raise UserError where a control is chosen that ``model`` does not have."""
    if unknown := [name for name in controls.chosen if name not in known]:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise UserError(
            f"The motion model {model} has no control {unknown[0]}; leave that as published, or choose another motion"
            f" model ({has})."
        )
