"""Emotion schedules: names, blends and timelines that a user writes, converted to an EmotionCurve."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import UserError, elided, suggestion
from ..ranges import check_seconds
from ..times import read_time
from ..values import EMOTIONS, FPS, EmotionCurve
from .options import GuidanceKeys

#: The name for no emotion control: the speech alone decides.
NO_EMOTION = "none"
#: How long one emotion of a timeline takes to become the next.
BLEND_SECONDS = 0.4


@dataclass(frozen=True)
class EmotionKey:
    """From ``seconds`` on the face shows ``name`` (or NO_EMOTION) at ``intensity`` in 0..1.

    ``name`` may join several with +, in equal parts.
    """

    seconds: float
    name: str
    intensity: float

    @property
    def shares(self) -> Tensor:
        """Weights of the emotions, (E,), summing to one."""
        names = self.name.split("+")
        return torch.tensor([names.count(name) / len(names) for name in EMOTIONS])


EmotionKeys = tuple[EmotionKey, ...]


@dataclass(frozen=True)
class ShapedKeys:
    """``keys`` whose intensity is multiplied by ``shape`` over time."""

    keys: EmotionKeys
    shape: GuidanceKeys


@dataclass(frozen=True)
class EmotionSchedule:
    """Weighted timelines: ``layers`` of (weight, keys). Its length is that of the speech it is applied to."""

    layers: tuple[tuple[float, EmotionKeys | ShapedKeys], ...]

    @staticmethod
    def constant(name: str, intensity: float) -> EmotionSchedule:
        """One emotion from beginning to end. Raises UserError for an unknown name or an intensity outside 0..1."""
        return EmotionSchedule(((1.0, read_emotion_schedule(name, intensity)),))

    @staticmethod
    def written(text: str, intensity: float) -> EmotionSchedule:
        """Parse the timeline of :func:`read_emotion_schedule`, which may span several lines; # begins a comment
        line."""
        lines = [line.strip().strip(",") for line in text.splitlines()]
        joined = ",".join(line for line in lines if line and not line.startswith("#"))
        if not joined:
            raise UserError("The emotion timeline is empty; please write happy, or 0:neutral,2.5:happy@0.8.")
        return EmotionSchedule(((1.0, read_emotion_schedule(joined, intensity)),))

    def blended(self, other: EmotionSchedule, share: float) -> EmotionSchedule:
        """Blend with ``other``: this schedule at ``share`` 0, the other at 1. Raises UserError outside 0..1."""
        if not 0.0 <= share <= 1.0:
            raise UserError(f"Got a blend of {share:g}; give a number from 0 (the first) to 1 (the second).")
        mine = tuple((weight * (1.0 - share), keys) for weight, keys in self.layers)
        theirs = tuple((weight * share, keys) for weight, keys in other.layers)
        return EmotionSchedule(tuple(layer for layer in mine + theirs if layer[0] > 0))

    def shaped(self, shape: GuidanceKeys) -> EmotionSchedule:
        """The schedule with its intensity multiplied by ``shape``. Raises UserError for a schedule that has a shape."""
        layers = []
        for weight, keys in self.layers:
            if isinstance(keys, ShapedKeys):
                raise UserError("This emotion already follows a curve; please shape it once.")
            layers.append((weight, ShapedKeys(keys, shape)))
        return EmotionSchedule(tuple(layers))

    def summary(self) -> str:
        """The schedule in one line of at most 300 characters: its timelines with their weights."""
        return elided(" + ".join(_said(weight, keys) for weight, keys in self.layers), 300)

    def curve(self, frames: int, fps: float = FPS) -> EmotionCurve | None:
        """One row per frame; None if no layer controls the emotion.

        Layers add up in weight times intensity, which the emotion controller is linear in (see :mod:`emotion`).
        """
        curves = [(weight, emotion_curve(keys, frames, fps)) for weight, keys in self.layers]
        present_curves = [(weight, curve) for weight, curve in curves if curve is not None]
        if not present_curves:
            return None
        if len(curves) == 1:
            return present_curves[0][1]
        present = sum(weight for weight, _ in present_curves)
        amount = torch.stack([w * c.weights * c.intensity[:, None] for w, c in present_curves]).sum(0)  # (T, E)
        unscaled = torch.stack([w * c.weights for w, c in present_curves]).sum(0) / present
        intensity = amount.sum(-1)
        weights = torch.where(intensity[:, None] > 1e-6, amount / intensity.clamp_min(1e-6)[:, None], unscaled)
        return replace(present_curves[0][1], weights=weights, intensity=intensity.clamp(max=1.0))


def read_emotion_schedule(text: str, intensity: float) -> EmotionKeys:
    """Parse "happy", "happy@0.8", "happy+surprised" or "0:neutral,2.5:happy@0.8".

    ``intensity`` is the default where none is written. Raises UserError for anything else, including seconds that do
    not increase; for an unknown name it lists the known ones.
    """
    entries = [entry.strip() for entry in text.split(",")]
    if len(entries) > 1 and any(NO_EMOTION in entry for entry in entries):
        raise UserError(f"{NO_EMOTION!r} stands alone, not in the timeline {text!r}; please use neutral there.")
    keys = tuple(_key(entry, text, intensity) for entry in entries)
    check_seconds((key.seconds for key in keys), text)
    return keys


def emotion_curve(keys: EmotionKeys | ShapedKeys, frames: int, fps: float = FPS) -> EmotionCurve | None:
    """The keys as one row a frame, blended over BLEND_SECONDS up to each key; None for NO_EMOTION."""
    if isinstance(keys, ShapedKeys):
        plain = emotion_curve(keys.keys, frames, fps)
        factor = keys.shape.at(torch.arange(frames), fps)
        return None if plain is None else replace(plain, intensity=(plain.intensity * factor).clamp(0.0, 1.0))
    if keys[0].name == NO_EMOTION:
        return None
    time = torch.arange(frames, dtype=torch.float64) / fps
    weights, intensity = torch.zeros(frames, len(EMOTIONS)), torch.zeros(frames)
    for i, key in enumerate(keys):
        # The first key also holds before its time; later ones fade in from their predecessor.
        share = torch.ones(frames) if i == 0 else ((time - key.seconds) / BLEND_SECONDS + 1).clamp(0, 1).float()
        weights = torch.lerp(weights, key.shares.expand_as(weights), share[:, None])
        intensity = torch.lerp(intensity, torch.full((frames,), key.intensity), share)
    return EmotionCurve(weights, intensity, fps=fps)


def _said(weight: float, keys: EmotionKeys | ShapedKeys) -> str:
    shaped = isinstance(keys, ShapedKeys)
    plain = keys.keys if isinstance(keys, ShapedKeys) else keys
    text = ",".join(f"{key.seconds:g}:{key.name}@{key.intensity:g}" for key in plain)
    return f"{weight:g} x {text}{' shaped' if shaped else ''}" if weight != 1.0 or shaped else text


def _key(entry: str, text: str, intensity: float) -> EmotionKey:
    time, colon, rest = entry.rpartition(":")
    name, at, strength = rest.partition("@")
    names = [part.strip().lower() for part in name.split("+")]
    known = (*EMOTIONS, NO_EMOTION) if len(names) == 1 else EMOTIONS
    if unknown := [part for part in names if part not in known]:
        name, alike = elided(repr(unknown[0])), suggestion(unknown[0], known)
        raise UserError(f"Unknown emotion {name}{alike}; please choose one of {', '.join(known)}.")
    name = "+".join(names)
    if "," in text and not colon:
        raise UserError(f"{entry!r} in the emotion timeline {text!r} has no time; please write it as 2.5:{name}.")
    key = EmotionKey(_time(time, text) if colon else 0.0, name, _number(strength, text) if at else float(intensity))
    if not 0.0 <= key.intensity <= 1.0:
        raise UserError(f"The emotion intensity is {key.intensity:g}; please give a number from 0 to 1.")
    return key


def _time(text: str, whole: str) -> float:
    """The seconds of a time; a negative one is left to the check of the whole timeline."""
    try:
        return float(text) if text.strip().startswith("-") else read_time(text)
    except (ValueError, UserError):
        raise UserError(
            f"{text!r} in the emotion {whole!r} is no time within a day; write 0:neutral,2.5:happy@0.8, the time in"
            " seconds, m:ss or frames (62f)."
        ) from None


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"{text!r} in the emotion {whole!r} is not a number; write happy or 0:neutral,2.5:happy@0.8."
        ) from None
