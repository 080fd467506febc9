"""The experiment that measures what an emotion costs the lips: its figures on motions whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from edited_motions import moving

from playmate_core.values import LOWER_LIP, EmotionCurve
from training.experiments.lip_lock import LipLockConfig, LipLoss, markdown, ways


def test_lips_that_part_by_a_known_share() -> None:
    quiet = moving(2)
    apart = quiet.expression[:, LOWER_LIP, 1] - quiet.expression[:, 20, 1]
    wider = quiet.expression.clone()
    wider[:, LOWER_LIP, 1] += 0.1 * (apart.max() - apart.min())
    loss = LipLoss.of(quiet, replace(quiet, expression=wider), torch.linspace(0, 1, len(quiet)))
    assert loss.moved == pytest.approx(10.0, abs=0.01) and loss.correlation == pytest.approx(1.0, abs=1e-5)
    assert LipLoss.of(quiet, quiet, torch.linspace(0, 1, len(quiet))) == LipLoss(pytest.approx(1.0), 0.0, 0.0)


def test_the_lock_is_what_differs_between_its_rows() -> None:
    quiet = replace(moving(3), keypoint_space="playmate-demo")
    happy = EmotionCurve.constant("happy", 1.0, len(quiet), quiet.fps)
    energy = torch.linspace(0, 1, len(quiet))
    moved = {way: LipLoss.of(quiet, show(quiet, quiet, happy), energy).moved for way, show in ways().items()}
    assert moved["layer, with the lock"] < 0.01 < 1.0 < moved["layer, without the lock"]
    assert moved["both, with the lock"] < 0.01 < moved["both, without the lock"] < moved["layer, without the lock"]
    assert moved["model"] == 0.0
    assert LipLockConfig().seeds == 3


def test_the_table_gives_means_and_the_worst() -> None:
    table = markdown({"layer": [LipLoss(0.9, 10.0, 0.1), LipLoss(0.5, 20.0, 0.3)]})
    assert "| layer | 0.700 (0.500) | 15.0 (20.0) | 0.200 (0.300) |" in table
