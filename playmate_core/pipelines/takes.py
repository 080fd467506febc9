"""Several takes of one speech: for the command line and the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..diffusion.emotion_schedule import EmotionSchedule
from ..diffusion.options import SamplingOptions
from ..diffusion.request import GenerationRequest, MotionGenerator, joined
from ..errors import UserError
from ..face import FaceModel
from ..keypoint_space import keep_expression, same_keypoints
from ..motion.emotion_by import EmotionBy, sample_with_emotion, split_emotion
from ..motion.takes import Take, Takes
from ..progress import Progress
from ..rendering.contact_sheet import contact_sheet
from ..rendering.render import RenderOptions
from ..values import EMOTIONS, AudioFeatures, Portrait
from .pictures import write_png
from .stages import JobReport, StageClock, check_generator, has_own_emotion, motion_origin

#: By unit of :class:`RegionDifference`, how far a take may be from the motion of its seed sampled alone: rounding,
#: for a network whose numbers are as large as a trained one's (a few units; larger ones round further).
TOGETHER = {"units": 1e-5, "degrees": 1e-3, "times": 1e-5}


@dataclass(frozen=True)
class TakeRequest:
    """A take to be sampled: its ``name``, its emotion and its options, whose seeds alone may differ among takes."""

    name: str
    emotion: EmotionSchedule | None
    options: SamplingOptions


def seed_takes(count: int, emotion: EmotionSchedule | None, options: SamplingOptions) -> list[TakeRequest]:
    """``count`` takes of the seed of ``options`` and those that follow it."""
    seeds = [(options.seed + number) % 2**63 for number in range(count)]
    return [TakeRequest(f"seed {seed}", emotion, replace(options, seed=seed)) for seed in seeds]


def emotion_takes(intensity: float, options: SamplingOptions) -> list[TakeRequest]:
    """A take in each of the eight emotions, all of one seed."""
    return [TakeRequest(name, EmotionSchedule.constant(name, intensity), options) for name in EMOTIONS]


def asked_takes(
    count: int, moods: float | None, emotion: EmotionSchedule | None, options: SamplingOptions
) -> list[TakeRequest]:
    """:func:`emotion_takes` of the intensity ``moods``, or, where it is None, :func:`seed_takes`."""
    return seed_takes(count, emotion, options) if moods is None else emotion_takes(moods, options)


def refuse_unseen_takes(preview: Path | None, several: bool) -> None:
    """Raise UserError for several takes and no picture that shows them."""
    if several and preview is None:
        raise UserError("Several takes are shown in a preview; please name a picture for it, or ask for one take.")


def sample_takes(
    generator: MotionGenerator,
    portrait: Portrait,
    audio: AudioFeatures,
    requests: Sequence[TakeRequest],
    by: EmotionBy = EmotionBy.BOTH,
    progress: Progress | None = None,
) -> Takes:
    """The takes, sampled together, each the motion of :func:`sample_motion` within TOGETHER.

    Raises UserError, before any slow work, for inputs that do not fit.
    """
    check_generator(generator, portrait.keypoint_space)
    shared = same_keypoints(generator.keypoint_space, portrait.keypoint_space)
    has_own = has_own_emotion(generator, portrait.keypoint_space)
    curves = [None if one.emotion is None else one.emotion.curve(len(audio), audio.fps) for one in requests]
    own = [split_emotion(curve, by, has_own)[0] for curve in curves]
    asked = [
        GenerationRequest(portrait.keypoints, portrait.rest, audio, curve, one.options, None, portrait.details)
        for curve, one in zip(own, requests, strict=True)
    ]
    takes = list[Take]()
    for pieces, curve, one in zip(generator.iterate_together(asked, progress), curves, requests, strict=True):
        origin = motion_origin(generator, audio, one.emotion, one.options)
        below = [replace(piece, origin=origin) for piece in pieces]
        if not shared:
            below = [keep_expression(piece, portrait.rest) for piece in below]
        made = sample_with_emotion(lambda _, below=below: below, curve, by, has_own=has_own)  # type: ignore[misc]
        takes.append(Take(one.name, joined(list(made))))
    return Takes(tuple(takes))


def draw_preview(
    path: Path, face: FaceModel, portrait: Portrait, takes: Takes, rendering: RenderOptions, clock: StageClock
) -> JobReport:
    """Draw some frames of every take into one picture."""
    with clock.stage("draw preview") as step:
        write_png(path, contact_sheet(face, portrait, list(takes.takes), rendering=rendering, progress=step))
    motion = takes.takes[0].motion
    return JobReport(path, len(motion), motion.fps, tuple(clock.stages))
