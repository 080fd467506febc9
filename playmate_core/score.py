"""An emotion score: what a person writes, a name or a timeline of names, as an EmotionCurve."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .errors import UserError
from .values import EMOTIONS, FPS, EmotionCurve

#: The word for "leave the emotion to the voice".
NO_EMOTION = "none"
#: How long one emotion of a timeline takes to become the next.
BLEND_SECONDS = 0.4


@dataclass(frozen=True)
class EmotionKey:
    """From ``seconds`` on the face shows ``name`` (or NO_EMOTION) at ``intensity`` in 0..1."""

    seconds: float
    name: str
    intensity: float


def read_score(text: str, intensity: float) -> tuple[EmotionKey, ...]:
    """Read "happy", "happy@0.8" or "0:neutral,2.5:happy@0.8"; ``intensity`` holds where none is written.

    Keys come back ordered by time. Raises UserError for anything else, listing the names where one is unknown.
    """
    entries = [entry.strip() for entry in text.split(",")]
    if len(entries) > 1 and any(NO_EMOTION in entry for entry in entries):
        raise UserError(f"{NO_EMOTION!r} stands alone, not in the timeline {text!r}; please use neutral there.")
    keys = sorted((_key(entry, text, intensity) for entry in entries), key=lambda key: key.seconds)
    if len({key.seconds for key in keys}) < len(keys):
        raise UserError(f"The emotion timeline {text!r} has two entries at one time; please give each its own second.")
    return tuple(keys)


def emotion_curve(keys: tuple[EmotionKey, ...], frames: int, fps: float = FPS) -> EmotionCurve | None:
    """The keys as one row a frame, blended over BLEND_SECONDS up to each key; None for NO_EMOTION."""
    if keys[0].name == NO_EMOTION:
        return None
    time = torch.arange(frames, dtype=torch.float64) / fps
    weights, intensity = torch.zeros(frames, len(EMOTIONS)), torch.zeros(frames)
    for i, key in enumerate(keys):
        # The first key also holds before its time; a later one grows out of its predecessor.
        share = torch.ones(frames) if i == 0 else ((time - key.seconds) / BLEND_SECONDS + 1).clamp(0, 1).float()
        target = torch.zeros(len(EMOTIONS))
        target[EMOTIONS.index(key.name)] = 1.0
        weights = torch.lerp(weights, target.expand_as(weights), share[:, None])
        intensity = torch.lerp(intensity, torch.full((frames,), key.intensity), share)
    return EmotionCurve(weights, intensity, fps=fps)


def _key(entry: str, text: str, intensity: float) -> EmotionKey:
    time, colon, rest = entry.rpartition(":")
    name, at, strength = rest.partition("@")
    name = name.strip().lower()
    if name not in (*EMOTIONS, NO_EMOTION):
        choices = ", ".join((*EMOTIONS, NO_EMOTION))
        raise UserError(f"Unknown emotion {name!r}; please choose one of {choices}.")
    if "," in text and not colon:
        raise UserError(f"{entry!r} in the emotion timeline {text!r} has no time; please write it as 2.5:{name}.")
    key = EmotionKey(_number(time, text) if colon else 0.0, name, _number(strength, text) if at else float(intensity))
    if not 0.0 <= key.intensity <= 1.0:
        raise UserError(f"The emotion intensity is {key.intensity:g}; please give a number from 0 to 1.")
    if not 0.0 <= key.seconds < float("inf"):
        raise UserError(f"The emotion timeline {text!r} has a time of {key.seconds:g} s; please start at 0 or later.")
    return key


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"{text!r} in the emotion {whole!r} is not a number; write happy or 0:neutral,2.5:happy@0.8."
        ) from None
