"""A motion of :func:`stages.sample_motion`, a part of which is sampled again: for the command line and the nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ..diffusion.emotion_schedule import EmotionSchedule
from ..diffusion.options import SamplingOptions
from ..diffusion.regenerate import Part, Regeneration, regenerate
from ..diffusion.request import GenerationRequest, MotionGenerator
from ..errors import UserError
from ..motion.emotion_by import EmotionBy, sample_with_emotion
from ..progress import Progress
from ..times import TimeRange
from ..values import AudioFeatures, EmotionCurve, Motion, Portrait

#: The layer depends on how far eyes are open in the motion below it, which is found by repetition.
LAYER_STEPS = 4


def regenerate_motion(
    generator: MotionGenerator,
    portrait: Portrait,
    audio: AudioFeatures,
    motion: Motion,
    what: Regeneration,
    emotion: EmotionSchedule | None = None,
    options: SamplingOptions | None = None,
    by: EmotionBy = EmotionBy.BOTH,
    progress: Progress | None = None,
) -> Motion:
    """``motion`` with the part ``what`` sampled again: a time range with both ends held, or motion to motion.

    ``Regeneration.of_seconds(4.0, 6.0, motion.fps)`` is "resample 4 to 6 s"; a ``strength`` below 1 keeps the rough
    course of the motion. ``audio``, ``emotion`` and ``by`` are those the whole motion was sampled with; with another
    seed in the ``options`` the part becomes another one. Frames outside the range keep every bit, and an empty range or
    a strength of 0 gives ``motion`` itself. Raises UserError, before any slow work, as :func:`regenerate` does.
    """
    begin, end = what.range_of(len(motion))
    if begin == end or what.strength == 0.0:
        return motion
    curve = None if emotion is None else emotion.curve(len(audio), audio.fps)
    below = _without_layer(motion, lambda bare: _layered(bare, curve, by, bool(generator.emotions)))

    def ask(felt: EmotionCurve | None) -> list[Motion]:
        request = GenerationRequest(portrait.keypoints, portrait.rest, audio, felt, options)
        return [regenerate(generator, request, below, what, progress)]

    made = next(sample_with_emotion(ask, curve, by, has_own=bool(generator.emotions)))
    expression, now = motion.expression.clone(), slice(begin, end)
    expression[now] = made.expression[now]
    return replace(made, expression=expression)


def regenerations(
    ranges: Sequence[TimeRange], motion: Motion, strength: float = 1.0, part: Part = Part.ALL
) -> list[Regeneration]:
    """One :class:`Regeneration` for each range of ``motion``; a range may end after the motion, not begin there.

    Raises UserError for a range in which the motion has no frame.
    """
    found, length = list[Regeneration](), len(motion) / motion.fps
    for one in ranges:
        end = length if one.end is None else min(one.end, length)
        if round(one.start * motion.fps) >= round(end * motion.fps):
            raise UserError(
                f"The range from {one.start:g} s has no frame of the motion, which is {length:g} s long; please choose"
                " an earlier one."
            )
        found.append(Regeneration.of_seconds(one.start, end, motion.fps, strength, part))
    return found


def _layered(motion: Motion, curve: EmotionCurve | None, by: EmotionBy, has_own: bool) -> Motion:
    return next(sample_with_emotion(lambda felt: [motion], curve, by, has_own=has_own))


def _without_layer(motion: Motion, layered: Callable[[Motion], Motion]) -> Motion:
    """The motion that ``layered`` makes ``motion`` of."""
    below = motion
    for _ in range(LAYER_STEPS):
        off = motion.expression - layered(below).expression
        if not bool(torch.any(off)):
            break
        below = replace(below, expression=below.expression + off)
    return below
