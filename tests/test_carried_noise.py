"""Noise on the previous frames, carried from window to window by a small model."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from generated_motion import BASE, FAST
from motion_models import WINDOW, rest, voice

from playmate_core.values import Motion
from training.data import SyntheticClip
from training.evaluate import carried_noise as noise
from training.evaluate.subjects import Subject, System
from training.synthetic.clips import make_clip


@pytest.fixture(scope="module")
def subject() -> Subject:
    clip = make_clip(100, "test", (1.0, 1.5), "formant")
    own = Motion(rest().pose, rest().expression)
    return Subject(cast(SyntheticClip, replace(clip, motion=own)), voice(5 * WINDOW))


def test_the_first_window_is_left_alone_and_the_noise_is_the_only_difference(subject: Subject) -> None:
    system, runs = System(BASE, None, FAST), [(subject, 1)]
    clean = noise.chains(system, runs, noise.NONE, 3)[0]
    assert clean.shape[:2] == (3, WINDOW)
    assert torch.equal(clean, noise.chains(system, runs, noise.Disturbance(0.0, False), 3)[0])
    one, every = (noise.chains(system, runs, noise.Disturbance(0.5, each), 3)[0] for each in (False, True))
    assert torch.equal(one[0], every[0]) and not torch.equal(one[0], clean[0])
    assert not torch.equal(one[1], every[1])


def test_runs_side_by_side_are_as_each_alone(subject: Subject) -> None:
    system, disturbance = System(BASE, None, FAST), noise.Disturbance(0.3, True)
    together = noise.chains(system, [(subject, seed) for seed in range(3)], disturbance, 2)
    for seed, row in enumerate(together):
        assert torch.allclose(row, noise.chains(system, [(subject, seed)], disturbance, 2)[0], atol=1e-4)


def test_rows_tell_mean_and_error_for_every_sigma(subject: Subject) -> None:
    rows = noise.carried_rows("m", System(BASE, None, FAST), [subject], (0, 1), windows=2)
    assert len(rows) == 4 * len(noise.SIGMAS) and all("+-" in row.value for row in rows)
    left = noise.carried(System(BASE, None, FAST), [(subject, 0)], [noise.Disturbance(0.3, False)], 2)
    assert left.shape == (1, 1, 2) and bool((left > 0).all())
