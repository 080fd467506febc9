"""The rows on liveliness: truth passes each, and the motion that is wrong on purpose fails it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from playmate_core.values import AudioFeatures, Motion, Pose
from training.evaluate import controls
from training.evaluate import liveliness as life
from training.evaluate.subjects import Subject
from training.evaluate.table import Row
from training.synthetic.clips import make_clip


@cache
def spoken() -> life.Spoken:
    """Truth in the place of the generated motion: half a minute of two people."""
    clips = [make_clip(seed, "test", (30.0, 30.0), "formant") for seed in (100, 102)]
    subjects = [
        Subject(clip, AudioFeatures(torch.zeros(len(clip.motion), 1, 4), torch.zeros(len(clip.motion)), "logmel"))
        for clip in clips
    ]
    return life.Spoken(subjects, [clip.motion for clip in clips])


@pytest.mark.parametrize("rows", [life.jerk_rows, life.blink_rows, life.mouth_rows, life.gaze_rows])
def test_truth_passes_every_row_and_every_control_fails(rows) -> None:  # type: ignore[no-untyped-def]
    found: list[Row] = rows(spoken())
    assert any(row.name.startswith("control") for row in found)
    for row in found:
        assert row.met is True, row


@pytest.mark.parametrize(
    ("change", "rows", "word"),
    [
        (controls.smoothed, life.jerk_rows, "jerk over truth"),
        (controls.shaken, life.jerk_rows, "jerk over truth"),
        (controls.held_lids, life.blink_rows, "blinks a second"),
        (controls.long_blinks, life.blink_rows, "length of a blink"),
        (controls.doubled_blinks, life.blink_rows, "closest two"),
        (controls.popped, life.mouth_rows, "within a frame"),
        (controls.fixed_gaze, life.gaze_rows, "deviation across"),
    ],
)
def test_a_motion_that_is_wrong_fails_its_row(change, rows, word) -> None:  # type: ignore[no-untyped-def]
    wrong = spoken().changed(change)
    row = next(row for row in rows(wrong) if word in row.name)
    assert row.met is False, row


def test_a_bend_at_the_joints_is_found_at_its_offset_and_nowhere_else() -> None:
    track = torch.zeros(400, 3)
    step = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)).cumsum(0) * 0.01
    for joint in range(40, 390, 40):
        track[joint + 3 :] += 1.0
    found = life.acceleration_at_joints(step + track, 40, 40, 6).mean(0)
    assert found.shape == (life.BEFORE + 6 + life.AFTER + 1,)
    assert int(found.argmax()) in (life.BEFORE + 2, life.BEFORE + 3) and float(found[: life.BEFORE].max()) < 1.0


def test_blinks_are_counted_with_their_lengths_and_distances() -> None:
    lids = torch.zeros(100, 21, 3)
    for begin in (20, 40, 49):
        lids[begin : begin + 3, [11, 15], 1] += 0.08
    blinking = Motion(Pose(torch.zeros(100, 3), torch.zeros(100, 3), torch.ones(100, 1)), lids)
    found = life.blinks_of([blinking])
    assert (found.per_second, found.length, found.closest) == (0.75, 3.0, 9.0)
    none = life.blinks_of([replace(blinking, expression=torch.zeros(100, 21, 3))])
    assert none.per_second == 0.0 and none.closest != none.closest
