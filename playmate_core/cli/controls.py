"""The flags for what is changed of how a published motion generator is run."""

from __future__ import annotations

import argparse
from dataclasses import fields

from ..diffusion.model_controls import CONDITIONED_ON, DRIVES, EYES, SUBJECTS, ModelControls
from .arguments import choice_or_none, number, time


def add_control_flags(to: argparse.ArgumentParser) -> None:
    """One flag for each field of ModelControls."""
    group = to.add_argument_group("how JoyVASA and Ditto are run, where not as published")
    of = ModelControls
    number(group, "--lead-frames", of, "lead_frames", "JoyVASA: silence before the speech; as published 2, 80 ms late")
    what = "JoyVASA: share of a new frame in the average of the head; as published 0.01, 1 is none"
    number(group, "--head-smoothing", of, "head_smoothing", what)
    choice_or_none(group, "--subject", SUBJECTS, "JoyVASA: what the portrait shows")
    what = "Ditto: blinks and a steady gaze, the gaze alone, or the eyes of the portrait"
    choice_or_none(group, "--eyes", EYES, what)
    time(group, "--blink-seconds", of, "blink_seconds", "Ditto: from one blink to the next")
    number(group, "--lips", of, "lips", "Ditto: how far the lips move, 1 as published")
    number(group, "--tilt", of, "tilt", "Ditto: added to the pitch of the head")
    time(group, "--fade-in", of, "fade_in", "Ditto: from the portrait's own face and pose to the motion")
    time(group, "--fade-out", of, "fade_out", "Ditto: from the motion to the portrait's own face and pose")
    what = "Ditto: whose eyes and shape it is told, its reference face's or the portrait's"
    choice_or_none(group, "--conditioned-on", CONDITIONED_ON, what)
    choice_or_none(group, "--drives", DRIVES, "Ditto: head and face, or the face alone, with the portrait's pose")


def controls_from(options: argparse.Namespace) -> ModelControls:
    """The controls that the words name."""
    return ModelControls(**{field.name: getattr(options, field.name) for field in fields(ModelControls)})
