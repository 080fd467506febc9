"""Whether long motion looks alive: joints of windows, jerk, blinks, mouth and gaze against ground truth.

Each row has the same figure on ground truth beside it, and a control, a motion that must fail it: faded windows, a
smoothed or shaken head, held lids, a mouth that opens wide for one frame, a fixed or a restless gaze.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from playmate_core.diffusion.generate import stride
from playmate_core.values import LIDS, Motion
from training.evaluate import controls
from training.evaluate import motion_metrics as metrics
from training.evaluate.level1 import rig_of
from training.evaluate.subjects import Subject, System, Take
from training.evaluate.table import Row, number
from training.synthetic.rig import LID_TRAVEL, lip_aperture

#: Offsets around the first shared frame that are looked at: from two before to four behind the last shared one.
BEFORE, AFTER = 2, 4
JOINT_LIMIT = 1.25
JERK_RANGE = (0.8, 1.25)
#: Share of a full closure at which an eye counts as shut.
SHUT = 0.5
#: Frames between the beginnings of two blinks that the corpus never goes below: half a second.
CLOSEST_BLINKS = 12
#: Times truth's largest change of the lip aperture within one frame.
MOUTH_LIMIT = 1.1


@dataclass(frozen=True)
class Spoken:
    """Subjects and motions of them, of the same lengths."""

    subjects: Sequence[Subject]
    motions: Sequence[Motion]

    def changed(self, change: Callable[[Subject, Motion], Motion]) -> Spoken:
        return replace(self, motions=[change(s, m) for s, m in zip(self.subjects, self.motions, strict=True)])


@dataclass(frozen=True)
class Blinks:
    """Blinks of some motions: how many ``per_second``, their mean ``length`` in frames, and the ``closest`` two of one
    motion in frames from beginning to beginning (NaN for fewer than two)."""

    per_second: float
    length: float
    closest: float


def acceleration_at_joints(track: Tensor, first: int, every: int, overlap: int) -> Tensor:
    """Mean acceleration of a ``track`` (T, C) at each offset around its joints, and how many joints there were.

    Windows begin at ``first``, ``first + every``, ...; result (joints, offsets), over the track's mean.
    """
    bend = track.diff(n=2, dim=0).norm(dim=-1)  # the entry k is at frame k + 1
    joints = torch.arange(first, len(track) - overlap - AFTER - 1, every)
    place = joints[:, None] + torch.arange(-BEFORE, overlap + AFTER + 1) - 1
    return bend[place] / bend.mean().clamp(min=1e-12)


def joint_figure(spoken: Spoken, every: int, overlap: int, track: Callable[[Motion], Tensor]) -> tuple[float, int]:
    """The largest mean acceleration at any offset around all joints of all motions, over the mean; and their number."""
    found = torch.cat([acceleration_at_joints(track(m), every, every, overlap) for m in spoken.motions])
    return float(found.mean(0).max()), len(found)


def head(motion: Motion) -> Tensor:
    return motion.pose.rotation


def face(motion: Motion) -> Tensor:
    return motion.expression.flatten(1)


def joint_rows(system: System, made: Spoken, faded: Spoken) -> list[Row]:
    """Acceleration around window joints; ``faded`` is the same with the linear fade, which must fail for the pose."""
    overlap = system.options.overlap
    every = stride(system.denoiser.config.window, overlap)
    truth = Spoken(made.subjects, [s.clip.motion for s in made.subjects])
    rows = []
    for name, track in (("pose", head), ("expression", face)):
        value, count = joint_figure(made, every, overlap, track)
        true, _ = joint_figure(truth, every, overlap, track)
        rows.append(
            Row(
                f"{count} joints: largest mean acceleration of the {name} at any offset, over the overall mean",
                number(value),
                f"<= {JOINT_LIMIT:g}",
                value <= JOINT_LIMIT,
                number(true),
            )
        )
    jump, _ = joint_figure(faded, every, overlap, head)
    rows.append(control("pose with the shared frames faded", jump, jump <= JOINT_LIMIT))
    return rows


def lip_loss_row(made: Spoken, faded: Spoken) -> Row:
    """What held joints cost in lip correlation against faded ones."""
    held, before = (float(np.mean(_lips(spoken))) for spoken in (made, faded))
    lost = before - held
    return Row("loss of lip correlation by held joints", number(lost, 4), "<= 0.005", lost <= 0.005)


def _lips(spoken: Spoken) -> list[float]:
    return [metrics.correlation(s.lips(m), s.aperture) for s, m in zip(spoken.subjects, spoken.motions, strict=True)]


def jerk_rows(made: Spoken) -> list[Row]:
    """Pose jerk over truth, asked from both sides."""
    low, high = JERK_RANGE

    def figure(spoken: Spoken) -> float:
        true = np.mean([metrics.jerk(s.clip.motion) for s in spoken.subjects])
        return metrics.ratio(float(np.mean([metrics.jerk(m) for m in spoken.motions])), float(true))

    value = figure(made)
    calm, shaken = figure(made.changed(controls.smoothed)), figure(made.changed(controls.shaken))
    return [
        Row("rollouts: pose jerk over truth", number(value), f"{low:g} to {high:g}", low <= value <= high, "1", "0"),
        control("pose averaged over 5 frames", calm, low <= calm <= high),
        control("pose with noise of its usual step", shaken, low <= shaken <= high),
    ]


def lid_closure(motion: Motion) -> Tensor:
    """How far the lids are shut in units of a usual person's full closure, mean of both eyes -> (T,)."""
    upper, lower = (list(points) for points in zip(*LIDS, strict=True))
    apart = (motion.expression[:, lower, 1] - motion.expression[:, upper, 1]).mean(-1)
    return (apart.median() - apart) / LID_TRAVEL


def blinks_of(motions: Sequence[Motion]) -> Blinks:
    """The blinks of some motions."""
    counts, lengths, closest, seconds = 0, list[int](), list[int](), 0.0
    for motion in motions:
        shut = torch.cat([torch.zeros(1), (lid_closure(motion) > SHUT).float(), torch.zeros(1)])
        change = shut.diff()
        begins, ends = (change > 0).nonzero()[:, 0], (change < 0).nonzero()[:, 0]
        counts, seconds = counts + len(begins), seconds + len(motion) / motion.fps
        lengths += (ends - begins).tolist()
        closest += begins.diff().tolist()
    length = float(np.mean(lengths)) if lengths else float("nan")
    return Blinks(counts / seconds, length, float(min(closest)) if closest else float("nan"))


def blink_rows(made: Spoken) -> list[Row]:
    """Rate, length and shortest distance of blinks; held lids must fail the first, long blinks the second, doubled ones
    the third."""
    own, true = blinks_of(made.motions), blinks_of([s.clip.motion for s in made.subjects])
    still = blinks_of(made.changed(controls.held_lids).motions)
    doubled = blinks_of(made.changed(controls.doubled_blinks).motions)
    slow = blinks_of(made.changed(controls.long_blinks).motions)
    rate, length = metrics.ratio(own.per_second, true.per_second), metrics.ratio(own.length, true.length)
    none = metrics.ratio(still.per_second, true.per_second)
    return [
        Row(
            "blinks a second",
            number(own.per_second),
            "0.67 to 1.5 x truth",
            0.67 <= rate <= 1.5,
            number(true.per_second),
        ),
        control("lids held", still.per_second, 0.67 <= none <= 1.5),
        Row(
            "length of a blink, frames",
            number(own.length, 2),
            "0.75 to 1.33 x truth",
            0.75 <= length <= 1.33,
            number(true.length, 2),
        ),
        control("lids shut for 5 frames longer", slow.length, 0.75 <= slow.length / true.length <= 1.33),
        Row(
            "closest two blinks, frames",
            number(own.closest, 0),
            f">= {CLOSEST_BLINKS}",
            _far(own),
            number(true.closest, 0),
        ),
        control("every blink done again after 8 frames", doubled.closest, _far(doubled)),
    ]


def _far(blinks: Blinks) -> bool:
    return not blinks.closest < CLOSEST_BLINKS


def mouth_rows(made: Spoken) -> list[Row]:
    """The largest change of the lip aperture within one frame over truth's largest; a mouth that pops must fail."""

    def largest(motions: Sequence[Motion]) -> float:
        return max(float(lip_aperture(m.expression).diff().abs().max()) for m in motions)

    true = largest([s.clip.motion for s in made.subjects])
    value = largest(made.motions) / true
    popped = largest(made.changed(controls.popped).motions) / true
    return [
        Row(
            "largest opening of the mouth within a frame over truth's",
            number(value),
            f"<= {MOUTH_LIMIT:g}",
            value <= MOUTH_LIMIT,
            "1",
            "0",
        ),
        control("mouth wide open for one frame", popped, popped <= MOUTH_LIMIT),
    ]


def gaze_rows(made: Spoken) -> list[Row]:
    """Deviation of the gaze within a clip, and its step from frame to frame, over truth's; across and down."""

    def figures(spoken: Spoken) -> Tensor:
        tracks = [rig_of(s, m)[:, controls.GAZE_COLUMNS] for s, m in zip(spoken.subjects, spoken.motions, strict=True)]
        spread = torch.stack([t.std(0) for t in tracks]).mean(0)
        step = torch.stack([t.diff(dim=0).square().mean(0).sqrt() for t in tracks]).mean(0)
        return torch.cat([spread, step])

    true = figures(Spoken(made.subjects, [s.clip.motion for s in made.subjects]))
    value = figures(made) / true
    fixed = figures(made.changed(controls.fixed_gaze)) / true
    names = ("deviation across", "deviation up and down", "step across", "step up and down")
    rows = [
        Row(f"gaze over truth, {name}", number(float(v)), "0.67 to 1.5", 0.67 <= float(v) <= 1.5, "1", "0")
        for name, v in zip(names, value, strict=True)
    ]
    return [*rows, control("gaze held", float(fixed.max()), bool(((fixed >= 0.67) & (fixed <= 1.5)).any()))]


def control(name: str, value: float, passes: bool) -> Row:
    """A row on which a motion that is wrong on purpose must fail; it is met where that motion fails."""
    return Row(f"control, must fail the row above: {name}", number(value), "fails", not passes)


def rollouts(system: System, subjects: Sequence[Subject], joint: str = "hold") -> Spoken:
    """Long motion of the ``subjects`` with the default sampler, emotion off, a seed for each."""
    takes = [Take(subject, seed=seed) for seed, subject in enumerate(subjects)]
    return Spoken(subjects, system.perform(takes, joint=joint))


def liveliness_rows(system: System, made: Spoken, faded: Spoken) -> list[Row]:
    """All rows on rollouts; ``faded`` are the same with faded windows."""
    return [
        *joint_rows(system, made, faded),
        lip_loss_row(made, faded),
        *jerk_rows(made),
        *blink_rows(made),
        *mouth_rows(made),
        *gaze_rows(made),
    ]
