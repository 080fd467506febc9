"""Parts of a motion sampled again: a time range with both ends held, and motion to motion with a denoise strength.

See docs/method.md 1.16. Frames that are not sampled again keep every bit. Nothing is added to what the network samples
(:mod:`eye_movement`): with a strength below 1 it begins from a motion that has eye movement already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

import torch
from torch import Tensor

from ..errors import UserError
from ..keypoint_space import UNKNOWN
from ..progress import Progress
from ..ranges import check_ranges, ranged
from ..values import Motion
from .generate import PlaymateGenerator, checked_plan
from .known_frames import KnownFrames
from .lip_step import limit_lip_step
from .noise import FreshNoise
from .normalisation import EXPRESSION_CHANNELS, to_expression
from .request import GenerationRequest, MotionGenerator
from .window_sampling import SamplingPlan, WindowTask, sample_window
from .windows import counted, held_frames, last_frames

#: Frames that windows share at least, so that a window sees how the one before moves.
LEAST_OVERLAP = 6


class Part(str, Enum):
    """What is sampled again; the other part is held as it is."""

    ALL = "all"
    EXPRESSION = "expression"
    POSE = "pose"


@dataclass(frozen=True)
class Regeneration:
    """Which frames of a motion are sampled again: those of [``begin``, ``end``), None the last.

    ``strength`` of the noise that the frames begin with: 1 is new motion, 0 leaves the motion as it is. ``part`` the
    head pose, the expression, or both.
    """

    begin: int = 0
    end: int | None = None
    strength: float = ranged(1.0, 0.0, 1.0)
    part: Part = Part.ALL

    def __post_init__(self) -> None:
        check_ranges(self)

    @staticmethod
    def of_seconds(
        begin: float, end: float | None, fps: float, strength: float = 1.0, part: Part = Part.ALL
    ) -> Regeneration:
        """The frames that are shown from the second ``begin`` to the second ``end``, None the end of the motion."""
        first, last = round(begin * fps), None if end is None else round(end * fps)
        return Regeneration(first, last, strength, part)

    def range_of(self, frames: int) -> tuple[int, int]:
        """First frame and the one after the last. Raises UserError where they do not lie in a motion of ``frames``."""
        end = frames if self.end is None else self.end
        if not 0 <= self.begin <= end <= frames:
            raise UserError(
                f"Got frames {self.begin} to {end} to sample again; the motion has {frames}, and the range cannot end "
                "before it begins."
            )
        return self.begin, end


def regenerate(
    generator: MotionGenerator,
    request: GenerationRequest,
    motion: Motion,
    what: Regeneration,
    progress: Progress | None = None,
) -> Motion:
    """``motion`` with some of its frames sampled again, as long and at the same rate.

    ``request`` is the one that a new motion would be generated with: the speech of the whole motion, the portrait, the
    emotion, the options and their seed. Frames outside the range keep every bit and are held while the others are
    sampled, so the motion is continuous at both ends. An empty range or a strength of 0 gives ``motion`` itself.
    ``progress(step, total)`` counts network evaluations. Raises UserError for a generator other than Playmate's own,
    and for a motion that does not fit the request.
    """
    begin, end = what.range_of(len(motion))
    if begin == end or what.strength == 0.0:
        return motion
    if not isinstance(generator, PlaymateGenerator):
        raise UserError(
            f"The generator {generator.name} cannot sample a part of a motion again; please use Playmate's own."
        )
    if UNKNOWN != motion.keypoint_space != generator.keypoint_space:
        raise UserError(
            f"The motion has {motion.keypoint_space} keypoints and this motion model moves {generator.keypoint_space}"
            " keypoints; please choose the model that sampled the motion."
        )
    audio = request.audio
    if (len(motion), motion.fps) != (len(audio), audio.fps):
        raise UserError(
            f"The motion has {len(motion)} frames at {motion.fps:g} a second and the speech {len(audio)} at "
            f"{audio.fps:g}; please give the speech that the motion was made with, and the motion at its rate."
        )
    plan = checked_plan(generator.denoiser, generator.controller, request)
    plan = replace(plan, head=plan.head.reaching(motion.pose))
    model = plan.head.encode(motion, plan.denoiser.statistics)
    made = torch.cat(list(_sampled(plan, model, (begin, end), what, progress)))
    return _spliced(plan, motion, made, begin, what.part)


def _sampled(
    plan: SamplingPlan, model: Tensor, reach: tuple[int, int], what: Regeneration, progress: Progress | None
) -> Iterator[Tensor]:
    """The frames of the range in model space, in pieces. ``model`` (T, 69) is what they replace."""
    config, frames = plan.denoiser.config, len(model)
    done, end = reach
    overlap = max(plan.options.overlap, LEAST_OVERLAP)
    begins = window_begins(done, end, frames, config.window, config.previous, overlap)
    for index, begin in enumerate(begins):
        place = torch.arange(begin, begin + config.window)
        values = model[place.clamp(max=frames - 1)]
        known = (place < frames) & ((place < done) | (place >= end))
        held = KnownFrames(values, known | (what.part is Part.POSE), known | (what.part is Part.EXPRESSION))
        past = plan.past if begin == 0 else last_frames(model[:begin], config.previous)
        noise, step = FreshNoise(plan.options.seed).window(index), counted(progress, index, len(begins))
        made = sample_window(WindowTask(plan, begin, past, held, noise, values, what.strength), step)
        later = end if index == len(begins) - 1 else min(begins[index + 1] + held_frames(overlap), end)
        settled = max(later, done)  # a next window that begins before the range settles nothing yet
        model = torch.cat([model[:done], made[done - begin : settled - begin], model[settled:]])
        yield model[done:settled]
        done = settled


def window_begins(first: int, end: int, frames: int, window: int, context: int, overlap: int) -> list[int]:
    """Where windows begin that cover [``first``, ``end``) and, where the motion has them, ``context`` frames beside.

    The last window sees what follows the range; the others share at least ``overlap`` frames with the next.
    """
    start = first - context if first >= 2 * context else 0
    reach = min(end + context, frames)
    begins = [start]
    while begins[-1] + window < reach:
        begins.append(min(begins[-1] + window - overlap, max(reach - window, begins[-1] + 1)))
    return begins


def _spliced(plan: SamplingPlan, motion: Motion, made: Tensor, begin: int, part: Part) -> Motion:
    """``motion`` with the frames ``made`` (n, 69) from frame ``begin`` on; axes that may not move keep their pose."""
    now = slice(begin, begin + len(made))
    if part is not Part.POSE:
        expression = motion.expression.clone()
        shown = to_expression(made, plan.denoiser.statistics).to(expression)
        expression[now] = limit_lip_step(shown, motion.expression[begin - 1] if begin else None, plan.options.lip_step)
        motion = replace(motion, expression=expression)
    if part is Part.EXPRESSION:
        return motion
    pose, _ = plan.head.decode(made[:, EXPRESSION_CHANNELS:], motion.fps)
    moves, before = plan.head.std > 0, motion.pose
    rotation, translation, scale = before.rotation.clone(), before.translation.clone(), before.scale.clone()
    rotation[now] = torch.where(moves[:3], pose.rotation.to(rotation), rotation[now])
    translation[now, :2] = torch.where(moves[3:5], pose.translation[:, :2].to(translation), translation[now, :2])
    scale[now] = torch.where(moves[5:], pose.scale.to(scale), scale[now])
    return motion.with_pose(replace(before, rotation=rotation, translation=translation, scale=scale))
